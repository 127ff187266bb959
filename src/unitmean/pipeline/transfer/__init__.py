"""What style transfer says of a network."""
