"""What a request means for explanations: names, numbers, digests, cost."""

import shlex

import pytest

from ifambench.errors import UsageError
from ifambench.explain.base import EXPLAINER_REGISTRY
from ifambench.plan import make_plan
from ifambench.plan_explain import EVERY_IMAGE, ExplainPlan
from ifambench.records.key import digest
from ifambench.request import RunRequest
from ifambench.suites.spec import Explain
from tests.tiny import write_tiny_suite

OF_THE_FIRST_VERSION = {
    "images": 8,
    "steps": 4,
    "operator": "mean",
    "target": "predicted",
    "random_draws": 2,
    "seed": 0,
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    return str(write_tiny_suite(tmp_path_factory.mktemp("suite")))


def plan(suite, tmp_path, model="vit-micro", **changes):
    return make_plan(RunRequest(suite, model, tmp_path, threads=1, **changes))


@pytest.mark.parametrize(
    ("changes", "settings", "names"),
    [
        ({}, {}, ["attention-rollout", "grad-cam", "random"]),
        ({"images": 2, "steps": 3}, {"images": 2, "steps": 3}, None),
        ({"explainers": ("center",)}, {}, ["center", "random"]),
        ({"images": 0}, {"images": 0}, []),
        ({"operators": ("mean",), "target": "predicted", "explain_precision": "32"}, {}, None),
    ],
)
def test_requests_without_new_options_keep_their_digest(suite, tmp_path, changes, settings, names):
    names = ["attention-rollout", "grad-cam", "random"] if names is None else names
    key = plan(suite, tmp_path, **changes).key()["explain"]
    assert key == digest([OF_THE_FIRST_VERSION | settings, names])


@pytest.mark.parametrize(
    "changes",
    [
        {"images": "all"},
        {"steps": "patch"},
        {"operators": ("drop",)},
        {"operators": ("mean", "drop")},
        {"operators": ("mean", "blur")},
        {"target": "label"},
        {"explain_precision": "bf16"},
        {"sanity": 4},
        {"sanity": "all"},
        {"explainers": ("all",)},
    ],
)
def test_every_option_changes_the_key_and_nothing_but_the_explanations(suite, tmp_path, changes):
    before, after = plan(suite, tmp_path), plan(suite, tmp_path, **changes)
    differing = [name for name, value in before.key().items() if after.key()[name] != value]
    assert differing == ["explain"]
    words = shlex.split(after.command())
    for option, value in changes.items():
        name = option.replace("_", "-").removesuffix("s") if isinstance(value, tuple) else option
        assert f"--{name}".replace("_", "-") in words


def test_the_battery_is_for_models_with_a_mask_of_their_own(suite, tmp_path):
    with pytest.raises(UsageError, match="no mask of its own"):
        plan(suite, tmp_path, battery=4)
    for model in ("gradcam-vit-micro", "oracle-vit-micro", "late-vit-micro"):
        found = plan(suite, tmp_path, model, battery=4)
        words = found.command().split()
        assert "--battery" in words
        assert words[words.index("--battery-images") + 1] == "4"
        assert found.key()["explain"] != plan(suite, tmp_path, model).key()["explain"]


def test_all_takes_what_suits_and_names_the_rest_with_the_reason(suite, tmp_path):
    found = plan(suite, tmp_path, explainers=("all",)).explain
    assert set(found.explainers) | set(found.left_out) == set(EXPLAINER_REGISTRY.names())
    assert not set(found.explainers) & set(found.left_out)
    assert {"grad-cam", "random", "oracle-foreground"} <= set(found.explainers)
    assert found.left_out["ifam-mask"] == 'needs a model with the capability "selection"'
    written = plan(suite, tmp_path, explainers=found.explainers)
    assert written.key() == plan(suite, tmp_path, explainers=("all",)).key()


def test_all_and_a_name_that_does_not_suit_is_refused(suite, tmp_path):
    with pytest.raises(UsageError, match="selection"):
        plan(suite, tmp_path, explainers=("all", "ifam-mask"))


def test_all_images_stand_as_such_in_the_record(suite, tmp_path):
    found = plan(suite, tmp_path, images="all").explain
    assert found.settings.images == EVERY_IMAGE
    assert found.protocol()["images"] == "all"


def test_the_record_of_a_plain_run_says_what_it_always_said(suite, tmp_path):
    found = plan(suite, tmp_path).explain.protocol()
    assert found == {"protocol": "patch-curve/1", **OF_THE_FIRST_VERSION}


def test_one_step_per_patch(suite, tmp_path):
    found = plan(suite, tmp_path, steps="patch")
    assert found.explain.settings.steps == 64
    assert found.key() == plan(suite, tmp_path, steps=64).key()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"operators": ("model",)}, "--operator"),
        ({"operators": ("nothing",)}, "nothing"),
        ({"target": "worst"}, "--target"),
        ({"explain_precision": "16"}, "--explain-precision"),
        ({"images": "some"}, "--images"),
        ({"images": "patch"}, "--images"),
        ({"steps": "all"}, "--steps"),
        ({"sanity": -1}, "--sanity"),
        ({"mask_samples": -1}, "--mask-samples"),
        ({"images": 0, "sanity": 4}, "--sanity"),
        ({"images": 0, "operators": ("drop",)}, "--operator"),
        ({"images": 0, "target": "label"}, "--target"),
        ({"images": 0, "explainers": ("all",)}, "--explainer"),
    ],
)
def test_what_cannot_be_is_refused(suite, tmp_path, changes, named):
    with pytest.raises(UsageError, match=named):
        plan(suite, tmp_path, **changes)


def test_a_part_of_the_journal_does_not_depend_on_the_other_parts():
    settings = Explain(images=8, steps=4)
    key = ExplainPlan(settings, ("random",)).settings_key()
    more = ExplainPlan(Explain(images=9, steps=4), ("random", "center"), sanity=3)
    assert more.settings_key() == key
    for other in ({"steps": 5}, {"seed": 1}, {"target": "label"}, {"operator": "drop"}):
        changed = ExplainPlan(settings.model_copy(update=other), ("random",))
        assert changed.settings_key() != key
    assert ExplainPlan(settings, ("random",), precision="bf16").settings_key() != key
