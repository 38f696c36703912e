"""Worst-group accuracy and faithfulness of two-stage masked vision transformers (iFAM)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ifambench.models.base import Classifier

__version__ = "0.1.0"
__all__ = ["__version__", "load_model"]


def load_model(name: str, **options: Any) -> Classifier:
    """A model in eval mode, by name or path; see `ifambench.models.load.load_model`."""
    # torch is imported when a model is wanted, not before
    module = importlib.import_module("ifambench.models.load")
    model: Classifier = module.load_model(name, **options)
    return model
