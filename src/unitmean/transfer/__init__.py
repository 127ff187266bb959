"""Style transfer's pictures and what it leaves behind."""
