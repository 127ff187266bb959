"""Downloads, folders and tables on disk."""
