"""What of a stored run serves a request: all of it, all but its explanations, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ifambench.data.manifest import SuiteData
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.weights import sha256_of
from ifambench.plan import RunPlan
from ifambench.records.record import RECORD_FILE
from ifambench.records.schema import Phase
from ifambench.records.store import LoadedRun, load_run, load_training, read_record

_KEPT_PHASES = ("train", "predict")


@dataclass(frozen=True)
class Stored:
    """A complete run in the folder of a request.

    Attributes:
        run: The run.
        same: Whether it serves as it is: it is the very run that is asked for, or nothing was said
            about explanations and only those differ. Otherwise it is to be explained anew, and the
            weights that it was measured with are there.
    """

    run: LoadedRun
    same: bool

    def check_data(self, plan: RunPlan, data: SuiteData) -> None:
        """Refuse to measure the stored weights on other data than before.

        Raises:
            EnvironmentProblem: If the data have changed since the run.
        """
        if data.digest != self.run.record.suite.data_digest:
            raise EnvironmentProblem(
                "the data are not those that the stored run was trained and measured on",
                where=str(self.run.folder),
                next_step=f"restore the data, or {plan.command('run', '--fresh')}",
            )

    def phases(self, anew: list[Phase]) -> list[Phase]:
        """Of what was not done again the stored cost, then the cost of what was."""
        kept = [phase for phase in self.run.record.phases if phase.name in _KEPT_PHASES]
        return kept + [phase for phase in anew if phase.name not in _KEPT_PHASES]


def stored_run(plan: RunPlan, verb: str = "run") -> Stored | None:
    """The complete and undamaged run in the folder, or None where there is none yet.

    Args:
        plan: What is asked for.
        verb: By which command: `run`, or `train`, which explains nothing.

    Raises:
        UsageError: If it differs in more than what is explained, or its weights are gone and it
            would have to be explained again; names what differs.
        EnvironmentProblem: If a stored file is damaged.
    """
    if not (plan.folder / RECORD_FILE).is_file():
        return None
    try:
        if not _is_usable(plan, read_record(plan.folder).status):
            return None
        run = load_run(plan.folder)
        _check_weights(plan.folder / "weights.safetensors", run)
    except EnvironmentProblem as error:
        anew = plan.command(verb, "--fresh")
        raise EnvironmentProblem(error.what, where=error.where, next_step=anew) from error
    key = plan.key()
    differing = [name for name in key if run.record.key.get(name) != key[name]]
    if verb == "train":
        differing = [name for name in differing if name != "explain"]
    if not differing or (differing == ["explain"] and not plan.request.names_explanations):
        return Stored(run, same=True)  # a plain request must not replace richer explanations
    if differing != ["explain"]:
        raise UsageError(
            f"a complete run with another {' and '.join(differing)} is there",
            where=str(plan.folder),
            next_step=f"{plan.command(verb, '--fresh')} (replaces it), or another --output",
        )
    _check_can_go_on(plan, run)
    return Stored(run, same=False)


def _is_usable(plan: RunPlan, status: str) -> bool:
    """Whether a stored run of that status may be what is asked for."""
    return status == "complete" or (status == "partial" and plan.request.skip_bad_images)


def _check_weights(path: Path, run: LoadedRun) -> None:
    if path.is_file() and sha256_of(path) != run.record.model.weights.sha256:
        raise EnvironmentProblem("the weights are not those of the record", where=str(path))


def _check_can_go_on(plan: RunPlan, run: LoadedRun) -> None:
    """Explaining again needs the weights and, so that nothing is trained, their training table."""
    if plan.choice.source is not None:  # given weights: their digest is a part of the key
        return
    home = plan.sibling(plan.choice.label) if plan.request.remove_parts else plan.folder
    path, anew = home / "weights.safetensors", plan.command("run", "--fresh")
    if not path.is_file():
        raise UsageError(
            "a complete run with another explain is there, and its weights are not stored",
            where=str(path),
            next_step=f"put its weights there (only the explanations are then measured anew), or "
            f"{anew} (trains again and replaces it), or another --output",
        )
    if load_training(home) is None:
        raise EnvironmentProblem(
            "the table of the training is missing",
            where=str(home / "training.csv"),
            next_step=f"restore the file, or {anew}",
        )
    if home != plan.folder:
        _check_weights(path, run)
