from itertools import pairwise

import numpy as np
import pytest
import torch

from ifambench.explain.sanity.randomise import block_names, depths, randomised
from tests.explain.sanity.toy import Additive
from tests.explain.toy_models import OnePatch
from tests.models.small_models import KINDS, images, vit

MODELS = {kind: build() for kind, build in KINDS.items()}


def state(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(model: torch.nn.Module, other: torch.nn.Module) -> set[str]:
    two = other.state_dict()
    return {name for name, value in model.state_dict().items() if not value.equal(two[name])}


@pytest.mark.parametrize("kind", MODELS)
def test_each_depth_changes_its_parameters_and_no_others(kind: str) -> None:
    model = MODELS[kind]
    before, random = state(model), torch.get_rng_state()
    for names in depths(model).values():
        assert changed(model, randomised(model, names, seed=0)) == set(names)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert torch.get_rng_state().equal(random)


def test_depths_of_a_vit() -> None:
    found = depths(MODELS["registers"])
    assert list(found) == ["head", "last_block", "cascading:1", "cascading:2", "all"]
    assert {name.split(".")[1] for name in found["head"]} == {"norm", "head"}
    assert all(name.startswith("vit.blocks.2.") for name in found["last_block"])
    assert found["cascading:1"] == found["last_block"] + found["head"]
    assert {"vit.cls_token", "vit.reg_token", "vit.pos_embed"} <= set(found["all"])
    assert not {"vit.cls_token", "vit.reg_token", "vit.pos_embed"} & set(found["cascading:2"])
    assert len(found["all"]) == len(list(MODELS["registers"].parameters()))


def test_two_stages_are_one_way_down() -> None:
    """The head is that of stage 2; the cascade reaches stage 1 when stage 2 is used up."""
    found = depths(MODELS["ifam"])
    assert {name.partition(".")[0] for name in found["head"]} == {"stage_2"}
    assert all(name.startswith("stage_2.vit.blocks.2.") for name in found["last_block"])
    assert {name.partition(".")[0] for name in found["cascading:3"]} == {"stage_2"}
    assert {"stage_1.fc_landmarks.weight", "stage_1.vit.blocks.2.attn.qkv.weight"} <= set(
        found["cascading:4"]
    )
    assert not any(name.startswith("stage_1.vit.blocks.1.") for name in found["cascading:4"])


def test_a_cascade_holds_the_one_before() -> None:
    for model in MODELS.values():
        steps = [set(part) for depth, part in depths(model).items() if ":" in depth]
        assert all(a < b for a, b in pairwise(steps))


def test_blocks_of_a_residual_network() -> None:
    from ifambench.models.timm_import import import_timm

    network = import_timm().create_model("resnet18", pretrained=False)
    names = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert block_names(network) == names  # and not the two modules of a downsampling


def test_networks_without_blocks() -> None:
    assert depths(OnePatch()) == {"head": ["weight"], "all": ["weight"]}
    assert depths(Additive()) == {}


def test_new_values_keep_mean_and_spread_but_nothing_else() -> None:
    model = vit()
    name = "vit.blocks.0.mlp.fc1.weight"
    old = model.get_parameter(name).detach().flatten()
    new = randomised(model, [name], seed=0).get_parameter(name).detach().flatten()
    assert float(new.mean()) == pytest.approx(float(old.mean()), abs=4 * 0.15 / len(new) ** 0.5)
    assert float(new.std()) == pytest.approx(float(old.std()), rel=0.05)
    assert abs(np.corrcoef(old, new)[0, 1]) < 4 / len(new) ** 0.5
    assert float((new - old.mean()).abs().max()) < 2.3 * float(old.std())


def test_a_constant_tensor_is_changed_too() -> None:
    model = vit()
    new = randomised(model, ["vit.norm.weight"], seed=0).vit.norm.weight.detach()
    assert (model.vit.norm.weight == 1).all()
    assert float(new.std()) == pytest.approx(0.02, rel=0.3)
    assert float(new.mean()) == pytest.approx(1, abs=0.02)


def test_values_belong_to_the_name_and_the_seed() -> None:
    model = MODELS["plain"]
    all_names = depths(model)["all"]
    one, two = randomised(model, all_names, seed=0), randomised(model, all_names, seed=1)
    only = randomised(model, ["vit.head.weight"], seed=0)
    assert only.vit.head.weight.equal(one.vit.head.weight)
    assert not one.vit.head.weight.equal(two.vit.head.weight)
    blocks = one.vit.blocks
    assert not blocks[0].attn.qkv.weight.equal(blocks[1].attn.qkv.weight)


def test_all_weights_anew_give_another_model() -> None:
    model = MODELS["plain"]
    other = randomised(model, depths(model)["all"], seed=0)
    with torch.no_grad():
        one, two = model.logits(images()), other.logits(images())
    assert two.isfinite().all()
    assert not torch.allclose(one, two, atol=0.1)
