"""`report.html` for those who do not see it, or have no mouse."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from ifambench.records.store import load_run, read_record, write_record
from ifambench.reports.html import render_html
from ifambench.reports.svg import SERIES, WORST
from tests.reports import synthetic
from tests.reports.test_reports_sanity import checked
from tests.reports.test_reports_write import Page


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with the checks of the explainers too."""
    run = synthetic.write_run(tmp_path_factory.mktemp("run"))
    record = read_record(run)
    more = [*record.metrics, *checked("random", "grad-cam")]
    write_record(run, record.model_copy(update={"metrics": more}))
    return render_html(load_run(run))


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_headings_do_not_skip_a_level(page: Page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_sections_and_scrolling_parts_have_a_name(page: Page):
    named = [
        attributes
        for tag, attributes in page.tags
        if tag in ("section", "nav") or attributes.get("role") == "region"
    ]
    assert len(named) > 15
    assert all(item.get("aria-label") or item.get("aria-labelledby") for item in named)
    regions = [item for item in named if item.get("role") == "region"]
    assert all(item.get("tabindex") == "0" for item in regions)


def test_every_table_has_a_caption_and_every_row_a_heading(html: str):
    for table in re.findall(r"<table>.*?</table>", html, re.DOTALL):
        assert re.match(r"<table>\s*<caption", table)
        body = table[table.index("<tbody>") :]
        assert body.count("<tr") == body.count('<th scope="row"')


def test_every_link_of_the_navigation_is_a_section_of_the_page(html: str, page: Page):
    links = re.findall(r'<li><a href="#([\w-]+)"', html)
    sections = [attributes.get("id") for tag, attributes in page.tags if tag == "h2"]
    assert set(links) == set(sections) - {"warnings"}


def test_the_checks_of_the_explainers_are_shown(page: Page):
    assert "Do the maps follow the model?" in page.text


def test_long_names_may_break_where_their_parts_end(html: str, page: Page):
    assert '<th scope="row" class="left">mixed_<wbr>same</th>' in html
    assert "mixed_same" in page.text


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2 between two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(p * w for p, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def blend(colour: str, paper: str, share: float) -> str:
    pairs = [(int(colour[k : k + 2], 16), int(paper[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


def test_text_on_the_strongest_tint_can_be_read_in_both_modes(html: str):
    """The browser cannot tell what is behind a text of a chart; the tint is at most one half."""
    worst = SERIES.index(WORST)
    styles = re.findall(r"--paper: (#\w{6}); --ink: (#\w{6})", html)
    tints = re.findall(rf"--series-{worst}: (#\w{{6}})", html)[:2]
    assert len(styles) == len(tints) == 2
    for (paper, ink), tint in zip(styles, tints, strict=True):
        assert contrast(ink, blend(tint, paper, 0.5)) >= 4.5
        assert contrast(ink, paper) >= 7
    matrix = html[html.index('aria-label="Accuracy by class') :]
    used = [float(x) for x in re.findall(r"opacity: ([\d.]+)", matrix[: matrix.index("</svg>")])]
    assert used
    assert max(used) <= 0.5
