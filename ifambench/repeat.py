"""The command line that repeats a run: every option that was not left as it is."""

from __future__ import annotations

from ifambench.request import RunRequest
from ifambench.train.team import Team


def words_of(asked: RunRequest, label: str, team: Team, verb: str) -> list[str]:
    """The words of a command.

    Args:
        asked: The request.
        label: The model, as tables call it.
        team: The processes that train.
        verb: `run` or `train`, which measures nothing.
    """
    measures = verb == "run"
    words = ["ifambench", verb, asked.suite, "--model", label]
    words += _lists_and_flags(asked) if measures else []
    options = {
        "--protocol": asked.protocol,
        "--seed": asked.seed,
        "--size": None if asked.size == "default" else asked.size,
        **(_measuring(asked) if measures else {}),
        **_computing(asked, team),
        "--output": asked.output,
    }
    for option, value in options.items():
        words += [] if value is None else [option, str(value)]
    return words + (["--skip-bad-images"] if asked.skip_bad_images else [])


def _lists_and_flags(asked: RunRequest) -> list[str]:
    """The measuring options that can be repeated or have no value."""
    words = [word for name in asked.explainers for word in ("--explainer", name)]
    words += [word for name in asked.operators for word in ("--operator", name)]
    flags = {"--battery": asked.battery, "--sanity": asked.sanity}
    return words + [flag for flag, images in flags.items() if images]


def _measuring(asked: RunRequest) -> dict[str, object]:
    """What is measured, and on how many images."""
    return {
        "--images": asked.images,
        "--steps": asked.steps,
        "--target": asked.target,
        "--explain-precision": asked.explain_precision,
        "--battery-images": asked.battery or None,
        "--sanity-images": asked.sanity or None,
        "--remove-parts": ",".join(map(str, asked.remove_parts)) or None,
        "--mask-samples": asked.mask_samples or None,
    }


def _computing(asked: RunRequest, team: Team) -> dict[str, object]:
    """Where it starts from and what computes it."""
    return {
        "--pretrained": asked.pretrained,
        "--data-dir": asked.data_dir,
        "--precision": asked.precision,
        "--devices": None if team.devices == 1 else team.devices,
        "--num-nodes": None if team.num_nodes == 1 else team.num_nodes,
        "--threads": asked.threads,
        "--device": None if asked.device == "auto" else asked.device,
    }
