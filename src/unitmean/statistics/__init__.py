"""Statistics of channels, and the factors that follow from them."""
