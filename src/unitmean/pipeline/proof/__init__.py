"""The proof of a rescaled file."""
