"""A first suite file for data of the user's own: what the columns or folders seem to mean."""
