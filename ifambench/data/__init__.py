"""Images and their manifest."""
