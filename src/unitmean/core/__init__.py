"""What is true of networks: graphs, factors, moments, styles. Knows torch and nothing else."""
