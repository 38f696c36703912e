import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.records.schema import Metric, RunRecord
from ifambench.records.store import load_run, read_record, write_record
from ifambench.reports import curve_figures, figures, summary
from ifambench.reports.gallery import gallery_groups, is_selection, outline
from ifambench.reports.html import render_html
from ifambench.reports.markdown import render_markdown
from ifambench.reports.write import write_reports
from tests.reports import synthetic
from tests.reports.golden_support import assert_golden

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}
EVIL = '<script>alert("x")</script> & $a_b$ |*`'


class Page(HTMLParser):
    """Balanced tags, and what the checks need to know."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data


@pytest.fixture(scope="session")
def html(folder: Path) -> str:
    return render_html(load_run(folder))


@pytest.fixture(scope="session")
def page(html: str) -> Page:
    return Page(html)


def test_markdown_golden(folder: Path):
    assert_golden("report_run.md", render_markdown(load_run(folder)))


def test_both_reports_are_written(folder: Path, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    written = write_reports(copy / "run.json")
    assert written == [copy / "report.md", copy / "report.html"]
    assert written[1].read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert not [path for path in copy.iterdir() if path.suffix == ".tmp"]


def test_page_is_deterministic(folder: Path, html: str):
    assert render_html(load_run(folder)) == html


def test_page_is_self_contained(html: str, page: Page):
    assert not re.search(r"""(?:src|href|action|poster)\s*=\s*["']?(?:https?:)?//""", html)
    assert not re.search(r"url\(\s*['\"]?(?!#)|@import", html)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form"}
    for _, attributes in page.tags:
        source = attributes.get("src") or ""
        assert source == "" or source.startswith("data:image/png;base64,")
        assert not [name for name in attributes if name.startswith("on")]


def test_every_picture_has_a_label(page: Page):
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(charts) == 7
    assert len(pictures) == 8 * 8
    assert all(len(item.get("alt") or "") > 10 for item in pictures)
    for item in charts:
        assert item.get("role") == "img"
        assert len(item.get("aria-label") or "") > 10
        assert "viewbox" in item
        assert "width" not in item


def test_ids_are_unique_and_links_lead_somewhere(page: Page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("href", "xlink:href", "aria-labelledby"):
            target = (attributes.get(name) or "").removeprefix("#")
            if target and not target.startswith("data:"):
                assert target in ids


def test_structure(page: Page):
    tags = [tag for tag, _ in page.tags]
    attributes = dict(page.tags)
    assert attributes["html"]["lang"] == "en"
    assert tags.count("main") == tags.count("h1") == 1
    assert tags.count("caption") == tags.count("table") > 8
    assert all("scope" in found for tag, found in page.tags if tag == "th")
    assert page.tags[tags.index("a")][1]["class"] == "skip"
    assert tags.count("figcaption") == tags.count("figure")


def test_numbers_of_the_page(page: Page, record: RunRecord):
    assert "The worst group is one on land: 0.894 [0.855, 0.923] on 320 images" in page.text
    assert record.command in page.text
    assert record.warnings[0] in page.text
    assert "one on water" in page.text


def test_names_are_escaped(folder: Path, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    record = read_record(copy)
    model = record.model.model_copy(update={"name": EVIL})
    labels = [EVIL, "one"]
    changed = {"model": model, "labels": labels, "warnings": [EVIL], "command": EVIL}
    write_record(copy, record.model_copy(update=changed))
    text = render_html(load_run(copy))
    assert "<script" not in text
    assert EVIL in Page(text).text
    assert "<script" not in render_markdown(load_run(copy)).replace(f"```sh\n{EVIL}\n```", "")


def test_missing_parts_are_said(tmp_path: Path):
    folder = synthetic.write_run(tmp_path)
    for name in ("gallery.npz", "curves.csv", "training.csv", "explanations.csv.gz"):
        (folder / name).unlink()
    record = read_record(folder)
    tables = {"predictions": record.tables["predictions"]}
    bare = {"tables": tables, "metrics": [], "phases": [], "recipe": {}, "status": "interrupted"}
    write_record(folder, record.model_copy(update=bare))
    page = Page(render_html(load_run(folder)))
    for sentence in (
        "No example images are stored",
        "was not trained here",
        "No explanations were measured",
        "No background swaps were evaluated",
        "No group accuracies were scored",
        "This run holds no scores",
        "This run was interrupted",
        "No times were recorded",
    ):
        assert sentence in page.text
    assert "This run was interrupted" in render_markdown(load_run(folder))


def test_missing_curves_are_said(folder: Path, tmp_path: Path):
    copy = tmp_path / "run"
    shutil.copytree(folder, copy)
    (copy / "curves.csv").unlink()
    with pytest.raises(EnvironmentProblem, match=r"curves\.csv"):
        write_reports(copy)
    assert not (copy / "report.html").exists()
    record = read_record(copy)
    tables = {key: value for key, value in record.tables.items() if key != "curves"}
    write_record(copy, record.model_copy(update={"tables": tables}))
    assert "curves were not stored" in Page(render_html(load_run(copy))).text


def test_no_run(tmp_path: Path):
    with pytest.raises(UsageError):
        write_reports(tmp_path / "nothing")


def test_selection_on_test_is_said(record: RunRecord):
    protocol = record.protocol.model_copy(update={"selection": "test_oracle"})
    chosen = record.model_copy(update={"protocol": protocol})
    assert "test split" in summary.selection_note(chosen)
    assert summary.selection_note(record) == ""


def test_empty_selections_are_a_warning(record: RunRecord):
    rate = Metric(metric="empty_selection_rate", value=0.25, n=8)
    part = rate.model_copy(update={"value": 0.5, "n": 4, "group": record.groups[1]})
    bare = record.model_copy(update={"metrics": [rate, part], "warnings": ["first"]})
    first, empty = summary.warnings(bare)
    assert first == "first"
    assert f"no patch in 2 of 8 images ({record.groups[1]} 2)" in empty
    none = rate.model_copy(update={"value": 0.0})
    assert summary.warnings(record.model_copy(update={"metrics": [none], "warnings": []})) == []


def test_undefined_worst_group_is_said(record: RunRecord):
    row = next(item for item in record.metrics if item.metric == "worst_group_accuracy")
    gone = row.model_copy(update={"value": None, "reason": "group a has no image"})
    bare = record.model_copy(update={"metrics": [gone]})
    expected = "Worst-group accuracy is undefined: group a has no image."
    assert summary.sentences(bare) == [expected]


def test_charts_are_xml_and_follow_the_page(record: RunRecord):
    curves = synthetic.curves()
    charts = [
        figures.group_bars(record),
        figures.variant_bars(record),
        figures.label_background_matrix(record, synthetic.predictions()),
        curve_figures.curve_chart(record, curves, "deletion"),
        figures.training_chart(synthetic.training(), "loss"),
    ]
    for chart in charts:
        root = ET.fromstring(chart)
        assert root.tag.endswith("svg")
        assert "var(--ink" in chart
        assert "DejaVu" not in chart


def test_charts_without_data_are_empty(record: RunRecord):
    bare = record.model_copy(update={"metrics": []})
    no_attribute = synthetic.predictions().drop(columns="a_place")
    assert figures.group_bars(bare) == ""
    assert figures.variant_bars(bare) == ""
    assert figures.label_background_matrix(record, no_attribute) == ""
    assert curve_figures.curve_chart(record, None, "deletion") == ""
    assert figures.training_chart(None, "loss") == ""
    assert figures.training_chart(synthetic.training()[["epoch", "lr"]], "loss") == ""


def test_gallery(record: RunRecord):
    stored = synthetic.gallery(per_group=4)
    groups = gallery_groups(record, stored)
    assert [group.name for group in groups] == record.groups
    assert all(len(group.samples) == 3 for group in groups)
    sample = groups[0].samples[0]
    captions = [picture.caption for picture in sample.pictures]
    assert captions[:3] == ["image, true mask", "ifam-mask", "grad-cam"]
    assert captions[-3].startswith("mixed_same: ")
    wrong = [sample.wrong for group in groups for sample in group.samples]
    assert any(wrong)
    assert gallery_groups(record, None) == []


def test_gallery_of_large_images_without_masks(record: RunRecord):
    stored = synthetic.gallery(side=224, grid=14, per_group=1)
    stored = {key: value for key, value in stored.items() if key not in ("masks",)}
    stored["map:grad-cam"] = np.full_like(stored["map:grad-cam"], np.nan)
    stored = {key: value for key, value in stored.items() if not key.startswith("swap_pred")}
    sample = gallery_groups(record, stored)[0].samples[0]
    assert sample.pictures[0].caption == "image"
    assert sample.pictures[-1].caption == "only_bg"
    assert all(len(picture.source) < 60_000 for picture in sample.pictures)


def test_outline_and_selection():
    mask = np.zeros((6, 6), dtype=bool)
    mask[2:4, 2:4] = True
    edge = outline(mask)
    assert edge[1, 2]
    assert edge[2, 2]
    assert not edge[0].any()
    assert not outline(np.ones((4, 4), dtype=bool)).any()
    assert is_selection(np.array([[0.0, 1.0]]))
    assert not is_selection(np.array([[0.0, 0.5]]))


def test_reports_import_no_torch_and_nothing_slow():
    code = (
        "import sys, ifambench.reports.write, ifambench.reports.tables; "
        "found = {'torch', 'matplotlib', 'jinja2', 'scipy', 'rich', 'PIL'} & set(sys.modules); "
        "assert not found, found"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
