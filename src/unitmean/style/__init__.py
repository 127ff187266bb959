"""Style transfer: losses, descent, pictures."""
