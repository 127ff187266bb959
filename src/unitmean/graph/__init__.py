"""From a module to a plan of what may be rescaled in it."""
