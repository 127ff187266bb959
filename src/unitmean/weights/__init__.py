"""Weights files in every layout that is read, and the networks and factors they hold."""
