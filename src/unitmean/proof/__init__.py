"""The proof that a rescaled file computes the old function and has the means it should have."""
