"""Weights that a run needs and this machine does not have; nothing is downloaded to find out."""

from __future__ import annotations

from pathlib import Path

from ifambench.errors import EnvironmentProblem
from ifambench.models.backbones import HUB_FILE, is_cached
from ifambench.models.catalog import ModelChoice, builder_options
from ifambench.models.checkpoints import resolve_source


def missing_weights(choice: ModelChoice, init: str, pretrained: str | None = None) -> list[str]:
    """A line for the weights that are missing, if they are.

    Args:
        choice: The model.
        init: The recipe's start of the classifier, `pretrained` or `scratch`.
        pretrained: A backbone instead of the model's own.

    Raises:
        UsageError: If timm has no such weights.
    """
    source = choice.source or _backbone(choice, init, pretrained)
    return [] if source is None or is_here(source) else [f"weights {source}"]


def is_here(source: str) -> bool:
    """Whether weights can be read without a download.

    Args:
        source: As on the command line: `ckpt:`, `hf-hub:`, `timm:`, or a shipped backbone.

    Raises:
        UsageError: If timm has no such weights.
    """
    from ifambench.models.off_the_shelf import known_config

    scheme, _, rest = source.partition(":")
    if scheme == "timm":
        config = known_config(source, classifier=False)
        return is_cached(str(config.hf_hub_id), config.hf_hub_filename or HUB_FILE)
    if scheme == "hf-hub":
        return is_cached(rest, HUB_FILE)
    if scheme == "ckpt":
        return _readable(source)
    return True  # shipped, or a file that the command line has looked for


def _readable(source: str) -> bool:
    try:
        return isinstance(resolve_source(source), Path)
    except EnvironmentProblem:
        return False


def _backbone(choice: ModelChoice, init: str, pretrained: str | None) -> str | None:
    """What training starts from; a model with parts always starts from a backbone."""
    if init != "pretrained" and "num_parts" not in (builder_options(choice.entry) or ()):
        return None
    return pretrained or choice.pretrained
