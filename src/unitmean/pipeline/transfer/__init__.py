"""Tables and figures of style transfer with the original and the rescaled network."""
