"""`--offline`: everything that a run would have to download, listed before any model is loaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ifambench.errors import EnvironmentProblem

if TYPE_CHECKING:
    from ifambench.cli.request import Training


def check_offline(training: Training) -> None:
    """From here on nothing is downloaded, and all that is missing is said at once.

    Raises:
        EnvironmentProblem: Listing what is missing.
        UsageError: If a name is unknown.
    """
    go_offline()
    data, weights = missing_things(training)
    if not data and not weights:
        return
    count = len(data) + len(weights)
    steps = [f"ifambench data fetch {training.suite}"] * bool(data)
    steps += ["weights are downloaded by the first run without --offline"] * bool(weights)
    things = "1 thing is" if count == 1 else f"{count} things are"
    raise EnvironmentProblem(
        "\n- ".join([f"{things} not on this machine", *data, *weights]),
        where="--offline",
        next_step="; ".join(steps),
    )


def go_offline() -> None:
    """From here on the hub's client downloads nothing; it reads this when it is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"


def missing_things(training: Training) -> tuple[list[str], list[str]]:
    """A line for each missing download of the suite, and for the weights."""
    from ifambench.data.fetch.state import missing_downloads
    from ifambench.models.catalog import choose_model
    from ifambench.models.missing import missing_weights
    from ifambench.suites.catalog import load_suite, protocol_of
    from ifambench.train.recipes import recipe_for

    suite = load_suite(training.suite).suite
    _, protocol = protocol_of(suite, training.protocol)
    choice = choose_model(training.model)
    recipe = recipe_for(suite, choice.family, choice.base_label, choice.overrides)
    pretrained = None if training.pretrained is None else str(training.pretrained)
    return (
        missing_downloads(suite, training.data_dir, protocol.variants),
        missing_weights(choice, recipe.init, pretrained),
    )
