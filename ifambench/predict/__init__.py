"""Predictions: forward passes over manifest rows, resumable, and the rule for true masks."""
