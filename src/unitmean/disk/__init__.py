"""Files: written whole or not at all, fetched, followed by a bar."""
