"""`report.html` in headless Chromium, on a phone and in dark mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from ifambench.records.store import load_run
from ifambench.reports.html import render_html
from tests.reports import synthetic
from tests.reports.browser import CHROMIUM, Seen, look

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with every section and many explainers, so that tables are wide."""
    place = tmp_path_factory.mktemp("page")
    names = synthetic.MANY
    run = synthetic.write_run(place / "run", names, metrics=synthetic.metrics(names))
    path = place / "report.html"
    path.write_text(render_html(load_run(run)), encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["light", "dark"])
def seen(page: Path, request: pytest.FixtureRequest) -> Seen:
    found = look(page, 390, dark=request.param)
    assert found.found["dark"] is request.param
    return found


def test_nothing_on_the_console(seen: Seen):
    assert seen.console == []


def test_no_page_overflow_on_a_phone(seen: Seen):
    assert 300 < seen.found["width"] <= 390
    assert seen.found["scroll_width"] <= seen.found["width"]


def test_wide_tables_scroll_by_keyboard_and_have_a_name(seen: Seen):
    assert seen.found["scrolling"] > 3
    assert seen.found["unreachable"] == []


def test_all_text_has_contrast(seen: Seen):
    assert seen.found["texts"] > 300
    assert seen.found["faint"] == []


def test_the_probe_finds_what_is_wrong(tmp_path: Path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        '<!DOCTYPE html><meta name="viewport" content="width=device-width"><body>'
        '<p style="color:#bbb">pale</p><div style="overflow-x:auto"><p style="width:900px">far</p>'
        '</div><div style="width:700px">wide</div><script>console.error("no")</script>',
        encoding="utf-8",
    )
    seen = look(bad)
    assert len(seen.console) == 1
    assert seen.found["scroll_width"] > seen.found["width"]
    assert [item[2] for item in seen.found["faint"]] == ["pale"]
    assert len(seen.found["unreachable"]) == 1
