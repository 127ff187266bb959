"""Whether a rescaled network is what it must be."""
