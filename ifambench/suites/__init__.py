"""Suite files: what is run, as data."""
