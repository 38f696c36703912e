"""Recipes become weights."""
