"""Worst-group accuracy and faithfulness of two-stage masked vision transformers (iFAM)."""

__version__ = "0.1.0"
