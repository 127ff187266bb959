"""The configuration: its schema, its composition by Hydra, and what a stage may read of it."""
