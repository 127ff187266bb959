"""Things on disk: images, weights, tables. Nothing half-written ever has a final name."""
