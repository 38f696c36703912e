"""Metrics: pure functions from the stored tables to rows of numbers with intervals."""
