import pytest

from ifambench.records.schema import Metric, RunRecord
from ifambench.reports.sanity_tables import SANITY, sanity_table
from ifambench.reports.section import to_markdown
from tests.reports import synthetic

DEPTHS = ("all", "cascading:3", "cascading:12", "head", "last_block")


def metric(name: str, explainer: str, value: float | None = 0.25, **more) -> Metric:
    limits = {} if value is None else {"ci_low": value - 0.05, "ci_high": value + 0.05}
    fields = {"n": 16, "ci_method": "bootstrap_2000"} | limits | more
    return Metric(metric=name, value=value, explainer=explainer, **fields)


def checked(*explainers: str, **more) -> list[Metric]:
    found = [metric(name, explainer, **more) for explainer in explainers for name in SANITY[4:]]
    found += [metric(name, explainer, **more) for explainer in explainers for name in SANITY[:3]]
    return found + [
        metric("randomisation_similarity", explainer, 0.1 * k, variant=depth)
        for explainer in explainers
        for k, depth in enumerate(DEPTHS)
    ]


@pytest.fixture
def with_checks(record: RunRecord) -> RunRecord:
    return record.model_copy(
        update={"metrics": [*record.metrics, *checked("random", "grad-cam", "ifam-mask")]}
    )


def cells(section, name: str) -> dict[str, str]:
    (row,) = [row for row in section.rows if row[0] == name]
    return dict(zip(section.header, row, strict=True))


def test_one_row_per_checked_explainer_the_floor_last(with_checks: RunRecord) -> None:
    section = sanity_table(with_checks)
    assert [row[0] for row in section.rows] == ["ifam-mask", "grad-cam", "random"]
    assert section.kinds == ("", "", "floor")


def test_depths_go_down_from_the_head(with_checks: RunRecord) -> None:
    section = sanity_table(with_checks)
    names = [name for name in section.header if name.startswith("randomised")]
    assert names == [
        "randomised: head",
        "randomised: last block",
        "randomised: last 3 blocks",
        "randomised: last 12 blocks",
        "randomised: all",
    ]
    found = [cells(section, "grad-cam")[name] for name in names]
    assert found == ["0.300", "0.400", "0.100", "0.200", "0.000"]


def test_every_metric_has_a_column(with_checks: RunRecord) -> None:
    found = cells(sanity_table(with_checks), "grad-cam")
    assert found["n"] == "16"
    others = [value for name, value in found.items() if not name.startswith("randomised")][2:]
    assert others == ["0.250"] * (len(SANITY) - 1)


def test_undefined_values_say_why(record: RunRecord) -> None:
    rows = [
        metric("stability", "grad-cam", None, n=0, reason="no image with a defined value"),
        metric("stability", "random", reason="undefined for 2 of 18 images"),
        metric("infidelity", "grad-cam"),
    ]
    section = sanity_table(record.model_copy(update={"metrics": rows}))
    assert cells(section, "grad-cam")["stability"] == "-"
    assert cells(section, "random")["infidelity"] == "-"
    assert "stability: no image with a defined value (grad-cam)." in {
        note[:1].lower() + note[1:] for note in section.notes
    }
    assert any("undefined for 2 of 18 images (random)." in note for note in section.notes)


def test_nothing_checked_gives_no_rows() -> None:
    assert not sanity_table(synthetic.record()).rows


def test_it_says_that_it_ranks_nothing(with_checks: RunRecord) -> None:
    text = to_markdown(sanity_table(with_checks))
    assert "no ranking" in text
    assert "the floor of the similarities" in text
    assert "faithful " not in text.lower()
