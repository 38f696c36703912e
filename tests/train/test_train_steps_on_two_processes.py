"""Two processes with half a batch each have the losses and gradients of one with the whole."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ifambench.models.ifam import build_ifam
from ifambench.models.pdiscoformer import build_pdiscoformer
from ifambench.models.timm_vit import build_oracle_vit, build_vit
from ifambench.train.helpers import reserved_port
from ifambench.train.methods import make_step
from ifambench.train.recipes import LOSS_WEIGHTS, Recipe
from ifambench.train.steps import Batch

BUILDERS = {"vit": build_vit, "oracle": build_oracle_vit}
BUILDERS |= {"ifam": build_ifam, "parts": build_pdiscoformer}
CASES = {
    "erm-cub": ("vit", "erm", Recipe(augment="cub", class_balanced=True)),
    "oracle-crop": ("oracle", "erm", Recipe(augment="crop")),
    "groupdro": ("vit", "groupdro", Recipe(group_step=1.0)),
    "mixup": ("vit", "mixup", Recipe(augment="flip", class_balanced=True)),
    "ifam": ("ifam", "ifam", Recipe()),
    "ifam-straight-through": (
        *("ifam", "ifam"),
        Recipe(mask_gradient="straight-through", losses={**LOSS_WEIGHTS, "equivariance": 0.0}),
    ),
    "parts-official": ("parts", "parts", Recipe(compat="official", train_stage_1_tokens=True)),
}


def whole_batch():
    torch.manual_seed(0)
    group = torch.tensor([0, 0, 1, 3, 3, 3, 2, 0])
    masks = torch.rand(8, 64, 64) < 0.7
    return Batch(torch.randn(8, 3, 64, 64), group // 2, group, None, masks)


def rows(batch, rank, world):
    size = len(batch.y) // world
    part = slice(rank * size, (rank + 1) * size)
    return Batch(*(None if value is None else value[part] for value in batch))


def gradients(case, rank=0, world=1):
    """Name -> gradient, and under `total` the loss; both of this process."""
    kind, method, recipe = CASES[case]
    torch.manual_seed(1)
    model = BUILDERS[kind](num_classes=2, image_size=64, **recipe.architecture())
    step = make_step(method, model, recipe, 4).train()
    step.balance(torch.tensor([0, 0, 0, 1]))
    torch.manual_seed(2)
    batch = rows(whole_batch(), rank, world)
    if kind != "oracle":
        batch = batch._replace(pixel_masks=None)
    loss = step(batch)["total"]
    loss.backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    found |= {f"buffer {n}": b for n, b in step.named_buffers() if "group_weights" in n}
    return found | {"total": loss.detach()}


def on_one_of_two(rank, folder, port):
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    means = {}
    for case in CASES:
        found = gradients(case, rank, 2)
        for value in found.values():
            dist.all_reduce(value)
            value /= 2
        means[case] = found
    if rank == 0:
        torch.save(means, folder / "means.pt")
    dist.destroy_process_group()
    os._exit(0)  # torch's threads may abort a process that Python is tidying up


@pytest.fixture(scope="module")
def means_of_two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    with reserved_port() as port:
        mp.spawn(on_one_of_two, (folder, port), nprocs=2)
    return torch.load(folder / "means.pt", weights_only=True)


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_one_process(means_of_two, case):
    one, two = gradients(case), means_of_two[case]
    assert one.keys() == two.keys()
    for name, value in one.items():
        scale = value.abs().max().clamp(min=1e-3)
        assert (value - two[name]).abs().max() < 1e-4 * scale, name
