"""Pretrained backbones: shipped, from timm's hub, or a file; what a training starts from."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLError
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.layouts import Tensors, our_layout, under
from ifambench.models.timm_import import import_timm
from ifambench.models.weights import check_fit, read_any, sha256_of

PRETRAINED = Path(__file__).with_name("pretrained")
HUB_FILE = "model.safetensors"
_TIMM = "timm:"
#: timm's modules whose networks are plain `VisionTransformer`s.
_MODULES = ("vision_transformer", "deit")


class Backbone(NamedTuple):
    """A pretrained backbone file."""

    name: str
    path: Path
    sha256: str
    generation_seed: int | None
    """Seed of the generated suite it was pretrained on, where its description says so."""


def find_backbone(name_or_path: str) -> Backbone:
    """A shipped backbone by name, `timm:ARCHITECTURE.TAG`, or a file by path.

    Raises:
        UsageError: If there is no such backbone, or it is no vision transformer.
        EnvironmentProblem: If it cannot be downloaded.
    """
    if name_or_path.startswith(_TIMM):
        path = _from_timm(name_or_path.removeprefix(_TIMM))
        return Backbone(name_or_path, path, sha256_of(path), None)
    path = PRETRAINED / f"{name_or_path}.safetensors"
    if not path.is_file():
        path = Path(name_or_path).expanduser()
    if not path.is_file():
        shipped = sorted(found.stem for found in PRETRAINED.glob("*.safetensors"))
        raise UsageError(
            f'no pretrained backbone "{name_or_path}"',
            choices=[*shipped, "timm:ARCHITECTURE.TAG", "a path to a .safetensors file"],
            next_step="ifambench pretrain SUITE --output PATH",
        )
    return Backbone(path.stem, path, sha256_of(path), _generation_seed(path))


def load_backbone(backbone: Backbone, vit: Any) -> None:
    """Fill a timm ViT, but for its head, from a pretrained backbone.

    Half precision becomes fp32; positions of another image size are resampled.

    Raises:
        EnvironmentProblem: If the file is damaged or belongs to another architecture.
    """
    found = under(our_layout(read_any(backbone.path)), "vit.")
    tensors = {name: t for name, t in found.items() if not name.startswith("head.")}
    expected = {k: v for k, v in vit.state_dict().items() if not k.startswith("head.")}
    tensors = _norm_where_expected(tensors, set(expected))
    tensors = _positions_of(tensors, vit)
    check_fit(backbone.path, tensors, expected)
    vit.load_state_dict(tensors, strict=False)


def shipped_backbones() -> dict[str, dict[str, Any]]:
    """The description file of every shipped backbone (sha256, seed, recipe), by name."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(PRETRAINED.glob("*.json"))
    }


def is_cached(repository: str, file: str) -> bool:
    """Whether a file of a Hugging Face repository is in the local cache."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repository, file), str)


def download(repository: str, file: str) -> Path:
    """A file of a Hugging Face repository, from the local cache where it is there.

    Raises:
        EnvironmentProblem: If it cannot be had; the message ends with the reason's first line.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    cached = try_to_load_from_cache(repository, file)
    if isinstance(cached, str):
        return Path(cached)
    try:
        _refuse_offline()
        with _quiet_hub():
            return Path(hf_hub_download(repository, file))
    except (OSError, ValueError, HfHubHTTPError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EnvironmentProblem(f"{repository} cannot be downloaded: {reason}") from error


def _refuse_offline() -> None:
    """Ask once whether the hub can be reached; its client would try again for half a minute.

    Raises:
        OSError: If its name is not found, or nothing answers there.
    """
    from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE

    if HF_HUB_OFFLINE:
        return  # the client says so at once
    try:
        urlopen(Request(ENDPOINT, method="HEAD"), timeout=10).close()
    except URLError as error:
        # another answer, or a certificate that only the hub's client trusts, is left to the client
        if isinstance(error.reason, OSError) and not isinstance(error.reason, SSLError):
            raise error.reason from None


@contextmanager
def _quiet_hub() -> Iterator[None]:
    """No log line per attempt; the error at the end says it."""
    from huggingface_hub.utils.logging import get_verbosity, set_verbosity

    before = get_verbosity()
    set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        set_verbosity(before)


def _from_timm(name: str) -> Path:
    """The file behind timm's `ARCHITECTURE.TAG`."""
    timm = import_timm()
    known = [n for module in _MODULES for n in timm.list_models(module=module, pretrained=True)]
    if name not in known:
        raise UsageError(
            f"{name} is no vision transformer: patches cannot be dropped"
            if name in timm.list_pretrained()
            else f'timm has no pretrained weights "{name}"',
            choices=[
                "timm:ARCHITECTURE.TAG of a plain ViT, e.g. vit_base_patch14_reg4_dinov2.lvd142m"
            ],
            next_step="timm.list_pretrained('vit_*') lists them",
        )
    repository = timm.models.get_pretrained_cfg(name).hf_hub_id
    try:
        return download(str(repository), HUB_FILE)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            error.what,
            where=f"{_TIMM}{name}",
            next_step="go online once, or name a file: --pretrained PATH",
        ) from error


def _norm_where_expected(tensors: Tensors, expected: set[str]) -> Tensors:
    """The final norm under the name that the model has for it, before or behind the pooling."""
    for one, other in (("norm", "fc_norm"), ("fc_norm", "norm")):
        if f"{one}.weight" in tensors and f"{other}.weight" in expected - tensors.keys():
            names = {f"{one}.{part}": f"{other}.{part}" for part in ("weight", "bias")}
            return {names.get(name, name): tensor for name, tensor in tensors.items()}
    return tensors


def _positions_of(tensors: Tensors, vit: Any) -> Tensors:
    """The tensors with positions for the grid of the ViT."""
    given, wanted = tensors.get("pos_embed"), vit.pos_embed
    if given is None or wanted is None or given.shape == wanted.shape:
        return tensors
    prefix = 0 if vit.no_embed_class else vit.num_prefix_tokens
    patches = given.shape[1] - prefix
    if given.ndim != 3 or patches < 1 or math.isqrt(patches) ** 2 != patches:
        return tensors  # of another architecture: the caller says so
    resample = import_timm().layers.resample_abs_pos_embed
    resampled = resample(given, new_size=vit.patch_embed.grid_size, num_prefix_tokens=prefix)
    return tensors | {"pos_embed": resampled}


def _generation_seed(path: Path) -> int | None:
    try:
        described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return int(described["generation_seed"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
