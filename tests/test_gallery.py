"""Which images a gallery holds."""

from __future__ import annotations

import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ifambench.gallery import extreme_cases, gallery_of, group_samples, headline_of

GROUPS = ("a", "b")
N = 40


def explanations(*explainers):
    draw = np.random.default_rng(0)
    ids = [f"test-{index:02d}" for index in range(N)]
    y = np.arange(N) % 2
    columns = {"id": ids, "group": np.array(GROUPS)[y], "y": y, "y_pred": y ^ (np.arange(N) < 5)}
    frames = [
        pd.DataFrame({**columns, "explainer": name, "srg": draw.permutation(N) / N})
        for name in explainers
    ]
    return pd.concat(frames, ignore_index=True)


def test_the_headline_is_fixed_beforehand():
    assert headline_of(explanations("random", "grad-cam", "ifam-mask")) == "ifam-mask"
    assert headline_of(explanations("random", "saliency", "rise")) == "saliency"
    assert headline_of(explanations("random", "grad-cam@drop", "random@drop")) is None


def test_cases_are_the_extremes_of_right_and_wrong_images():
    frame = explanations("random", "ifam-mask")
    cases = extreme_cases(frame)
    mask = frame[frame["explainer"] == "ifam-mask"].set_index("id")
    right = mask["y"] == mask["y_pred"]
    for judged, part in (("right", mask[right]), ("wrong", mask[~right])):
        ranked = part.sort_values("srg").index.to_list()
        found = {
            end: {name for name, case in cases.items() if case == f"{end}, {judged}"}
            for end in ("highest", "lowest")
        }
        assert found == {"highest": set(ranked[-2:]), "lowest": set(ranked[:2])}


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_few_images_are_one_case_each(wrong):
    frame = explanations("ifam-mask").head(wrong)
    cases = extreme_cases(frame)
    assert sorted(cases) == sorted(frame["id"])
    assert sum(case == "highest, wrong" for case in cases.values()) == (wrong + 1) // 2


def test_cases_do_not_depend_on_the_order_of_the_table():
    frame = explanations("ifam-mask", "random").assign(srg=0.5)
    assert extreme_cases(frame) == extreme_cases(frame.sample(frac=1, random_state=1))


def test_images_without_a_gain_are_no_case():
    frame = explanations("ifam-mask").assign(srg=np.nan)
    assert extreme_cases(frame) == {}
    assert extreme_cases(frame[:0]) == {}


@pytest.mark.parametrize(("groups", "images"), [(1, 3), (4, 12), (10, 20), (100, 24)])
def test_the_number_of_samples_is_bounded(groups, images):
    names = pd.Series([f"g{index % groups}" for index in range(400)], index=map(str, range(400)))
    found = group_samples(names)
    assert len(found) == images
    assert len({names[name] for name in found}) == min(groups, 24)


def fake_data(ids):
    manifest = pd.DataFrame({"id": ids, "variant": "original", "mask": "m"})
    pixels = SimpleNamespace(
        images=lambda rows: np.zeros((len(rows), 8, 8, 3), dtype=np.uint8),
        masks=lambda rows: np.zeros((len(rows), 8, 8), dtype=bool),
    )
    return SimpleNamespace(manifest=manifest, pixels=pixels)


def stored(explained, maps):
    frame = explanations("random", "ifam-mask").query("explainer == 'random'")
    predictions = frame.assign(variant="original", prob_pred=0.9)
    result = SimpleNamespace(explanations=explained, maps=maps)
    content = gallery_of(fake_data(list(frame["id"])), predictions, result)
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return dict(arrays)


def test_maps_and_gains_belong_to_the_images():
    frame = explanations("random", "ifam-mask", "ifam-mask@drop")
    maps = {"ifam-mask": np.arange(N, dtype=np.float32)[:, None, None] * np.ones((1, 2, 2))}
    found = stored(frame, maps | {"ifam-mask@drop": maps["ifam-mask"]})
    index = [int(name.removeprefix("test-")) for name in found["ids"]]
    assert found["map:ifam-mask"][:, 0, 0].tolist() == index
    assert "map:ifam-mask@drop" not in found
    assert str(found["headline"]) == "ifam-mask"
    gains = frame[frame["explainer"] == "ifam-mask"]["srg"].to_numpy()
    assert found["srg"].tolist() == gains[index].tolist()
    assert found["in_group"].sum() == 6
    assert set(found["group"][found["in_group"]]) == set(GROUPS)
    assert (found["case"][~found["in_group"]] != "").all()
    assert len(set(found["ids"])) == len(found["ids"])


def test_without_explanations_the_first_images_are_shown():
    found = stored(explanations("random")[:0], {})
    assert found["in_group"].all()
    assert (found["case"] == "").all()
    assert "headline" not in found
