"""Audits: whether a published file is normalised, and how its means were measured."""
