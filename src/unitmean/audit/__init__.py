"""Whether a published file is normalised, and by which measurement."""
