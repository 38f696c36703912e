"""iFAM: stage 1 sees the whole image and selects patches, stage 2 sees only those.

Aniraj, Dantas, Ienco, Marcos: "Two-stage Vision Transformers and Hard Masking offer Robust Object
Representations" (arXiv 2506.08915). Stage 1 is PDiscoFormer's part discovery (arXiv 2407.04538).

Reading order: `Parts`, `Selector` (stage 1), `Predictor` (stage 2), `Ifam` (both). B images,
C classes, K parts, D channels, h x w patches, N = h w, P prefix tokens (class token, registers).

Deviations from the published code, on purpose:

- evaluation is deterministic: the mask is the argmax without Gumbel noise (`sample_select` has it);
- part maps and mask of an evaluation come from the same scores, so what is shown is what was used;
- `mask_gradient="straight-through"` really passes the gradient; the published code cuts it by a
  cast to bool, which is `detached` here.

With the mask fixed, a change of any unselected pixel changes the logits by exactly 0. The mask
itself is chosen from the full image, so it can carry information about the background. The flip
rates under background swaps contain that effect; they do not separate it from selected patches
that show background.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ifambench.errors import UsageError
from ifambench.models import masks as part_masks
from ifambench.models.base import Classifier, DataConfig, Selection, Trace, one_image_size
from ifambench.models.interventions import NOTHING, Interventions, intervene
from ifambench.models.masked_attention import encode_weighted
from ifambench.models.relprop import relprop_of
from ifambench.models.tokens import (
    Kept,
    all_patches,
    embed,
    embed_kept,
    encode,
    mean_token,
    readout,
)
from ifambench.models.trace import trace_vit
from ifambench.models.vit import as_trunk, data_config_of, make_vit

MODELS = {
    "ifam-vit-{size}": {
        "build": "build_ifam",
        "sizes": ["micro", "ti", "s", "b", "l"],
        "family": "ifam",
        "method": "ifam",
        "summary": "two ViTs: stage 1 selects patches, stage 2 predicts from those alone",
        "labels_needed": "none",
        "methods": ["ifam"],
    },
}

_SOFT_FLOOR = 1e-10  # as published: the soft mask's bias is log(m + 1e-10)


class Parts(NamedTuple):
    """What stage 1 makes of an image."""

    scores: Tensor
    """(B, K + 1, h, w) negative squared distances to the prototypes, background last, no noise."""
    maps: Tensor
    """(B, K + 1, h, w) softmax of the scores (and the noise, if any)."""
    features: Tensor
    """(B, D, K + 1) modulated part features, before part dropout."""
    part_logits: Tensor
    """(B, K, C) class logits of each part."""
    logits: Tensor
    """(B, C) stage-1 class logits, mean over the parts."""


class Selector(nn.Module):
    """Stage 1: part discovery on the patch tokens of a ViT.

    Noise and dropped parts are handed in: nothing random happens here.

    Args:
        vit: timm `VisionTransformer` without head.
        num_parts: K foreground parts.
        num_classes: C.
        part_dropout: Probability with which the trainer drops whole parts.
        gumbel: Whether the trainer adds Gumbel noise to the scores.
        temperature: Divides the scores (and the noise) in the softmax.
    """

    def __init__(
        self,
        vit: Any,
        num_parts: int,
        num_classes: int,
        part_dropout: float = 0.3,
        gumbel: bool = True,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        _check_options(num_parts, part_dropout, temperature)
        self.vit = as_trunk(vit)
        self.num_parts = num_parts
        self.part_dropout = part_dropout
        self.gumbel = gumbel
        self.temperature = temperature
        self.fc_landmarks = nn.Conv2d(vit.embed_dim, num_parts + 1, kernel_size=1, bias=False)
        self.modulation = nn.LayerNorm([vit.embed_dim, num_parts + 1])
        self.fc_class_landmarks = nn.Linear(vit.embed_dim, num_classes, bias=False)
        nn.init.trunc_normal_(self.fc_class_landmarks.weight, std=0.02)

    def tokens(self, images: Tensor) -> Tensor:
        """Patch tokens on their grid, (B, D, h, w)."""
        prefix = self.vit.num_prefix_tokens
        encoded = encode(self.vit, all_patches(embed(self.vit, images), prefix))  # (B, P + N, D)
        patches = encoded[:, prefix:].transpose(1, 2)
        return patches.reshape(*patches.shape[:2], *self.vit.patch_embed.grid_size)

    def forward(
        self, tokens: Tensor, noise: Tensor | None = None, dropped: Tensor | None = None
    ) -> Parts:
        """Parts from patch tokens.

        Args:
            tokens: (B, D, h, w).
            noise: (B, K + 1, h, w) added to the scores.
            dropped: (B, K) bool, parts that the classifier does not see.
        """
        with torch.autocast(tokens.device.type, enabled=False):  # cheap, and distances need fp32
            tokens = tokens.to(self.fc_landmarks.weight.dtype)
            scores = self.scores(tokens)
            maps = self.maps(scores, noise)  # (B, K + 1, h, w)
            area = maps[0, 0].numel()  # the whole grid: larger parts have larger features
            pooled = torch.einsum("bkhw,bdhw->bdk", maps, tokens) / area
            features = self.modulation(pooled)  # (B, D, K + 1)
            parts = features[..., :-1].transpose(1, 2)  # (B, K, D), without the background
            if dropped is not None:
                factors = part_masks.survivors(dropped, self.part_dropout, parts)
                parts = parts * factors[..., None]
            part_logits = self.fc_class_landmarks(parts)  # (B, K, C)
            return Parts(scores, maps, features, part_logits, part_logits.mean(dim=1))

    def scores(self, tokens: Tensor) -> Tensor:
        """Negative squared distances -|f - a_k|^2, (B, K + 1, h, w), in fp32 under autocast."""
        with torch.autocast(tokens.device.type, enabled=False):
            prototypes = self.fc_landmarks.weight  # (K + 1, D, 1, 1)
            tokens = tokens.to(prototypes.dtype)
            f2 = tokens.square().sum(dim=1, keepdim=True)
            a2 = prototypes.square().sum(dim=(1, 2, 3)).view(1, -1, 1, 1)
            distances: Tensor = f2 - 2 * self.dots(tokens) + a2
            return -distances

    def dots(self, tokens: Tensor) -> Tensor:
        """Dot products f . a_k, which thresholds are for, (B, K + 1, h, w)."""
        with torch.autocast(tokens.device.type, enabled=False):
            found: Tensor = self.fc_landmarks(tokens.to(self.fc_landmarks.weight.dtype))
            return found

    def maps(self, scores: Tensor, noise: Tensor | None = None) -> Tensor:
        """Part probabilities, (B, K + 1, h, w)."""
        noisy = scores if noise is None else scores + noise.to(scores)
        return (noisy / self.temperature).softmax(dim=1)


class Predictor(nn.Module):
    """Stage 2: a ViT that sees the prefix tokens and the selected patches.

    The head reads the class token, as published. A backbone without one must have been made for
    average pooling; the head then reads the mean over the selected patches.

    Args:
        vit: timm `VisionTransformer` without head.
        num_classes: C.
    """

    def __init__(self, vit: Any, num_classes: int) -> None:
        super().__init__()
        self.vit = as_trunk(vit)
        self.pooling = _pooling(vit)
        self.fc_norm = nn.LayerNorm(vit.embed_dim)
        self.head = nn.Linear(vit.embed_dim, num_classes, bias=False)
        nn.init.trunc_normal_(self.head.weight, std=0.02)

    def forward(self, images: Tensor, keep: Tensor) -> Tensor:
        """Class logits (B, C) from the patches where `keep` (B, N) is True."""
        kept = self.kept(images, keep)
        return self.classify(encode(self.vit, kept), kept.valid)

    def kept(self, images: Tensor, keep: Tensor) -> Kept:
        """The prefix tokens and selected patches."""
        return embed_kept(self.vit, images, keep)

    def softly(self, images: Tensor, soft: Tensor) -> Kept:
        """All tokens, attended to by a soft mask (B, N) in [0, 1]."""
        kept = all_patches(embed(self.vit, images), self.vit.num_prefix_tokens)
        return kept._replace(bias=(self._on_tokens(soft) + _SOFT_FLOOR).log())

    def weighted(self, images: Tensor, mask: Tensor) -> Tensor:
        """Class logits (B, C) under a mask (B, N) of floats 0 and 1 that carries a gradient."""
        weights = self._on_tokens(mask)
        encoded = encode_weighted(self.vit, embed(self.vit, images), weights)
        return self.classify(encoded, weights > 0)

    def classify(self, encoded: Tensor, valid: Tensor) -> Tensor:
        """Class logits (B, C) from encoded tokens (B, P + n, D)."""
        if self.pooling == "token":
            read = encoded[:, 0]
        else:
            read = mean_token(encoded, valid, readout(self.vit, valid, self.pooling))
        logits: Tensor = self.head(self.fc_norm(read))
        return logits

    def _on_tokens(self, mask: Tensor) -> Tensor:
        """(B, N) -> (B, P + N): prefix tokens are always visible."""
        return torch.cat([mask.new_ones(len(mask), self.vit.num_prefix_tokens), mask], dim=1)


class Ifam(Classifier):
    """The two-stage model.

    Args:
        stage_1: The selector.
        stage_2: The predictor.
        data_config: The input both stages expect.
        mask_part_dropout: Probability with which the trainer drops parts from the mask.
        mask_gradient: How the loss of stage 2 reaches stage 1 (`masks.MASK_GRADIENTS`). A `soft`
            mask is soft at evaluation, too; the other two are the same model there.
        mask_erosion: How many times the mask loses its outermost patches (`masks.erode`); ours.

    Attributes:
        interventions: What an evaluation changes in the selection; nothing at first.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset({"tokens", "trace", "selection", "parts"})

    def __init__(
        self,
        stage_1: Selector,
        stage_2: Predictor,
        data_config: DataConfig,
        mask_part_dropout: float,
        mask_gradient: str = "detached",
        mask_erosion: int = 0,
    ) -> None:
        super().__init__()
        self.stage_1 = stage_1
        self.stage_2 = stage_2
        self.mask_part_dropout = mask_part_dropout
        self.mask_gradient = part_masks.check_mask_gradient(mask_gradient)
        self.mask_erosion = mask_erosion
        self.interventions: Interventions = NOTHING
        self.data_config = data_config
        self.num_classes = stage_2.head.out_features
        self.patch_grid = tuple(stage_2.vit.patch_embed.grid_size)
        self.num_prefix_tokens = stage_2.vit.num_prefix_tokens
        # of this network, not of the class
        self.capabilities |= relprop_of(stage_2.vit, stage_2.pooling)  # type: ignore[misc]

    # Evaluation

    def logits(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        """Class logits of stage 2 under the model's own mask, (B, C)."""
        return self.logits_under(images, self.select(images))

    def logits_under(self, images: Tensor, selection: Selection) -> Tensor:
        """Class logits of stage 2 under a selection, (B, C)."""
        if self.mask_gradient == "soft":
            return self.masked_logits(images, self._soft_mask(selection.part_maps))
        return self.logits_from_patches(images, selection.mask)

    def logits_from_patches(self, images: Tensor, keep: Tensor) -> Tensor:
        """Class logits of stage 2 when it sees the given patches, (B, C)."""
        one_image_size(images, self.data_config)
        logits: Tensor = self.stage_2(images, keep.flatten(1))
        return logits

    def select(self, images: Tensor) -> Selection:
        """The mask of stage 1, without noise."""
        one_image_size(images, self.data_config)
        return self.select_from(self.stage_1.tokens(images))

    def sample_select(self, images: Tensor, generator: torch.Generator | None = None) -> Selection:
        """The mask with Gumbel noise, as in the published evaluation; the noise is drawn on CPU."""
        one_image_size(images, self.data_config)
        tokens = self.stage_1.tokens(images)
        shape = (len(images), self.stage_1.num_parts + 1, *tokens.shape[-2:])
        return self.select_from(tokens, part_masks.gumbel_noise(shape, generator))

    def select_from(self, tokens: Tensor, noise: Tensor | None = None) -> Selection:
        """The selection from patch tokens (B, D, h, w) of stage 1, under the interventions."""
        stage_1 = self.stage_1
        scores = stage_1.scores(tokens)
        maps = stage_1.maps(scores, noise)
        if self.interventions is not NOTHING:
            dots = stage_1.dots(tokens)
            maps = stage_1.maps(intervene(self.interventions, scores, maps, dots), noise)
        mask = part_masks.erode(part_masks.foreground_mask(maps), self.mask_erosion)
        return Selection(mask, 1 - maps[:, -1], maps)

    def part_votes(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The part maps of stage 1, under the interventions, and the class logits of its parts."""
        one_image_size(images, self.data_config)
        tokens = self.stage_1.tokens(images)
        return self.select_from(tokens).part_maps, self.stage_1(tokens).part_logits

    def trace(self, images: Tensor, masks: Tensor | None = None) -> Trace:
        """The forward pass of stage 2 under the model's own mask."""
        with torch.no_grad():
            selection = self.select(images)
        stage_2 = self.stage_2
        if self.mask_gradient == "soft":
            soft = self._soft_mask(selection.part_maps)
            kept = stage_2.softly(images, soft.flatten(1))
        else:
            kept = stage_2.kept(images, selection.mask.flatten(1))

        def head(encoded: Tensor) -> Tensor:
            return stage_2.classify(encoded, kept.valid)

        return trace_vit(stage_2.vit, kept, head, stage_2.pooling, linear=stage_2.head)

    # Training

    def training_mask(
        self, scores: Tensor, noise: Tensor | None = None, dropped: Tensor | None = None
    ) -> Tensor:
        """The mask of a training step, for `masked_logits`.

        Args:
            scores: (B, K + 1, h, w), from `Selector.forward`.
            noise: (B, K + 1, h, w) added to the scores, another draw than that of the part maps.
            dropped: (B, K) bool, parts that are missing in the mask.

        Returns:
            (B, h, w): bool when detached, else float with a gradient.
        """
        if self.mask_gradient == "detached":
            scores = scores.detach()
        maps = self.stage_1.maps(scores, noise)
        maps = part_masks.drop_parts(maps, dropped, self.mask_part_dropout)
        if self.mask_gradient == "soft":
            return self._soft_mask(maps)
        if self.mask_gradient == "straight-through":
            return part_masks.straight_through_mask(maps, self.mask_erosion)
        return part_masks.erode(part_masks.foreground_mask(maps), self.mask_erosion)

    def _soft_mask(self, maps: Tensor) -> Tensor:
        return part_masks.erode(part_masks.strongest_part(maps), self.mask_erosion)

    def masked_logits(self, images: Tensor, mask: Tensor) -> Tensor:
        """Class logits of stage 2 under a mask (B, h, w) of `training_mask`, (B, C).

        Patches are dropped by a bool mask; a float mask keeps the whole sequence.
        """
        if mask.dtype is torch.bool:
            return self.logits_from_patches(images, mask)
        one_image_size(images, self.data_config)
        if self.mask_gradient == "soft":
            kept = self.stage_2.softly(images, mask.flatten(1))
            return self.stage_2.classify(encode(self.stage_2.vit, kept), kept.valid)
        return self.stage_2.weighted(images, mask.flatten(1))

    def backbones(self, init: str) -> list[Any]:
        """Stage 1 always, stage 2 when the recipe asks for it."""
        stage_2 = [self.stage_2.vit] if init == "pretrained" else []
        return [self.stage_1.vit, *stage_2]


def build_ifam(
    num_classes: int,
    image_size: int,
    size: str = "micro",
    num_parts: int = 4,
    part_dropout: float = 0.3,
    mask_part_dropout: float = 0.3,
    gumbel: bool = True,
    mask_gradient: str = "detached",
    temperature: float = 1.0,
    mask_erosion: int = 0,
    **_: Any,
) -> Ifam:
    """The two-stage model of a size (`sizes.SIZES`); the options come from the recipe.

    Raises:
        UsageError: If the image size or an option is impossible.
    """
    vit = make_vit(size, image_size, num_classes=0)
    stage_1 = Selector(vit, num_parts, num_classes, part_dropout, gumbel, temperature)
    stage_2 = Predictor(make_vit(size, image_size, num_classes=0), num_classes)
    config = data_config_of(size, image_size)
    return Ifam(stage_1, stage_2, config, mask_part_dropout, mask_gradient, mask_erosion)


def _check_options(num_parts: int, part_dropout: float, temperature: float) -> None:
    if num_parts < 1:
        raise UsageError(f"num_parts is {num_parts}", choices=["1 or more"])
    if not 0 <= part_dropout < 1:
        raise UsageError(f"part_dropout is {part_dropout}", choices=["0 <= part_dropout < 1"])
    if not temperature > 0:
        raise UsageError(f"temperature is {temperature}", choices=["more than 0"])


def _pooling(vit: Any) -> str:
    """What stage 2's head reads."""
    if vit.has_class_token:
        return "token"
    if vit.global_pool == "avg":
        return "avg"
    raise UsageError(
        "stage 2 reads the class token, and its backbone has none",
        choices=["a backbone with a class token", 'one with global_pool="avg"'],
    )
