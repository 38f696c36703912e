"""What a removed patch becomes: fills, dropped tokens, the model's own mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ifambench.errors import UsageError
from ifambench.explain import removal
from ifambench.explain.base import ExplainContext
from ifambench.explain.curves import patch_curves
from ifambench.explain.fills import blurred, fill_of, fill_patches
from ifambench.explain.keep_score import keep_score, scores_of_sets
from ifambench.explain.operators import (
    FILLS,
    OPERATORS,
    check_operator,
    label_of,
    labels_of,
    operators_of,
)
from ifambench.explain.ranking import patch_orders
from ifambench.explain.scoring import scorer_of, token_budget
from ifambench.models.explain_then_predict import ExplainThenPredict
from ifambench.models.label_map import LabelMap, Mapped
from ifambench.models.late_mask import LateMaskVit
from ifambench.models.tokens import Kept, embed, encode, pool
from tests.explain.toy_models import Function, OnePatch
from tests.models.small_models import CLASSES, GRID, KINDS, images, keeps, lively, masks_for, vit

IDS = [f"image-{k}" for k in range(5)]
N = 16
LABELS = LabelMap(((0, 2), (1,)), "members")


def explain_then_predict() -> ExplainThenPredict:
    plain = vit()
    return lively(ExplainThenPredict(plain.vit, plain.data_config, "attention-rollout", 0.5))


MODELS = {
    **KINDS,
    "explain-then-predict": explain_then_predict,
    "mapped": lambda: Mapped(vit(), LABELS),
    "mapped-two-stage": lambda: Mapped(KINDS["ifam"](), LABELS),
    "late": lambda: vit(LateMaskVit),
    "class-token-averaged": lambda: vit(global_pool="avg", fc_norm=False),
    "pre-norm": lambda: vit(pre_norm=True),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest):
    return MODELS[request.param]()


def masks_of(model):
    return masks_for(model) if "true_masks" in model.capabilities else None


def scorer(model, operator: str, **more):
    targets = torch.tensor([0, 1, 1, 0, 1])
    return scorer_of(
        model, images(), targets, operator=operator, ids=IDS, masks=masks_of(model), **more
    )


def orders(seed: int = 0):
    relevance = np.random.default_rng(seed).normal(size=(5, *GRID)).astype(np.float32)
    return patch_orders(relevance, IDS)


def logits_for(one, keep: torch.Tensor) -> torch.Tensor:
    """Logits of some sets of the five images, one set at a time."""
    keep = keep.flatten(1)
    with torch.inference_mode():
        each = [
            one.removal.logits(torch.tensor([k]), keep[k : k + 1], int(keep[k].sum()))
            for k in range(5)
        ]
    return torch.cat(each)


@pytest.mark.parametrize("operator", FILLS)
def test_mixed_tokens_are_filled_pixels(model, operator: str, monkeypatch) -> None:
    mixed = scorer(model, operator)
    fill = fill_of(operator, images(), IDS, model.data_config, 0)
    with torch.no_grad():
        pixels = fill_patches(images(), keeps(), fill)
        expected = model.unmapped.logits(pixels, masks_of(model))
    torch.testing.assert_close(logits_for(mixed, keeps()), expected, atol=1e-5, rtol=0)
    curves = patch_curves(mixed, orders(), 4)
    monkeypatch.setattr(removal, "mixing_path", lambda model: None)
    filled = patch_curves(scorer(model, operator), orders(), 4)
    np.testing.assert_allclose(curves.deletion, filled.deletion, atol=1e-6)
    np.testing.assert_allclose(curves.insertion, filled.insertion, atol=1e-6)


def test_tokens_are_mixed_where_the_model_is_one_plain_vit() -> None:
    mixed = {name for name, make in MODELS.items() if scorer(make(), "mean").removal._path}
    assert mixed == {
        *("plain", "no-class-token", "registers", "mapped", "class-token-averaged", "pre-norm")
    }
    replaced = vit()
    replaced.logits = lambda images, masks=None: torch.zeros(len(images), CLASSES)
    assert scorer(replaced, "mean").removal._path is None


@pytest.mark.parametrize("operator", ["drop", "model"])
def test_gathered_tokens_are_the_models_own(model, operator: str, monkeypatch) -> None:
    if operator not in operators_of(model):
        with pytest.raises(UsageError, match=f'operator "{operator}"'):
            scorer(model, operator)
        return
    gathered, masks = scorer(model, operator), masks_of(model)
    assert gathered.removal._path
    shown = keeps() if masks is None else keeps(seed=7)
    left = shown if masks is None else shown & masks
    with torch.no_grad():
        expected = model.unmapped.logits_from_patches(images(), left)
    torch.testing.assert_close(logits_for(gathered, left), expected, atol=1e-5, rtol=0)
    curves = patch_curves(gathered, orders(), 5)
    monkeypatch.setattr(removal, "dropping_path", lambda model: None)
    other = patch_curves(scorer(model, operator), orders(), 5)
    np.testing.assert_allclose(curves.deletion, other.deletion, atol=1e-6)
    np.testing.assert_allclose(curves.insertion, other.insertion, atol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "registers", "no-class-token", "class-token-averaged"])
def test_dropped_tokens_are_hidden_keys(kind: str) -> None:
    """The whole sequence, in which no query sees a removed patch, gives the same logits."""
    model = MODELS[kind]()
    prefix = torch.ones(5, model.num_prefix_tokens, dtype=torch.bool)
    valid = torch.cat([prefix, keeps().flatten(1)], dim=1)
    with torch.no_grad():
        kept = Kept(embed(model.vit, images()), valid, torch.arange(N).expand(5, -1))
        hidden = model.vit.head(pool(model.vit, encode(model.vit, kept), valid))
    dropped = logits_for(scorer(model, "drop"), keeps())
    torch.testing.assert_close(dropped, hidden, atol=1e-5, rtol=0)


@pytest.mark.parametrize("operator", ["mean", "drop"])
def test_fused_attention_changes_nothing(operator: str) -> None:
    model = vit()
    fused = patch_curves(scorer(model, operator), orders(), 4)
    for block in model.vit.blocks:
        assert block.attn.fused_attn
        block.attn.fused_attn = False
    plain = patch_curves(scorer(model, operator), orders(), 4)
    np.testing.assert_allclose(plain.deletion, fused.deletion, atol=1e-5)
    np.testing.assert_allclose(plain.insertion, fused.insertion, atol=1e-5)


def test_ends_under_every_operator(model) -> None:
    """The intact end is the prediction, but under `model`; the empty end is finite."""
    with torch.no_grad():
        clean = model.unmapped.logits(images(), masks_of(model))
        every = None
        if "selection" in model.capabilities:
            whole = torch.ones(5, *GRID, dtype=torch.bool)
            every = model.unmapped.logits_from_patches(images(), whole)
    for operator in operators_of(model):
        one = scorer(model, operator)
        curves = patch_curves(one, orders(), 4)
        expected = every if operator == "model" else clean
        if model.label_map is not None:
            expected = model.label_map.scores(expected)
        target = expected.gather(1, one.targets[:, None])[:, 0]
        np.testing.assert_allclose(curves.deletion_logit[:, 0], target, atol=1e-4)
        probability = expected.double().softmax(1).gather(1, one.targets[:, None])[:, 0]
        np.testing.assert_allclose(curves.deletion[:, 0], probability, atol=1e-5)
        assert np.isfinite(curves.deletion_logit).all()
        assert np.isfinite(curves.insertion_logit).all()


@pytest.mark.parametrize("kind", ["no-class-token", "class-token-averaged", "oracle-averaged"])
def test_an_average_over_no_patch_is_a_vector_of_zeros(kind: str) -> None:
    model = MODELS[kind]()
    nothing = torch.zeros(1, *GRID, dtype=torch.bool)
    with torch.no_grad():
        found = model.logits_from_patches(images(1), nothing)
        norm = model.vit.fc_norm
        zero = torch.zeros(1, model.vit.embed_dim)
        torch.testing.assert_close(found, model.vit.head(norm(zero)))
    empty = patch_curves(scorer(model, "drop"), orders(), 4).deletion[:, -1]
    expected = found.double().softmax(1)[0, [0, 1, 1, 0, 1]]
    np.testing.assert_allclose(empty, expected, atol=1e-6)


def test_nothing_left_is_the_prefix_alone_for_every_image() -> None:
    model = vit(reg_tokens=4)
    curves = patch_curves(scorer(model, "drop"), orders(), 4)
    with torch.no_grad():
        prefix = embed(model.vit, images(1))[:, :5]
        for block in model.vit.blocks:
            prefix = block(prefix)
        logits = model.vit.head(model.vit.forward_head(model.vit.norm(prefix), pre_logits=True))
    np.testing.assert_allclose(curves.deletion_logit[:, -1], logits[0, [0, 1, 1, 0, 1]], atol=1e-5)


def test_the_model_operator_gives_the_mask_to_the_second_stage() -> None:
    """What the first stage would choose does not matter, only what is kept."""
    model = KINDS["ifam"]()
    before = patch_curves(scorer(model, "model"), orders(), 4)
    model.stage_1.fc_landmarks.weight.data.neg_()
    after = patch_curves(scorer(model, "model"), orders(), 4)
    np.testing.assert_array_equal(before.deletion, after.deletion)
    filled = patch_curves(scorer(model, "mean"), orders(), 4).deletion
    model.stage_1.fc_landmarks.weight.data.neg_()
    assert np.abs(patch_curves(scorer(model, "mean"), orders(), 4).deletion - filled).max() > 1e-3


def test_each_model_has_its_operators() -> None:
    known = {name: operators_of(make()) for name, make in MODELS.items()}
    for name in ("plain", "oracle", "mapped", "class-token-averaged"):
        assert known[name] == [*FILLS, "drop"]
    for name in ("ifam", "explain-then-predict", "mapped-two-stage"):
        assert known[name] == [*FILLS, "model"]
    assert known["late"] == list(FILLS)
    assert operators_of(Function(lambda pixels: pixels)) == list(FILLS)


def test_refusals_say_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"chooses its own patches.*\"model\""):
        check_operator("drop", KINDS["ifam"]())
    with pytest.raises(UsageError, match=r"no mask of its own.*\"drop\""):
        check_operator("model", vit())
    with pytest.raises(UsageError, match="cannot run on some of its patches") as error:
        check_operator("drop", OnePatch())
    assert list(error.value.choices) == list(FILLS)
    with pytest.raises(UsageError, match="did you mean blur"):
        check_operator("blurr", vit())


def test_names_in_tables() -> None:
    assert labels_of(["a", "b"], ["drop", "mean"]) == {
        "a": ("a", "drop"),
        "b": ("b", "drop"),
        "a@mean": ("a", "mean"),
        "b@mean": ("b", "mean"),
    }
    assert label_of("a", "drop", "drop") == "a"
    assert all(OPERATORS.values())


# fills


def test_filling() -> None:
    pixels = torch.rand(2, 3, 8, 12) + 1
    keep = torch.tensor([[[True, False, True]] * 2, [[False] * 3, [True] * 3]])
    filled = fill_patches(pixels, keep)
    assert (filled[0, :, :, 4:8] == 0).all()
    assert torch.equal(filled[0, :, :, :4], pixels[0, :, :, :4])
    assert (filled[1, :, :4] == 0).all()
    assert torch.equal(filled[1, :, 4:], pixels[1, :, 4:])
    other = fill_patches(pixels, keep, -pixels)
    assert torch.equal(other[0, :, :, 4:8], -pixels[0, :, :, 4:8])
    assert torch.equal(other[1, :, 4:], pixels[1, :, 4:])
    broken = torch.full_like(pixels, torch.nan)
    assert (fill_patches(broken, torch.zeros_like(keep)) == 0).all()
    with pytest.raises(ValueError, match="does not divide"):
        fill_patches(torch.rand(1, 3, 8, 8), torch.ones(1, 3, 3, dtype=torch.bool))


def test_black_and_mean_are_colours() -> None:
    config = replace(vit().data_config, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.5))
    black = fill_of("black", images(), IDS, config, 0)
    assert black.shape == (1, 3, 32, 32)
    shown = (
        black * torch.tensor(config.std)[:, None, None] + torch.tensor(config.mean)[:, None, None]
    )
    torch.testing.assert_close(shown, torch.zeros_like(shown))
    assert (fill_of("mean", images(), IDS, config, 0) == 0).all()


def test_noise_belongs_to_the_image_and_the_seed() -> None:
    config = vit().data_config
    whole = fill_of("noise", images(), IDS, config, 3)
    alone = fill_of("noise", images()[2:3], IDS[2:3], config, 3)
    assert torch.equal(whole[2], alone[0])
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole, fill_of("noise", images(), IDS, config, 4))
    assert abs(whole.mean()) < 0.05
    assert abs(whole.std() - 1) < 0.05


def test_blur_is_a_gaussian() -> None:
    point = torch.zeros(1, 3, 41, 41)
    point[:, :, 20, 20] = 1
    found = blurred(point)[0, 1]
    at = torch.arange(41.0) - 20
    kernel = torch.exp(-0.5 * (at / (41 / 20)) ** 2) * (at.abs() <= 7)
    kernel = kernel / kernel.sum()
    torch.testing.assert_close(found, kernel[:, None] * kernel, atol=1e-6, rtol=0)
    flat = torch.full((1, 3, 16, 8), 0.7)
    torch.testing.assert_close(blurred(flat), flat)


# scores of sets for explainers


@pytest.mark.parametrize("operator", ["mean", "noise", "drop"])
def test_scores_of_sets(operator: str) -> None:
    one = scorer(vit(), operator)
    index = torch.tensor([3, 0, 3, 1, 2, 3])
    keep = torch.rand(6, *GRID, generator=torch.Generator().manual_seed(5)) > 0.5
    keep[5] = False
    found = scores_of_sets(one)(index, keep)
    assert found.dtype == torch.float32
    assert not found.is_inference()
    with torch.no_grad():
        for k in range(6):
            logits = one.removal.logits(
                index[k : k + 1], keep[k : k + 1].flatten(1), int(keep[k].sum())
            )
            expected = logits.softmax(1)[0, one.targets[index[k]]]
            torch.testing.assert_close(found[k], expected, atol=1e-6, rtol=0)
    shifted = scores_of_sets(one, first=1)(index[1:2], keep[1:2])
    torch.testing.assert_close(shifted, scores_of_sets(one)(index[1:2] + 1, keep[1:2]))


def test_without_a_score_patches_become_the_mean() -> None:
    model, targets = vit(), torch.tensor([0, 1, 1, 0, 1])
    context = ExplainContext(IDS, batch_size=3)
    index, keep = torch.arange(5), keeps()
    found = keep_score(model, images(), targets, context)(index, keep)
    torch.testing.assert_close(found, scores_of_sets(scorer(model, "mean"))(index, keep))
    given = replace(context, score=lambda index, keep: index.float())
    assert keep_score(model, images(), targets, given)(index, keep).tolist() == [0, 1, 2, 3, 4]


def test_true_masks_stay_with_dropped_patches() -> None:
    model = KINDS["oracle"]()
    found = scores_of_sets(scorer(model, "drop"))(torch.arange(5), keeps(seed=7))
    with torch.no_grad():
        logits = model.logits_from_patches(images(), keeps(seed=7) & masks_of(model))
    expected = logits.softmax(1).gather(1, torch.tensor([0, 1, 1, 0, 1])[:, None])[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


# batches


def test_dropped_patches_make_room_in_a_batch(monkeypatch) -> None:
    model = vit()
    one, seen = scorer(model, "drop", batch_size=4), []
    whole = one.removal.logits

    def logits(index, keep, count):
        seen.append((len(index), count))
        assert (keep.sum(1) == count).all()
        return whole(index, keep, count)

    monkeypatch.setattr(one.removal, "logits", logits)
    patch_curves(one, orders(), 8)
    budget = 4 * (N + 1)
    assert max(size * (1 + count) for size, count in seen) <= budget
    assert max(size for size, _ in seen) > 4
    fullest = {count: max(size for size, k in seen if k == count) for _, count in seen}
    # deletion and insertion of five images share a size: ten sets, or as many as fit
    assert all(
        size == min(10 if count not in (0, N) else 5, budget // (1 + count))
        for count, size in fullest.items()
        if count
    )


def test_budget_depends_on_the_device() -> None:
    model = vit()
    assert token_budget(model, "cpu", 3) == 3 * 17
    assert token_budget(model, "cpu") == 1600 * torch.get_num_threads()
    assert token_budget(model, "cuda") > 20 * 1600
