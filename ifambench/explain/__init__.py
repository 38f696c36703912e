"""Explainers on the patch grid, and how faithful they are: deletion and insertion curves."""
