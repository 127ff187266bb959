"""Where weights and images come from."""
