"""The catalogues that commands list and check names against, without importing what they name."""

from __future__ import annotations

from ifambench.registry import Registry

MODELS = Registry(kind="model", package="ifambench.models", constant="MODELS")
EXPLAINERS = Registry(kind="explainer", package="ifambench.explain.methods", constant="EXPLAINERS")
METRICS = Registry(kind="metric", package="ifambench.metrics", constant="METRICS")
