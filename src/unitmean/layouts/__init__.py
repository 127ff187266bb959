"""Weights files in the layouts that people ship."""
