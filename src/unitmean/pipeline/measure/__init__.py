"""Statistics of a network's channels over an index, shard by shard."""
