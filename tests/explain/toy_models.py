"""Models whose right explanation is known, and curves by a naive loop."""

from typing import Any, ClassVar

import numpy as np
import torch

from ifambench.explain.curves import Scored
from ifambench.explain.ranking import Orders
from ifambench.models.base import Classifier, DataConfig, Selection, Trace

GRID = (4, 4)
N = GRID[0] * GRID[1]
SIDE = 8  # patches of 2 x 2 pixels


def patch_means(images: torch.Tensor) -> torch.Tensor:
    """(B, 3, 8, 8) -> (B, 16)."""
    return torch.nn.functional.avg_pool2d(images, 2).mean(1).flatten(1)


class OnePatch(Classifier):
    """The logit of class 1 is 8 times the mean of one patch; all other patches are ignored."""

    capabilities: ClassVar[frozenset[str]] = frozenset({"trace", "selection"})
    patch = 6

    def __init__(self) -> None:
        super().__init__()
        self.data_config, self.num_classes = DataConfig(SIDE), 2
        self.patch_grid, self.num_prefix_tokens = GRID, 0
        weight = torch.zeros(N)
        weight[self.patch] = 8
        self.weight = torch.nn.Parameter(weight)

    def _head(self, tokens: torch.Tensor) -> torch.Tensor:
        y = tokens.sum(1)[:, 0]
        return torch.stack([torch.zeros_like(y), y], dim=1)

    def logits(self, images: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        return self._head((patch_means(images) * self.weight)[..., None])

    def trace(self, images: torch.Tensor, masks: torch.Tensor | None = None) -> Trace:
        tokens = (patch_means(images) * self.weight)[..., None]
        batch = len(images)
        read = torch.nn.functional.one_hot(torch.tensor(self.patch), N).float()
        return Trace(
            logits=self._head(tokens),
            cam_tokens=tokens,
            attention=[torch.eye(N).expand(batch, 1, N, N)],
            index=torch.arange(N).expand(batch, N),
            valid=torch.ones(batch, N, dtype=torch.bool),
            readout=read.expand(batch, N),
        )

    def select(self, images: torch.Tensor) -> Selection:
        mask = (self.weight > 0).reshape(1, *GRID).expand(len(images), *GRID)
        maps = torch.stack([mask.float(), 1 - mask.float()], dim=1)
        return Selection(mask, mask.float(), maps)


def logit(p: Any) -> torch.Tensor:
    return torch.log(p) - torch.log1p(-p)


class Additive:
    """A forward function whose probability of class 1 is base + sum of c_p over present patches."""

    def __init__(self, parts: np.ndarray, base: float) -> None:
        self.parts, self.base = torch.from_numpy(parts), base

    def __call__(self, pixels: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        present = (patch_means(pixels).double() != 0).double()
        y = logit(self.base + (present * self.parts[index]).sum(1))
        return torch.stack([torch.zeros_like(y), y], dim=1)


def scored(forward, n: int, full: np.ndarray, empty: np.ndarray, target: int = 1) -> Scored:
    pixels = torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4)) + 0.5
    return Scored(forward, pixels, GRID, np.full(n, target), full, empty)


def naive_curves(images: Scored, orders: Orders, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """One input at a time, by the definition."""
    n = len(images.targets)
    found: dict[str, list] = {"deletion": [], "insertion": []}
    for k in range(n):
        for kind, curves in found.items():
            several = []
            for ranks in orders.ranks[orders.image == k]:
                order = np.argsort(ranks)
                curve = []
                for count in counts:
                    pixels = images.pixels[k : k + 1].clone()
                    gone = order[:count] if kind == "deletion" else order[count:]
                    h, w = images.grid
                    ph, pw = pixels.shape[2] // h, pixels.shape[3] // w
                    for p in gone:
                        r, c = divmod(int(p), w)
                        pixels[0, :, r * ph : (r + 1) * ph, c * pw : (c + 1) * pw] = 0
                    with torch.no_grad():
                        logits = images.forward(pixels, torch.tensor([k]))
                    curve.append(float(logits.double().softmax(1)[0, images.targets[k]]))
                several.append(curve)
            curves.append(np.mean(several, axis=0))
    return np.array(found["deletion"]), np.array(found["insertion"])
