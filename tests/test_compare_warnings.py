from __future__ import annotations

from compare_support import RECORD, explanations, outcomes, run

from ifambench.comparison import compare_candidates, compare_runs

WEAK = outcomes((190, 200), (60, 200))


def weights(sha256, source="trained here"):
    return {"weights": {"sha256": sha256, "source": source}}


def warned(a, b, text):
    return any(text in item for item in compare_runs(a, b).warnings)


def test_preprocessing_is_stated_and_not_refused():
    a = run(WEAK, model_={"data_config": {"image_size": 224, "crop_pct": 0.9}})
    b = run(WEAK, model="y", model_={"data_config": {"image_size": 384, "crop_pct": 0.9}})
    text = "the models prepare the same images differently: image_size 224 | 384"
    assert compare_runs(a, b).warnings == [text]


def test_single_training_seeds_are_warned_about():
    text = "one training seed a side"
    assert warned(run(WEAK, model_=weights("a")), run(WEAK, model="y", model_=weights("b")), text)
    given = run(WEAK, model_=weights("a", "hub")), run(WEAK, model_=weights("b", "hub"))
    assert not warned(*given, text)
    assert not warned(run(WEAK, model_=weights("a")), run(WEAK, model_=weights("a")), text)


def test_the_explained_class_is_counted_where_it_differs():
    maps = explanations({"random": 0.0}).assign(target=0)
    other = maps.assign(target=[1] * 3 + [0] * (len(maps) - 3))
    assert warned(run(WEAK, maps), run(WEAK, other), "differs between the runs for 3 of 24 images")
    assert not warned(run(WEAK, maps), run(WEAK, maps), "explained class")


def test_the_keys_that_keep_explanations_apart_are_named():
    b = run(WEAK, protocol={"explain": {"steps": 10, "images": 7}})
    assert warned(run(WEAK), b, "not paired: explain.steps None | 10")
    more = run(WEAK, protocol={"explain": {"images": 7, "seed": 3}})
    assert not warned(run(WEAK), more, "measured differently")
    assert RECORD["protocol"].get("explain") is None


def test_runs_of_one_model_and_seed_are_named_by_their_origin():
    runs = [run(WEAK), run(WEAK), run(WEAK)]
    found = compare_candidates(runs[0], runs[1:], origins=["v1", "v2", ""])
    assert [(item.name_a, item.name_b) for item in found] == [
        ("vit seed 0 (v1)", "vit seed 0 (v2)"),
        ("vit seed 0 (v1)", "vit seed 0 (C)"),
    ]
