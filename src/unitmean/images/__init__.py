"""Images: where they lie, what they are, what a network sees of them."""
