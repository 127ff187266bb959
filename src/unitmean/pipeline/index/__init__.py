"""The index of a data set, and batches of its images."""
