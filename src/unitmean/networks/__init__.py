"""Known networks: how torchvision builds them, what their layers are called, what they eat."""
