"""Groups of the optimizer against the published table, and the old two groups by default."""

import math

import pytest

from ifambench.models.ifam import build_ifam
from ifambench.models.timm_vit import build_vit
from ifambench.train.ifam_steps import IfamStep
from ifambench.train.optimizer_groups import optimizer_groups
from ifambench.train.recipes import LR_FACTORS, Recipe

PUBLISHED = Recipe(
    epochs=90,
    batch_size=128,
    lr=1e-6,
    lr_stage_1=1e-6,
    lr_batch=16,
    lr_factors=LR_FACTORS | {"prototypes": 1e3, "modulation": 1e4, "heads": 1e4},
    weight_decay=0.05,
    weight_decay_rule="normalised",
    decay="matrices",
    train_stage_1_tokens=True,
)
CUB_TRAIN = 5994


def sizes(groups):
    """(rate / backbone rate, whether there is decay) -> number of values."""
    rate = PUBLISHED.peak_lr(PUBLISHED.lr)
    return {
        (round(group["peak_lr"] / rate), group["weight_decay"] > 0): sum(
            p.numel() for p in group["params"]
        )
        for group in groups
    }


def test_the_published_table():
    k, classes, dim = 4, 3, 64
    model = build_ifam(classes, 64, num_parts=k)
    step = IfamStep(model, PUBLISHED)
    named = dict(model.stage_2.vit.named_parameters())
    tokens = sum(named[name].numel() for name in ("cls_token", "pos_embed"))
    matrices = sum(p.numel() for n, p in named.items() if p.ndim > 1) - tokens
    vectors = sum(p.numel() for p in named.values() if p.ndim == 1)
    assert sizes(step.parameter_groups(CUB_TRAIN)) == {
        (1, False): 2 * tokens + vectors,  # tokens of both stages, vectors of stage 2
        (1, True): matrices,  # of stage 2
        (1000, False): dim * (k + 1),  # prototypes
        (10_000, False): 2 * dim * (k + 1) + 2 * dim,  # modulation, norm before the head
        (10_000, True): 2 * classes * dim,  # both class heads
    }


def test_the_published_rate_and_decay():
    assert PUBLISHED.peak_lr(PUBLISHED.lr) == pytest.approx(2.828e-6, rel=1e-3)
    assert PUBLISHED.effective_weight_decay(CUB_TRAIN) == pytest.approx(7.77e-4, rel=1e-3)
    assert PUBLISHED.effective_weight_decay(CUB_TRAIN) == 0.05 * math.sqrt(1 / (46 * 90))


def test_by_default_prototypes_and_heads_of_stage_1_have_a_rate_of_their_own():
    model = build_ifam(2, 64)
    step = IfamStep(model, Recipe(lr=1e-3, lr_stage_1=3e-3, weight_decay=0.1))
    stage_1, stage_2 = step.parameter_groups(100)
    assert (stage_1["peak_lr"], stage_2["peak_lr"]) == (3e-3, 1e-3)
    assert stage_1["weight_decay"] == stage_2["weight_decay"] == 0.1
    assert [id(p) for p in stage_2["params"]] == [id(p) for p in model.stage_2.parameters()]
    own = [p for p in model.stage_1.parameters() if p.requires_grad]
    assert [id(p) for p in stage_1["params"]] == [id(p) for p in own]


def test_every_trainable_tensor_is_in_one_group():
    vit = build_vit(2, 64)
    vit.vit.pos_embed.requires_grad_(False)
    recipe = Recipe(decay="matrices", lr_factors=LR_FACTORS | {"heads": 100.0})
    groups = optimizer_groups(vit, recipe, 100)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in vit.parameters() if p.requires_grad)
    heads = {id(p) for g in groups if g["peak_lr"] > recipe.lr for p in g["params"]}
    assert heads == {id(vit.vit.head.weight), id(vit.vit.head.bias)}
