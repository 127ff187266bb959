"""Commands that need the library alone; those of the pipeline are in pipeline/commands/."""
