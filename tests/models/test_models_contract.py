import json

import pytest
import torch

from ifambench.errors import UsageError
from ifambench.models.base import Classifier
from ifambench.models.sizes import SIZES
from ifambench.registry import Registry
from tests.models.small_models import GRID, SIDE, images, keeps

REGISTRY = Registry("model", "ifambench.models", "MODELS")
ABILITIES = {
    "tokens": lambda model, x: model.logits_from_patches(x, keeps(len(x))),
    "trace": lambda model, x: model.trace(x, keeps(len(x))),
    "selection": lambda model, x: model.select(x),
    "conv": lambda model, x: model.conv_features(x),
    "parts": lambda model, x: model.part_votes(x),
}


# the sizes of a family share their code: the smallest stands for all
SMALL = [
    name for name, entry in REGISTRY.entries().items() if entry.info.get("size", "micro") == "micro"
]


@pytest.fixture(scope="module", params=SMALL)
def model(request: pytest.FixtureRequest) -> Classifier:
    torch.manual_seed(0)
    return REGISTRY.load(request.param)(num_classes=3, image_size=SIDE).eval()


LARGER = [name for name in REGISTRY.names() if name not in SMALL]


@pytest.mark.parametrize("name", LARGER)
def test_larger_sizes_are_built_without_memory(name: str) -> None:
    entry = REGISTRY.entry(name)
    side = 224 * 2  # tiled by 14 and by 16
    with torch.device("meta"):
        model = entry.load()(num_classes=7, image_size=side, size=entry.info["size"])
    patch = SIZES[entry.info["size"]].patch_size
    assert model.patch_grid == (side // patch, side // patch)
    assert model.num_classes == 7
    assert model.data_config.mean == SIZES[entry.info["size"]].mean
    with pytest.raises(UsageError, match="do not tile"):
        entry.load()(num_classes=7, image_size=side + 1, size=entry.info["size"])


def given(model: Classifier, n: int = 5) -> tuple[torch.Tensor, ...]:
    masks = keeps(n) if "true_masks" in model.capabilities else None
    return (images(n),) if masks is None else (images(n), masks)


def test_states_what_it_is(model: Classifier) -> None:
    assert model.patch_grid == GRID
    assert model.num_classes == 3
    described = json.loads(json.dumps(model.describe()))
    assert described["parameters"] > 0
    assert set(described["capabilities"]) <= {*ABILITIES, "true_masks", "relprop"}


def test_logits(model: Classifier) -> None:
    logits = model.logits(*given(model))
    assert logits.shape == (5, 3)
    assert logits.isfinite().all()
    assert torch.equal(logits, model.logits(*given(model)))


def test_refuses_another_size(model: Classifier) -> None:
    small = torch.zeros(2, 3, SIDE - 8, SIDE)
    with pytest.raises(UsageError, match=f"takes {SIDE} x {SIDE} images"):
        model.logits(small, keeps(2))


def test_abilities_are_as_declared(model: Classifier) -> None:
    for name, use in ABILITIES.items():
        if name in model.capabilities:
            use(model, images())
        else:
            with pytest.raises(UsageError, match=f'no capability "{name}"'):
                use(model, images())


def test_oracle_needs_masks(model: Classifier) -> None:
    if "true_masks" in model.capabilities:
        with pytest.raises(UsageError, match="true masks"):
            model.logits(images())


def test_trains(model: Classifier) -> None:
    model.logits(*given(model)).square().sum().backward()
    graded = [p.grad for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    assert graded
    assert all(grad.isfinite().all() for grad in graded)


def test_trace_fits_the_logits(model: Classifier) -> None:
    if "trace" not in model.capabilities:
        pytest.skip("no trace")
    trace = model.trace(*given(model))
    torch.testing.assert_close(trace.logits, model.logits(*given(model)), atol=1e-5, rtol=0)
    torch.testing.assert_close(trace.readout.sum(1), torch.ones(5))
    assert trace.index.shape[1] + model.num_prefix_tokens == trace.valid.shape[1]
