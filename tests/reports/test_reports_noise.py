from ifambench.records.schema import Metric, RunRecord
from ifambench.reports.noise_tables import NOISE, noise_tables
from ifambench.reports.tables import summary_tables


def rate(metric: str, value: float | None, **more) -> Metric:
    limits = {} if value is None else {"ci_low": value - 0.01, "ci_high": value + 0.01}
    return Metric(**({"metric": metric, "value": value, "n": 800} | limits | more))


def noisy(record: RunRecord) -> RunRecord:
    """A record whose numbers are all different."""
    kept = [item for item in record.metrics if not item.metric.endswith("accuracy")]
    found = [
        rate("accuracy", 0.9),
        rate("worst_group_accuracy", 0.8, group="b"),
        rate("noisy_accuracy", 0.91),
        rate("noisy_accuracy_std", 0.0123),
        rate("averaged_accuracy", 0.92),
        rate("noisy_worst_group_accuracy", 0.81),
        rate("noisy_worst_group_accuracy_std", None, n=0, reason="a standard deviation"),
        rate("averaged_worst_group_accuracy", 0.82, group="a"),
        rate("noise_flip_rate", 0.31),
        rate("noise_flip_rate", 0.99, group="a"),
        rate("noise_any_flip_rate", 0.41),
        rate("noise_patch_flip_rate", 0.05),
        rate("noisy_empty_rate", 0.02),
    ]
    drawn = {"mask_samples": {"samples": 7, "seed": 0}}
    return record.model_copy(update={"metrics": [*kept, *found], "explaining": drawn})


def test_each_number_stands_in_its_column(record: RunRecord) -> None:
    accuracies, rates = noise_tables(noisy(record))
    assert accuracies.title.endswith("masks per image: 7")
    assert [row[:5] for row in accuracies.rows] == [
        ("accuracy", "0.9000", "0.9100", "0.0123", "0.9200"),
        ("worst-group accuracy", "0.8000", "0.8100", "-", "0.8200"),
    ]
    assert any("a standard deviation" in note for note in accuracies.notes)
    shown = {row[0].split(" ")[0]: row[1] for row in rates.rows if "no noise" not in row[0]}
    assert shown == {
        "predictions": "0.310",
        "images": "0.410",
        "patches": "0.050",
        "noisy": "0.020",
    }


def test_the_further_measures_do_not_repeat_them(record: RunRecord) -> None:
    keys = [section.key for section in summary_tables(noisy(record))]
    assert keys.count("mask-noise") == keys.count("mask-noise-rates") == 1
    further = [section for section in summary_tables(noisy(record)) if section.key == "further"]
    assert not [row for section in further for row in section.rows if "nois" in row[0]]
    assert "noisy_accuracy" in NOISE


def test_nothing_without_noisy_masks(record: RunRecord) -> None:
    assert noise_tables(record) == []
