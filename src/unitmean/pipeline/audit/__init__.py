"""Whose means a published file has."""
