"""What is kept when a run is stopped, what is done again, and what is told meanwhile."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from ifambench.data.manifest import SuiteData
from ifambench.explain import images as parts
from ifambench.explain import waves
from ifambench.explain.base import default_explainers
from ifambench.explain.measure import ExplainSettings, explain_rows
from ifambench.predict.journal import Journal
from ifambench.progress import Progress
from tests.explain.measured import DATA, MODELS, PREDICTIONS, ROWS, SETTINGS, run, same


def test_goes_on_where_it_was(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(parts, "CHUNK", 4)
    whole = run("ifam")
    first = run("ifam", journal=Journal(tmp_path / "j", "key"))
    same(first, whole, atol=0)
    lines = (tmp_path / "j").read_bytes().splitlines(keepends=True)
    assert len(lines) == 1 + 3 * 4
    (tmp_path / "j").write_bytes(b"".join(lines[:8]) + lines[8][:99])
    model = MODELS["ifam"]
    seen: list[int] = []
    hook = model.stage_2.register_forward_hook(lambda _, x, __: seen.append(len(x[0])))
    try:
        resumed = run(
            "ifam",
            journal=Journal(tmp_path / "j", "key"),
            settings=ExplainSettings(steps=5, batch_size=7),
        )
    finally:
        hook.remove()
    same(resumed, whole)
    assert 0 < sum(seen) < whole.n_forwards
    # inputs that explainers share across the interruption were evaluated twice
    assert whole.n_forwards <= resumed.n_forwards < whole.n_forwards + sum(seen)
    for name, cost in whole.costs.items():
        assert resumed.costs[name]["forwards"] == cost["forwards"]


def test_a_finished_journal_needs_no_pixels(tmp_path) -> None:
    whole = run("plain", journal=Journal(tmp_path / "j", "key"))
    model = MODELS["plain"]
    hook = model.register_forward_pre_hook(lambda *_: pytest.fail("the model was run"))
    blind = SuiteData(DATA.suite, DATA.manifest, None, DATA.digest, DATA.size)
    names = default_explainers(model)
    journal = Journal(tmp_path / "j", "key")
    again = explain_rows(model, blind, ROWS, PREDICTIONS["plain"], names, SETTINGS, journal)
    hook.remove()
    same(again, whole, atol=0)


def test_waves_are_kept_one_by_one_and_change_nothing(tmp_path, monkeypatch) -> None:
    whole = run("ifam")
    monkeypatch.setattr(waves, "WAVE", 1)
    kept = []

    class Counted(Journal):
        def put(self, chunk: str, rows: list) -> None:
            kept.append(chunk)
            super().put(chunk, rows)

    found = run("ifam", journal=Counted(tmp_path / "j", "key"))
    same(found, whole, atol=1e-6)
    # the intact ends are not evaluated again
    assert found.n_forwards < sum(cost["forwards"] for cost in found.costs.values())
    assert len(kept) == len(set(kept)) == 4


def test_a_stopped_run_goes_on_to_the_last_bit(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(waves, "WAVE", 1)
    whole = run("ifam")

    class Stopped(Journal):
        def put(self, chunk: str, rows: list) -> None:
            super().put(chunk, rows)
            raise KeyboardInterrupt

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run("ifam", journal=Stopped(tmp_path / "j", "key"))
    found = run("ifam", journal=Journal(tmp_path / "j", "key"))
    pd.testing.assert_frame_equal(found.explanations, whole.explanations, check_exact=True)
    pd.testing.assert_frame_equal(found.curves, whole.curves, check_exact=True)


def test_notes_of_progress_are_short() -> None:
    notes = []

    class Heard(Progress):
        def advance(self, steps: int = 1, note: str = "") -> None:
            notes.append(note)

    several = ["center", "uniform", "grad-cam", "saliency"]
    run("ifam", several, progress=Heard())
    assert any(re.fullmatch(r"curves of \d explainers, mean", note) for note in notes)
    run("ifam", [], progress=Heard())
    assert notes[-1] == "curves of random, mean"
    assert max(map(len, notes)) < 40


def test_a_journal_is_of_one_way_to_measure(tmp_path) -> None:
    journal = Journal(tmp_path / "j", "key")
    run("plain", ["center"], journal=journal)
    for other in ({"operators": ("drop",)}, {"target": "label"}, {"precision": "bf16"}):
        settings = replace(SETTINGS, **other)
        fresh = run("plain", ["center"], settings=settings)
        same(run("plain", ["center"], settings=settings, journal=journal), fresh)


def test_progress_ends_at_its_total(tmp_path) -> None:
    class Told(Progress):
        total = done = calls = 0
        said = ""

        def message(self, text: str) -> None:
            self.said += text

        def start(self, phase: str, total: int) -> None:
            self.total = total

        def advance(self, steps: int = 1, note: str = "") -> None:
            self.done, self.calls = self.done + steps, self.calls + 1

    for _ in range(2):  # measured, then read from the journal
        told, journal = Told(), Journal(tmp_path / "j", "key")
        run("ifam", journal=journal, progress=told)
        # two maps of iFAM, one forward each; Grad-CAM, whose backward pass counts twice. Mask and
        # Grad-CAM tie outside of the mask, and the floor has as many draws
        assert told.done == told.total == len(ROWS) * (2 * 4 * (1 + 5 + 5 + 5) + 1 + 1 + 3)
        assert told.said.endswith(f"images {len(ROWS)}, forward passes about {told.total:,}")
    assert told.calls == 4
    alone = Told()
    run("ifam", progress=alone)
    assert alone.calls > 10  # it moves while a part is measured
