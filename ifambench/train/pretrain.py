"""Self-supervised pretraining of the micro backbone by masked feature prediction.

MaskFeat (Wei et al. 2022, arXiv 2112.09133), scaled down: the encoder sees 40 % of the patches of
an unlabelled image; a small decoder predicts the gradient histograms and mean colours of the
others. Two choices matter for what stage 1 of iFAM can do with the tokens (`docs/pretraining.md`):

- *features, not pixels*: pixel targets reward colour and leave texture, which tells an object
  from its background, to chance;
- *no positions in the encoder* (the decoder has them): otherwise most of the variance of the
  tokens is position, and stage 1 learns "centre" instead of "object".
"""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ifambench.atomic import write_text_atomic
from ifambench.data.generated import generation_of, generation_params
from ifambench.data.waterdigits import pretraining_images
from ifambench.models.base import DataConfig
from ifambench.models.timm_import import import_timm
from ifambench.models.tokens import drop_patches, embed, encode
from ifambench.models.vit import micro_vit
from ifambench.models.weights import save_weights
from ifambench.progress import Progress
from ifambench.suites.catalog import load_suite
from ifambench.suites.spec import Suite
from ifambench.train.augment import colour_jitter
from ifambench.train.descriptors import TARGETS

_LOG_EVERY = 100


@dataclass(frozen=True)
class PretrainRecipe:
    """The pretraining recipe.

    Attributes:
        images: Unlabelled images, from digits and textures no other split has.
        steps: Optimizer steps.
        batch_size: Images per step.
        lr: Peak learning rate; linear warm-up over 5 % of the steps, cosine to 0.
        weight_decay: AdamW's.
        masked: Share of hidden patches.
        jitter: Strength of the colour jitter.
        positions: Whether the encoder has position embeddings.
        target: What is predicted, a key of `descriptors.TARGETS`.
    """

    images: int = 8000
    steps: int = 1500
    batch_size: int = 128
    lr: float = 1.5e-3
    weight_decay: float = 0.05
    masked: float = 0.6
    jitter: float = 0.2
    positions: bool = False
    target: str = "gradients"


@dataclass(frozen=True)
class PretrainRequest:
    """What `ifambench pretrain` asks for.

    Attributes:
        suite: A generated suite, whose generator draws the unlabelled images.
        output: File to write, without or with the ending `.safetensors`.
        seed: Seed of weights, masks and order.
        steps: Optimizer steps, or None for the recipe's.
        threads: CPU threads, or None for torch's choice.
    """

    suite: str
    output: Path
    seed: int = 0
    steps: int | None = None
    threads: int | None = None


class MaskedFeatures(nn.Module):
    """Encoder, mask token, decoder and prediction head.

    Args:
        vit: The backbone to pretrain, timm `VisionTransformer` without head.
        recipe: Share of hidden patches, and what is predicted of them.
        scale: Mean and standard deviation of the target, (2, F).
    """

    def __init__(self, vit: Any, recipe: PretrainRecipe, scale: Tensor) -> None:
        super().__init__()
        block = import_timm().models.vision_transformer.Block
        dim, patches = vit.embed_dim, vit.patch_embed.num_patches
        self.vit, self.masked, self.target = vit, recipe.masked, TARGETS[recipe.target]
        self.patch = int(vit.patch_embed.patch_size[0])
        self.scale: Tensor
        self.register_buffer("scale", scale)
        self.position = nn.Parameter(torch.randn(1, patches, dim) * 0.02)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.project = nn.Linear(dim, dim)
        self.decoder = block(dim, num_heads=vit.blocks[0].attn.num_heads)
        self.predict = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, scale.shape[1]))

    def forward(self, images: Tensor) -> Tensor:
        """Mean squared error of the standardised target of the hidden patches."""
        prefix = self.vit.num_prefix_tokens
        tokens = embed(self.vit, images)
        batch, patches = len(images), tokens.shape[1] - prefix
        visible = torch.rand(batch, patches).argsort(1) < round(patches * (1 - self.masked))
        kept = drop_patches(tokens, visible, prefix)
        encoded = self.project(encode(self.vit, kept)[:, prefix:])  # (B, n, D)
        hidden = self.mask_token.expand(batch, patches, -1)
        full = hidden.scatter(1, kept.index[..., None].expand_as(encoded), encoded)
        predicted = self.predict(self.decoder(full + self.position))  # (B, N, F)
        target = (self.target(images, self.patch) - self.scale[0]) / self.scale[1]
        error: Tensor = (predicted - target).square().mean(-1)  # (B, N)
        return error[~visible].mean()


def pretrain(
    request: PretrainRequest, progress: Progress, recipe: PretrainRecipe | None = None
) -> Path:
    """Pretrain a micro backbone; writes `<output>.safetensors` and `<output>.json`.

    Args:
        request: Suite, seed and output.
        progress: Told about every step.
        recipe: Another recipe than the default one, for ablations.

    Returns:
        The weights file. The JSON beside it holds seed, recipe, loss log and sha256.
    """
    suite = load_suite(request.suite).suite
    generation = generation_of(suite)
    recipe = recipe or PretrainRecipe()
    if request.steps is not None:
        recipe = replace(recipe, steps=request.steps)
    if request.threads:
        torch.set_num_threads(request.threads)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        vit, log = _train(suite, recipe, progress)
    path = weights_path(request.output)
    sha256 = save_weights(path, vit, {"format": "timm", "recipe": "masked-features"})
    description = {
        "suite": f"{suite.id}@{suite.major}",
        "generation_seed": generation.seed,
        "seed": request.seed,
        "recipe": asdict(recipe),
        "sha256": sha256,
        "torch": torch.__version__,
        "command": _command(request),
        "loss": log,
    }
    write_text_atomic(path.with_suffix(".json"), json.dumps(description, indent=1) + "\n")
    return path


def weights_path(output: Path) -> Path:
    """The file that `--output` names, with or without its ending."""
    ending = ".safetensors"
    return output if output.name.endswith(ending) else output.with_name(output.name + ending)


def _command(request: PretrainRequest) -> str:
    words = ["ifambench", "pretrain", request.suite, "--seed", str(request.seed)]
    words += [] if request.steps is None else ["--steps", str(request.steps)]
    words += [] if request.threads is None else ["--threads", str(request.threads)]
    return shlex.join([*words, "--output", str(request.output)])


def _train(
    suite: Suite, recipe: PretrainRecipe, progress: Progress
) -> tuple[nn.Module, dict[str, float]]:
    config = DataConfig(suite.image_size)
    progress.start("draw unlabelled images", 1)
    drawn = pretraining_images(generation_of(suite).seed, generation_params(suite), recipe.images)
    images = config.normalise(drawn)
    model = _model(images, recipe)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=recipe.lr, weight_decay=recipe.weight_decay, betas=(0.9, 0.95)
    )
    log: dict[str, float] = {}
    recent: list[float] = []
    progress.start("pretrain", recipe.steps)
    for step in range(recipe.steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * _schedule(step, recipe.steps)
        chosen = torch.randint(len(images), (recipe.batch_size,))
        loss = model(colour_jitter(images[chosen], recipe.jitter))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 2.0)
        optimizer.step()
        recent.append(float(loss.detach()))
        progress.advance(note=f"loss {recent[-1]:.3f}")
        if len(recent) == _LOG_EVERY or step + 1 == recipe.steps:
            log[str(step + 1)] = round(sum(recent) / len(recent), 4)
            recent.clear()
    return model.vit, log


def _model(images: Tensor, recipe: PretrainRecipe) -> MaskedFeatures:
    vit = micro_vit(images.shape[-1], num_classes=0)
    if not recipe.positions:
        vit.pos_embed.data.zero_()
        vit.pos_embed.requires_grad_(False)
    patch = int(vit.patch_embed.patch_size[0])
    found = TARGETS[recipe.target](images[:500], patch).flatten(0, 1)
    return MaskedFeatures(vit, recipe, torch.stack([found.mean(0), found.std(0)]))


def _schedule(step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / max(1.0, 0.05 * steps))
    return warm * 0.5 * (1 + math.cos(math.pi * step / steps))
