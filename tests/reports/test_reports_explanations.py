"""Tables and curves of explanations, with few and with many explainers under two operators."""

import io
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from ifambench.records.schema import RunRecord
from ifambench.records.store import LoadedRun, load_run
from ifambench.reports.curve_figures import curve_chart, curve_charts
from ifambench.reports.explanation_differences import differences_tables
from ifambench.reports.explanation_protocol import explanation_cost, explanation_protocol
from ifambench.reports.explanation_tables import (
    evidence_table,
    explanations_table,
    location_table,
)
from ifambench.reports.html import render_html
from ifambench.reports.markdown import render_markdown
from ifambench.reports.section import Section, to_rich
from ifambench.reports.tables import summary_tables
from tests.reports import synthetic

OLD = ("logit", "comp", "suff", "pointing", "rank", "auroc", "gini", "entropy", "mrg", "lrg")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    folder = tmp_path_factory.mktemp("many")
    metrics = synthetic.metrics(synthetic.MANY)
    return load_run(synthetic.write_run(folder, synthetic.MANY, metrics=metrics))


def _render(section: Section, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(to_rich(section, width))
    return file.getvalue()


def _column(section: Section, heading: str) -> list[str]:
    at = section.header.index(heading)
    return [row[at] for row in section.rows]


def _as_before(record: RunRecord) -> RunRecord:
    """The record with the metrics that earlier versions had."""
    kept = [
        item
        for item in record.metrics
        if not item.explainer or not any(name in item.metric for name in OLD)
    ]
    return record.model_copy(update={"metrics": kept, "explaining": {}})


def test_tables_of_many_explainers_fit_80_columns(many: LoadedRun):
    sections = [
        *summary_tables(many.record),
        differences_tables(many)[0],
        explanation_protocol(many),
        explanation_cost(many.record),
    ]
    keys = {section.key for section in sections}
    assert {"explanations", "evidence", "location", "differences"} < keys
    for section in sections:
        text = _render(section)
        assert max(map(len, text.splitlines())) <= 80
        assert all(row[0] in text for row in section.rows)
    shown = _render(explanations_table(many.record))
    assert all(name in shown for name in ("deletion", "insertion", "SRG interval", "over random"))


def test_every_operator_has_its_floor_below_its_explainers(many: LoadedRun):
    section = explanations_table(many.record)
    names = [row[0] for row in section.rows]
    assert len(names) == len(synthetic.MANY)
    assert names[-3:] == ["ifam-mask@drop", "grad-cam@drop", "random@drop (floor)"]
    assert names[-4] == "random (floor)"
    floors = [index for index in range(len(names)) if section.kind(index) == "floor"]
    assert floors == [len(names) - 4, len(names) - 1]
    srg = [float(value) for value in _column(section, "SRG")[:-4]]
    assert srg == sorted(srg, reverse=True)


def test_the_gains_of_a_row_add_up(many: LoadedRun):
    section = explanations_table(many.record)
    columns = (_column(section, name) for name in ("SRG", "MRG", "LRG"))
    for srg, mrg, lrg in zip(*columns, strict=True):
        if mrg != "-":
            assert float(mrg) + float(lrg) == pytest.approx(float(srg), abs=0.0011)


def test_evidence_and_location(many: LoadedRun):
    evidence = evidence_table(many.record)
    masks = dict(
        zip((row[0] for row in evidence.rows), _column(evidence, "comp mask"), strict=True)
    )
    assert {name for name, value in masks.items() if value != "-"} == {
        "ifam-mask",
        "ifam-mask@drop",
    }
    location = location_table(many.record)
    headings = ("mass", "pointing", "rank", "ROC-AUC", "mask IoU", "area", "Gini", "entropy")
    assert set(headings) < set(location.header)
    assert any("not faithfulness" in note for note in location.notes)


def test_records_of_earlier_versions_keep_their_tables(record: RunRecord):
    before = _as_before(record)
    assert explanations_table(before).header == (
        *("explainer", "n", "deletion", "insertion", "SRG", "SRG interval", "over random"),
    )
    assert evidence_table(before).rows == ()
    assert location_table(before).header == (
        *("explainer", "mass", "mask IoU", "precision", "recall", "area"),
    )
    assert explanation_cost(before).rows == ()


def test_metrics_of_the_tables_are_not_listed_again(many: LoadedRun):
    further = next(item for item in summary_tables(many.record) if item.key == "further")
    assert not {row[1] for row in further.rows} & set(synthetic.MANY)


def test_differences_to_the_reference(many: LoadedRun):
    overall, split = differences_tables(many)
    assert overall.header[:3] == ("explainer", "over random", "over grad-cam")
    names = [row[0] for row in overall.rows]
    assert "grad-cam" not in names
    assert "grad-cam@drop" not in names
    assert overall.rows[0][2].startswith("+0.185 [")
    assert overall.rows[names.index("random")][1] == "-"
    assert any("22 rows by Holm" in note for note in overall.notes)
    assert split.header == ("explainer", *many.record.groups)
    other, _ = differences_tables(many, reference="rise")
    assert "over rise" in other.header


def test_without_a_reference_nothing_is_compared(many: LoadedRun):
    kept = [item for item in many.record.metrics if item.explainer in (None, "random", "rise")]
    record = many.record.model_copy(update={"metrics": kept})
    run = LoadedRun(many.folder, record, many.predictions, many.explanations)
    assert differences_tables(run) == []
    empty = LoadedRun(many.folder, many.record, many.predictions, many.explanations[:0])
    assert differences_tables(empty) == []
    assert explanation_protocol(empty).rows == ()


def test_the_header_holds_the_whole_protocol(many: LoadedRun):
    facts = dict(explanation_protocol(many).rows)
    assert facts["model"] == "ifam-vit-ti, weights sha256 021d46f1e2b0"
    assert facts["clean accuracy"] == "0.951 [0.938, 0.961], n 1,280"
    assert facts["images"].startswith("64 of test, ids sha256 ")
    assert facts["operator"] == "mean, drop"
    assert facts["steps"] == "10"
    assert "softmax" in facts["score"]
    assert "permutation seeded with the image" in facts["order"]
    assert "timm 1.0.31" in facts["versions"]
    assert (facts["forward passes"], facts["time"]) == ("3,712", "1 min 36 s")
    assert facts["left out"] == "deeplift (needs a convolutional model)"


def test_the_list_of_images_is_told_by_its_hash(many: LoadedRun):
    def images(frame):
        return dict(
            explanation_protocol(LoadedRun(many.folder, many.record, many.predictions, frame)).rows
        )["images"]

    frame = many.explanations
    assert images(frame) == images(frame.sample(frac=1, random_state=0))
    renamed = frame.assign(id=frame["id"].replace("test-0000", "test-9999"))
    assert images(renamed) != images(frame)


def test_the_cost_of_each_explainer(record: RunRecord):
    section = explanation_cost(record)
    assert section.rows == (
        ("grad-cam", "1,152", "16.1 s", "2.4 s"),
        ("random", "5,760", "1 min 20 s", "0.1 s"),
    )


def test_no_table_calls_an_explanation_faithful(many: LoadedRun):
    text = render_markdown(many).lower().replace("not faithfulness", "")
    assert "faithful" not in text


def test_one_pair_of_charts_per_operator(many: LoadedRun):
    charts = curve_charts(many.record, synthetic.curves(synthetic.MANY))
    assert len(charts) == 4
    assert "operator drop" in charts[2].caption
    assert "1.96 standard errors" in charts[0].caption
    for chart in charts:
        root = ET.fromstring(chart.svg)
        assert root.tag.endswith("svg")
    texts = [item.text for item in ET.fromstring(charts[0].svg).iter() if item.text]
    assert all(
        any(name in text for text in texts) for name in synthetic.MANY if not name.endswith("@drop")
    )
    assert not any("@drop" in text for text in texts)


def test_bands_only_where_errors_are_stored_and_of_highlights_among_many(many: LoadedRun):
    curves = synthetic.curves(synthetic.MANY)
    with_bands = curve_chart(many.record, curves, "deletion")
    assert with_bands.count("FillBetweenPolyCollection") == 3
    bare = curves.drop(columns=["deletion_se", "insertion_se"])
    assert "FillBetweenPolyCollection" not in curve_chart(many.record, bare, "deletion")
    assert "1.96" not in curve_charts(many.record, bare)[0].caption


def test_no_curves_no_charts(record: RunRecord):
    assert curve_charts(record, None) == []
    assert curve_chart(record, synthetic.curves(), "deletion", "@drop") == ""


def test_the_page_of_many_explainers(many: LoadedRun):
    page = render_html(many)
    assert page.count('<figure class="chart">') == 3 + 4 + 2
    assert "chosen by their score" in page
    assert "Highest SRG of ifam-mask" in page
