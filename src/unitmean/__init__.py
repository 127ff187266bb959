"""Normalised networks: every channel's mean activation is one, the function unchanged."""

__version__ = "0.1.0"
