"""iFAM: stage 1 sees the whole image and selects patches, stage 2 sees only those.

Aniraj, Dantas, Ienco, Marcos: "Two-stage Vision Transformers and Hard Masking offer Robust Object
Representations" (arXiv 2506.08915). Stage 1 is PDiscoFormer's part discovery (arXiv 2407.04538).

Reading order: `IfamOutput`, `Selector` (stage 1), `Predictor` (stage 2), `Ifam` (both).
Deviations from the published code, on purpose:

- evaluation is deterministic: the mask is the argmax without Gumbel noise;
- the frozen backbone of stage 1 is run without gradients, since nothing in it is trained.

With the mask fixed, a change of any unselected pixel changes the logits by exactly 0. The mask
itself is chosen from the full image, so it can carry information about the background. The flip
rates under background swaps contain that effect; they do not separate it from selected patches
that show background.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ifambench.models.base import Classifier, DataConfig, Selection, Trace, one_image_size
from ifambench.models.timm_vit import micro_vit, trace_vit
from ifambench.models.tokens import Kept, all_patches, drop_patches, embed, encode

MODELS = {
    "ifam-vit-micro": {
        "build": "build_ifam_vit_micro",
        "family": "ifam",
        "method": "ifam",
        "summary": "two micro ViTs: stage 1 selects patches, stage 2 predicts from those alone",
        "labels_needed": "none",
        "methods": ["ifam"],
        "pretrained": "maskfeat-waterdigits",
    },
}


class Parts(NamedTuple):
    """What stage 1 makes of an image."""

    scores: Tensor
    """(B, K + 1, h, w) negative squared distances to the prototypes, background last."""
    maps: Tensor
    """(B, K + 1, h, w) softmax of the scores (with Gumbel noise while training)."""
    features: Tensor
    """(B, D, K + 1) modulated part features."""
    logits: Tensor
    """(B, C) stage-1 class logits, mean over the parts."""


class Selector(nn.Module):
    """Stage 1: part discovery on the patch tokens of a ViT.

    Args:
        vit: timm `VisionTransformer` without head.
        num_parts: K foreground parts.
        num_classes: C.
        part_dropout: Probability of dropping a whole part while training.
        gumbel: Whether training adds Gumbel noise to the scores.
    """

    def __init__(
        self, vit: Any, num_parts: int, num_classes: int, part_dropout: float, gumbel: bool
    ) -> None:
        super().__init__()
        self.vit = vit
        self.gumbel = gumbel
        self.part_dropout = part_dropout
        dim = vit.embed_dim
        self.fc_landmarks = nn.Conv2d(dim, num_parts + 1, kernel_size=1, bias=False)
        self.modulation = nn.LayerNorm([dim, num_parts + 1])
        self.fc_class_landmarks = nn.Linear(dim, num_classes, bias=False)
        nn.init.trunc_normal_(self.fc_class_landmarks.weight, std=0.02)

    def tokens(self, images: Tensor) -> Tensor:
        """Patch tokens on their grid, (B, D, h, w)."""
        vit, prefix = self.vit, self.vit.num_prefix_tokens
        encoded = encode(vit, all_patches(embed(vit, images), prefix))[:, prefix:]
        h, w = vit.patch_embed.grid_size
        return encoded.transpose(1, 2).reshape(len(images), -1, h, w)

    def forward(self, tokens: Tensor) -> Parts:
        """Parts from patch tokens (B, D, h, w)."""
        scores = self.scores(tokens)  # (B, K + 1, h, w)
        noisy = scores + _gumbel(scores) if self.training and self.gumbel else scores
        maps = noisy.softmax(dim=1)
        pooled = torch.einsum("bkhw,bdhw->bdk", maps, tokens) / maps[0, 0].numel()  # (B, D, K + 1)
        features = self.modulation(pooled)
        parts = F.dropout1d(
            features[..., :-1].transpose(1, 2), self.part_dropout, self.training
        )  # (B, K, D)
        logits = self.fc_class_landmarks(parts).mean(dim=1)  # (B, C)
        return Parts(scores, maps, features, logits)

    def scores(self, tokens: Tensor) -> Tensor:
        """Negative squared distances |f - a_k|^2, (B, K + 1, h, w)."""
        prototypes = self.fc_landmarks.weight  # (K + 1, D, 1, 1)
        f2 = tokens.square().sum(dim=1, keepdim=True)
        a2 = prototypes.square().sum(dim=(1, 2, 3)).view(1, -1, 1, 1)
        distances: Tensor = f2 - 2 * self.fc_landmarks(tokens) + a2
        return -distances


class Predictor(nn.Module):
    """Stage 2: a ViT that sees the prefix tokens and the selected patches.

    Args:
        vit: timm `VisionTransformer` without head.
        num_classes: C.
    """

    def __init__(self, vit: Any, num_classes: int) -> None:
        super().__init__()
        self.vit = vit
        self.fc_norm = nn.LayerNorm(vit.embed_dim)
        self.head = nn.Linear(vit.embed_dim, num_classes, bias=False)
        nn.init.trunc_normal_(self.head.weight, std=0.02)

    def forward(self, images: Tensor, keep: Tensor) -> Tensor:
        """Class logits (B, C) from the patches where `keep` (B, N) is True."""
        return self.classify(encode(self.vit, self.kept(images, keep)))

    def kept(self, images: Tensor, keep: Tensor) -> Kept:
        """The prefix tokens and selected patches."""
        return drop_patches(embed(self.vit, images), keep, self.vit.num_prefix_tokens)

    def classify(self, encoded: Tensor) -> Tensor:
        """Class logits (B, C) from the encoded class token."""
        logits: Tensor = self.head(self.fc_norm(encoded[:, 0]))
        return logits


class Ifam(Classifier):
    """The two-stage model.

    Args:
        stage_1: The selector.
        stage_2: The predictor.
        data_config: The input both stages expect.
        mask_part_dropout: Probability of dropping a part from the mask while training.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"tokens", "trace", "selection"})

    def __init__(
        self,
        stage_1: Selector,
        stage_2: Predictor,
        data_config: DataConfig,
        mask_part_dropout: float,
    ) -> None:
        super().__init__()
        self.stage_1 = stage_1
        self.stage_2 = stage_2
        self.mask_part_dropout = mask_part_dropout
        self.data_config = data_config
        self.num_classes = stage_2.head.out_features
        self.patch_grid = tuple(stage_2.vit.patch_embed.grid_size)
        self.num_prefix_tokens = stage_2.vit.num_prefix_tokens

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits of stage 2 under the model's own mask, (B, C)."""
        return self.logits_from_patches(images, self.select(images).mask)

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        """Class logits of stage 2 when it sees the given patches, (B, C)."""
        one_image_size(images, self.data_config)
        logits: Tensor = self.stage_2(images, keep.flatten(1))
        return logits

    def select(self, images: Tensor) -> Selection:
        """The mask of stage 1, without noise."""
        one_image_size(images, self.data_config)
        scores = self.stage_1.scores(self.stage_1.tokens(images))
        maps = scores.softmax(dim=1)
        return Selection(foreground_mask(maps), 1 - maps[:, -1], maps)

    def backbones(self, init: str) -> list[Any]:
        """Stage 1 always, stage 2 when the recipe asks for it."""
        stage_2 = [self.stage_2.vit] if init == "pretrained" else []
        return [self.stage_1.vit, *stage_2]

    def noisy_mask(self, scores: Tensor) -> Tensor:
        """The mask of a training step, (B, h, w) bool: fresh Gumbel noise, parts dropped."""
        noise = _gumbel(scores) if self.stage_1.gumbel else 0.0
        maps = (scores + noise).softmax(dim=1)
        dropped = F.dropout2d(maps[:, :-1], self.mask_part_dropout, training=True)
        parts = dropped * (1 - self.mask_part_dropout)  # undo dropout's rescaling
        return foreground_mask(torch.cat([parts, maps[:, -1:]], dim=1))

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass of stage 2 under the model's own mask."""
        with torch.no_grad():
            keep = self.select(images).mask.flatten(1)
        return trace_vit(self.stage_2.vit, self.stage_2.kept(images, keep), self.stage_2.classify)


def foreground_mask(maps: Tensor) -> Tensor:
    """True where the strongest part beats the background: (B, K + 1, h, w) -> (B, h, w)."""
    return maps[:, :-1].amax(dim=1) > maps[:, -1]


def build_ifam_vit_micro(
    num_classes: int,
    image_size: int,
    num_parts: int = 4,
    part_dropout: float = 0.3,
    gumbel: bool = True,
    **_: Any,
) -> Ifam:
    """The micro model; K parts, part dropout and Gumbel noise come from the recipe."""
    stage_1 = Selector(
        micro_vit(image_size, num_classes=0), num_parts, num_classes, part_dropout, gumbel
    )
    stage_2 = Predictor(micro_vit(image_size, num_classes=0), num_classes)
    return Ifam(stage_1, stage_2, DataConfig(image_size), part_dropout)


def _gumbel(like: Tensor) -> Tensor:
    """Standard Gumbel noise, -log(-log(u)) with u uniform: the log of an exponential draw."""
    return -torch.empty_like(like).exponential_().log()
