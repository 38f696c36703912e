from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from ifambench.records.schema import Metric, RunRecord
from ifambench.reports import summary, tables
from ifambench.reports.battery_images import BATTERY, images_note
from ifambench.reports.battery_line import composite
from ifambench.reports.battery_tables import battery_tables
from ifambench.reports.html import render_html
from ifambench.reports.labels import LABELS
from ifambench.reports.section import Section, to_markdown, to_rich
from tests.reports import synthetic


def item(metric: str, value: float | None, **fields: object) -> Metric:
    content: dict[str, object] = {
        "metric": metric,
        "value": value,
        "n": 64 if value is not None else 0,
    }
    if value is not None:
        content |= {"ci_low": value - 0.1, "ci_high": value + 0.1, "ci_method": "wilson"}
    return Metric.model_validate(content | fields)


def largest(metric: str, value: float | None, **fields: object) -> Metric:
    why = "no interval: a maximum over the images" if value is not None else "no numbers on 3 of 64"
    limits = dict.fromkeys(("ci_low", "ci_high", "ci_method"))
    return item(metric, value, **{**limits, "reason": why, "unit": "logit", **fields})


def of_group(metric: str, value: float, group: str, variant: str) -> Metric:
    return item(metric, value, group=group, variant=variant, n=16)


MEASURED = [
    *(largest("leak", 0.0, variant=name) for name in ("mean", "noise100", "zero")),
    largest("leak", None, variant="nan"),
    *(item("leak_rate", value, variant=name) for name, value in (("nan", 0.05), ("zero", 0.0))),
    largest("leak_gradient", 0.0),
    largest("embedding_leak", 0.0),
    *(item("free_flip_rate", v, variant=n) for n, v in (("mixed_rand", 0.31), ("mixed_same", 0.1))),
    *(item("frozen_mask_flip_rate", 0.02, variant=n) for n in ("mixed_rand", "mixed_same")),
    item("mask_only_flip_rate", 0.28, variant="mixed_rand"),
    of_group("free_flip_rate", 0.62, "one on land", "mixed_rand"),
    of_group("worst_group_free_flip_rate", 0.62, "one on land", "mixed_rand"),
    item("mask_stability", 0.7, variant="mixed_rand", ci_method="bootstrap_2000"),
    item("mask_self_iou", 1.0, variant="gumbel"),
    *(
        item("mask_area_swapped", v, variant=n)
        for n, v in (("mixed_rand", 0.35), ("original", 0.25))
    ),
    item("mask_recall_swapped", 0.8, variant="mixed_rand"),
    item("background_admission", 0.3, variant="mixed_rand"),
    item("closure_iou", 0.83, variant="mean"),
    item("closure_agreement", 0.9, variant="mean"),
    item("silhouette_accuracy", 0.61, variant="constant"),
    item("silhouette_over_chance", 0.11, variant="constant"),
    item("mask_exchange_accuracy", 0.8),
    item("mask_probe_label", 0.65, ci_method="class_bootstrap_2000"),
    item("mask_probe_label_chance", 0.5, ci_method="permutation_range_19"),
    item("mask_probe_attribute", 0.9, variant="place"),
    item("mask_probe_attribute_chance", 0.5, variant="place"),
    item(
        "mask_probe_attribute_given_label", None, variant="place", reason="no class can be probed"
    ),
    *(item("control_accuracy", v, variant=n) for n, v in (("own", 0.9), ("random", 0.55))),
    item("control_accuracy", 0.9, variant="all"),
    *(item("control_score", v, variant=n) for n, v in (("own", 0.8), ("random", 0.5))),
    item("specificity", 0.3),
    item("necessity", -0.02),
    item("operating_comprehensiveness", 0.4),
    item("selected_area", 0.25),
    item("randomised_accuracy", 0.5, variant="stage_1"),
    item("randomised_accuracy", 0.9),
    item("randomised_mask_iou", 0.2, variant="stage_1"),
    item("randomised_mask_area", 0.44, variant="stage_1"),
    item("attack_success_rate", 0.0),
    item("attack_success_same_mask", None, reason="no attack succeeded"),
]


@pytest.fixture
def tested(record: RunRecord) -> RunRecord:
    return record.model_copy(update={"metrics": [*record.metrics, *MEASURED]})


def render(section: Section, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(to_rich(section, width))
    return file.getvalue()


def table(record: RunRecord, key: str) -> Section:
    return next(section for section in battery_tables(record) if section.key == f"battery-{key}")


def cells(record: RunRecord, key: str) -> dict[str, tuple[str, ...]]:
    return {line[0]: line[1:] for line in table(record, key).rows}


def test_without_a_battery_there_is_nothing(record: RunRecord):
    assert battery_tables(record) == []
    assert composite(record) == ""


def test_a_table_for_each_question_in_80_columns(tested: RunRecord):
    sections = battery_tables(tested)
    assert [section.title[-1] for section in sections] == ["?"] * 9
    for section in sections:
        text = render(section)
        assert max(map(len, text.splitlines())) <= 80
        for line in section.rows:
            assert len(line) == len(section.columns)
        assert to_markdown(section)


def test_no_leak_is_shown_as_zero_and_no_number_as_such(tested: RunRecord):
    found = cells(tested, "leak")
    assert found["logits, outside = zero"][:3] == ("0", "0.00", "[-0.10, 0.10]")
    assert found["logits, outside = nan"] == ("no number", "0.05", "[-0.05, 0.15]", "64")
    assert found["gradient of the logit"][0] == "0"
    assert "no numbers on 3 of 64" in " ".join(table(tested, "leak").notes)
    tiny = tested.model_copy(update={"metrics": [largest("leak", 3.21e-7, variant="zero")]})
    assert cells(tiny, "leak")["logits, outside = zero"][0] == "3.2e-07"


def test_the_worst_group_stands_beside_the_rate_of_its_condition(tested: RunRecord):
    section = table(tested, "background")
    found = {line[0]: dict(zip(section.header, line, strict=True)) for line in section.rows}
    assert found["mixed_rand"] == {
        "background": "mixed_rand",
        "flips": "0.31",
        "95 % interval": "[0.21, 0.41]",
        "mask kept": "0.02",
        "mask alone": "0.28",
        "worst group": "0.62 one on land (n 16)",
        "n": "64",
    }
    same = found["mixed_same"]
    assert (same["flips"], same["mask alone"], same["worst group"]) == ("0.10", "-", "-")


def test_the_mask_beside_what_it_can_be_at_most(tested: RunRecord):
    section = table(tested, "mask")
    assert [line[0] for line in section.rows] == [
        "mixed_rand",
        "unchanged",
        "the same image, gumbel",
    ]
    assert section.rows[0][1:] == ("0.70", "[0.60, 0.80]", "0.80", "0.30", "0.35", "64")
    assert section.rows[1][1:] == ("-", "-", "-", "-", "0.25", "64")
    assert [section.kind(k) for k in range(3)] == ["", "", "floor"]
    assert cells(tested, "closure")["mean"][:3:2] == ("0.83", "0.90")
    assert "mean area have an IoU of about 0.14." in " ".join(table(tested, "closure").notes)


def test_chance_stands_beside_what_is_told(tested: RunRecord):
    found = cells(tested, "shape")
    assert found["silhouette, constant"][2] == "0.50"
    assert found["probe of the mask: class"][2] == "[0.40, 0.60]"
    assert found["probe of the mask: place"][0] == "0.90"
    assert found["probe within the classes: place"][:2] == ("-", "-")
    assert "no class can be probed" in " ".join(table(tested, "shape").notes)


def test_controls_and_drawn_stages(tested: RunRecord):
    section = table(tested, "controls")
    assert [line[0] for line in section.rows] == ["own", "random", "all"]
    assert [section.kind(k) for k in range(3)] == ["", "floor", ""]
    assert section.rows[0][1] == "0.90"
    assert [line[3] for line in section.rows] == ["0.80", "0.50", "-"]
    drawn = cells(tested, "stages")
    assert drawn["stage_1"] == ("0.50", "[0.40, 0.60]", "0.20", "0.44", "64")
    assert drawn["as trained"][0] == "0.90"


def test_differences_have_signs(tested: RunRecord):
    found = cells(tested, "points")
    assert found["own less random mask (specificity)"][:2] == ("+0.30", "[+0.20, +0.40]")
    assert found["all less complement (necessity)"][0] == "-0.02"


def test_an_attack_that_never_succeeds_says_so(tested: RunRecord):
    assert cells(tested, "attack")["of these, mask as before"][0] == "-"
    assert "no attack succeeded" in " ".join(table(tested, "attack").notes)


def test_the_strength_of_the_attack_stands_beside_it(tested: RunRecord):
    assert "own mask. Where" in table(tested, "attack").notes[0]
    how = {"battery": {"attack_steps": 20, "attack_epsilon": 8 / 255}}
    told = table(tested.model_copy(update={"explaining": how}), "attack").notes[0]
    assert "mask, 20 steps, each colour changed by at most 8/255. Where" in told


def test_the_numbers_in_one_sentence(tested: RunRecord):
    text = composite(tested)
    assert text in summary.sentences(tested)
    worst = next(row for row in tested.metrics if row.metric == "worst_group_accuracy")
    first = "largest logit change when the outside of the fixed mask is replaced 0; "
    assert text.startswith(f"The mask in numbers, on 64 images: {first}")
    for part in (
        "no number under nan",
        "predictions flipped by a changed background 0.10 to 0.31",
        "the same with the mask kept 0.02",
        "closure IoU 0.83",
        "silhouette accuracy over chance +11 pp",
        "predictions changed by an attack outside the mask 0.00",
        "mask area 0.25",
        f"worst-group accuracy (all images) {worst.value:.3f}",
    ):
        assert part in text


def test_no_verdict_is_printed(tested: RunRecord):
    shown = [composite(tested), *(to_markdown(section) for section in battery_tables(tested))]
    assert not re.search(r"faithful|pass|fail", " ".join(shown), re.IGNORECASE)


def test_the_tables_are_part_of_the_report_and_shown_once(tested: RunRecord):
    found = {section.key: section for section in tables.summary_tables(tested)}
    assert {section.key for section in battery_tables(tested)} <= found.keys()
    further = found.get("further")
    names = {line[0].rstrip(" ↑↓") for line in further.rows} if further else set()
    assert not names & {LABELS.get(metric, metric) for metric in BATTERY}


def test_every_metric_of_the_battery_has_a_name_for_people():
    assert BATTERY - LABELS.keys() == {"specificity", "necessity"}


def test_the_page_has_a_section_for_it(tmp_path, tested: RunRecord):
    from ifambench.records.store import load_run, write_record

    folder = synthetic.write_run(tmp_path)
    write_record(folder, load_run(folder).record.model_copy(update={"metrics": tested.metrics}))
    page = render_html(load_run(folder))
    assert page.count('id="battery"') == 1
    assert "What does a changed background change?" in page


def test_differences_of_scores_say_what_is_taken_off_what(tested: RunRecord):
    more = [*tested.metrics, item("operating_sufficiency", -0.17)]
    found = cells(tested.model_copy(update={"metrics": more}), "points")
    assert found["all less own mask (sufficiency)"][0] == "-0.17"
    assert list(found).count("all less complement (necessity)") == 1
    assert not any("comprehensiveness" in name for name in found)  # it is the same number


def test_a_random_stage_is_judged_at_the_same_area(tested: RunRecord):
    assert "Same area" in table(tested, "stages").notes[0]


def sized(metric: str, n: int, group: str) -> Metric:
    return item(metric, 0.5, group=group, n=n)


def test_the_images_of_all_tables_are_named_once(record: RunRecord):
    found = [*record.metrics, item("control_accuracy", 0.9, n=40, variant="own")]
    sizes = dict(zip(record.groups, (9, 10, 10, 11), strict=True))
    parts = [sized("free_flip_rate", n, name) for name, n in sizes.items()]
    some = record.model_copy(update={"metrics": [*found, *parts]})
    assert images_note(some).startswith(
        "All tables of the mask are of the same 40 images, 9 to 11 of each group; their accuracy "
        "is not that of all 1,280 ("
    )
    notes = [note for section in battery_tables(some) for note in section.notes]
    assert notes.count(images_note(some)) == 1
    same = [sized("free_flip_rate", 10, name) for name in record.groups]
    alike = record.model_copy(update={"metrics": [*found, *same]})
    assert "40 images, 10 of each group;" in images_note(alike)
    lacking = record.model_copy(update={"metrics": [*found, *same[1:]]})
    assert "of each group" not in images_note(lacking)


def test_the_digits_of_a_column_are_those_of_its_narrowest_interval(record: RunRecord):
    def iou(value: float, half: float, name: str) -> Metric:
        return item("closure_iou", value, ci_low=value - half, ci_high=value + half, variant=name)

    rows = [iou(0.4612, 0.055, "mean"), iou(0.4773, 0.064, "blur")]
    changed = record.model_copy(update={"metrics": [*record.metrics, *rows]})
    assert [line[1] for line in table(changed, "closure").rows] == ["0.461", "0.477"]
