"""Models whose right explanation is known, and curves by a naive loop."""

from typing import Any, ClassVar

import numpy as np
import torch

from ifambench.explain.ranking import Orders
from ifambench.explain.scoring import Scorer, scorer_of
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


class Additive(Classifier):
    """The probability of class 1 is base + the sum of c_p over present patches, of each image."""

    def __init__(self, parts: np.ndarray, base: float) -> None:
        super().__init__()
        self.data_config, self.num_classes = DataConfig(SIDE), 2
        self.patch_grid, self.num_prefix_tokens = GRID, 0
        self.parts, self.base = torch.from_numpy(parts), base

    def logits(self, images: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        # the first pixel says which image it is, the others whether their patch is there
        owner = images[:, 2, 1::2, 1::2].flatten(1).amax(1).round().long() - 1
        present = (images[:, 0, ::2, ::2].flatten(1) != 0).double()
        y = logit(self.base + (present * self.parts[owner.clamp(min=0)]).sum(1))
        return torch.stack([torch.zeros_like(y), y], dim=1)


class Function(Classifier):
    """Any function of the pixels."""

    def __init__(self, function: Any, num_classes: int = 2) -> None:
        super().__init__()
        self.data_config, self.num_classes = DataConfig(SIDE), num_classes
        self.patch_grid, self.num_prefix_tokens = GRID, 0
        self.function = function

    def logits(self, images: torch.Tensor, masks: torch.Tensor | None = None) -> torch.Tensor:
        return self.function(images)


def numbered_images(n: int) -> torch.Tensor:
    """Images whose pixels say which they are, for `Additive`."""
    pixels = torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(4)) + 0.5
    pixels[:, 2] = torch.arange(1, n + 1, dtype=torch.float32)[:, None, None]
    return pixels


def scored(model: Classifier, n: int, target: int = 1, **more: Any) -> Scorer:
    """The model on n numbered images."""
    return scorer_of(model, numbered_images(n), torch.full((n,), target), **more)


def naive_curves(
    model: Classifier,
    images: torch.Tensor,
    fill: torch.Tensor,
    targets: torch.Tensor,
    orders: Orders,
    counts: np.ndarray,
    masks: torch.Tensor | None = None,
) -> tuple[np.ndarray, ...]:
    """One input at a time, by the definition."""
    found: dict[str, list] = {"deletion": [], "insertion": []}
    h, w = model.patch_grid
    for k in range(len(images)):
        for kind, curves in found.items():
            several = []
            for ranks in orders.ranks[orders.image == k]:
                order = np.argsort(ranks)
                curve = []
                for count in counts:
                    pixels = images[k : k + 1].clone()
                    gone = order[:count] if kind == "deletion" else order[count:]
                    ph, pw = pixels.shape[2] // h, pixels.shape[3] // w
                    for p in gone:
                        r, c = divmod(int(p), w)
                        at = (slice(r * ph, (r + 1) * ph), slice(c * pw, (c + 1) * pw))
                        pixels[0, :, at[0], at[1]] = fill[k][:, at[0], at[1]]
                    with torch.no_grad():
                        logits = model.logits(pixels, None if masks is None else masks[k : k + 1])
                    curve.append(float(logits.double().softmax(1)[0, targets[k]]))
                several.append(curve)
            curves.append(np.mean(several, axis=0))
    return np.array(found["deletion"]), np.array(found["insertion"])
