"""Known networks: how torchvision builds them, the names of their layers, the input that they take."""
