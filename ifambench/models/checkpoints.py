"""Given weights: `ckpt:PATH`, `hf-hub:OWNER/REPO` and `timm:ARCHITECTURE.TAG` become models.

The architecture is read from the tensors (`layouts`), or, for our own files, from what they say
of themselves; timm's are built by timm (`off_the_shelf`). Nothing is unpickled: safetensors, or
`torch.load` with `weights_only=True`.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models.backbones import HUB_FILE, download
from ifambench.models.base import Classifier, DataConfig
from ifambench.models.label_map import check_classes
from ifambench.models.layouts import Tensors, is_hugging_face, our_layout, under, vit_options
from ifambench.models.off_the_shelf import TIMM, build_timm, timm_file
from ifambench.models.sizes import IMAGENET_MEAN, IMAGENET_STD
from ifambench.models.timm_import import import_timm
from ifambench.models.weights import fill, made_by, read_any, sha256_of

if TYPE_CHECKING:
    from ifambench.models.ifam import Selector

#: As published for chest X-rays (SIIM-ACR, RAD-DINO).
_XRAY_MEAN, _XRAY_STD = (0.48865,) * 3, (0.24621,) * 3
#: What is taken of a folder: a hub's file, a run's, or a published snapshot.
_FILES = (HUB_FILE, "weights.safetensors", "snapshot_best.pt", "snapshot_final.pt")


def build_given(num_classes: int | None, source: str, **options: Any) -> Classifier:
    """The model of given weights, in eval mode.

    Args:
        num_classes: Of the suite; None: whatever the weights have.
        source: `ckpt:PATH` (of a file, or of a folder with one), `hf-hub:OWNER/REPO` or
            `timm:ARCHITECTURE.TAG`.
        **options: A recipe's options are ignored, since nothing is trained; `image_size` must be
            that of the weights.

    Raises:
        UsageError: If the classes or the image size differ.
        EnvironmentProblem: If the weights are missing, damaged, not finite or of no known model.
    """
    model = build_timm(source) if source.startswith(TIMM) else _of_file(source)
    check_classes(model.num_classes, num_classes, source)
    size = options.get("image_size") or model.data_config.image_size
    if size != model.data_config.image_size:
        raise UsageError(
            f"the weights are for images of {model.data_config.image_size} pixels, not {size}",
            where=source,
        )
    return model.eval()


def _of_file(source: str) -> Classifier:
    path = resolve_source(source)
    return _ours(path) or _of_tensors(path, source)


def given_sha256(source: str) -> str:
    """sha256 of the weights file."""
    return sha256_of(resolve_source(source))


def resolve_source(source: str) -> Path:
    """The weights file; from the hub, it is downloaded once and then read from the cache.

    Raises:
        UsageError: If the source is of another form.
        EnvironmentProblem: If there is no such file or repository.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "ckpt" and rest:
        return _local(Path(rest).expanduser())
    if scheme == "hf-hub" and re.fullmatch(r"[\w.-]+/[\w.-]+", rest):
        return _from_hub(rest)
    if scheme == "timm" and rest:
        return timm_file(source)
    raise UsageError(
        f'"{source}" names no weights',
        choices=["ckpt:PATH", "hf-hub:OWNER/REPOSITORY", "timm:ARCHITECTURE.TAG"],
    )


def _local(path: Path) -> Path:
    if not path.is_dir():
        if not path.is_file():
            raise EnvironmentProblem(
                f"no weights file {path}",
                where=f"--model ckpt:{path}",
                next_step="name a file, or a run folder with weights.safetensors",
            )
        return path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    raise EnvironmentProblem(f"no weights file in the folder {path}", choices=_FILES)


def _from_hub(repository: str) -> Path:
    try:
        path = download(repository, HUB_FILE)
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            error.what,
            where=f"hf-hub:{repository}",
            next_step="go online once, or get the file elsewhere and name it as ckpt:PATH",
        ) from error
    with suppress(EnvironmentProblem):  # not every repository has one
        download(repository, "config.json")
    return path


def _ours(path: Path) -> Classifier | None:
    """The model of a file that a training of ours has written; None for other files."""
    from ifambench.models.catalog import choose_model

    stated = made_by(path)
    if "model" not in stated:
        return None
    tensors = our_layout(read_any(path))
    entry = choose_model(str(stated["model"])).entry
    size = {"size": entry.info["size"]} if "size" in entry.info else {}
    options = size | _shapes(tensors, str(path)) | dict(stated.get("options", {}))
    model: Classifier = entry.load()(**options)
    fill(path, model, tensors)
    return model


def _shapes(tensors: Tensors, where: str) -> dict[str, Any]:
    """What our builders are told and the shapes tell."""
    one_stage = under(tensors, "vit.")
    options = vit_options(one_stage or under(tensors, "stage_1.vit."), {"num_heads": 1}, where)
    heads = ("stage_2.head.weight", "stage_1.fc_class_landmarks.weight", "vit.head.weight")
    found = {"image_size": options["img_size"]}
    found["num_classes"] = next((len(tensors[name]) for name in heads if name in tensors), 0)
    prototypes = tensors.get("stage_1.fc_landmarks.weight")
    return found if prototypes is None else found | {"num_parts": len(prototypes) - 1}


def _of_tensors(path: Path, source: str) -> Classifier:
    read = read_any(path)
    tensors, config = our_layout(read), _config(path)
    data = _data_config(path, config, xray=is_hugging_face(read))
    if "stage_1.fc_landmarks.weight" in tensors:
        model = _parts_model(tensors, config, data, str(path))
    else:
        model = _plain_model(tensors, config, data, str(path))
    fill(path, model, tensors)
    return model


def _parts_model(
    tensors: Tensors, config: dict[str, Any], data: dict[str, Any], where: str
) -> Classifier:
    """iFAM, or PDiscoFormer where there is no second stage."""
    from ifambench.models.ifam import Ifam, Predictor
    from ifambench.models.pdiscoformer import PDiscoFormer

    stage_1 = _selector(tensors, config, where)
    data_config = DataConfig(stage_1.vit.patch_embed.img_size[0], **data)
    stage_2 = under(tensors, "stage_2.")
    if not stage_2:
        return PDiscoFormer(stage_1, data_config)
    network = _network(under(stage_2, "vit."), config, where)
    first, second = stage_1.vit.patch_embed, network.patch_embed
    if (first.img_size, first.grid_size) != (second.img_size, second.grid_size):
        raise EnvironmentProblem("the two stages take images of different sizes", where=where)
    classes = _classes(stage_2, "head.weight", where)
    if classes != stage_1.fc_class_landmarks.out_features:
        raise EnvironmentProblem("the two stages have different numbers of classes", where=where)
    predictor = Predictor(network, classes)
    gradient = "soft" if _stated(config, "use_soft_masks", False, where) else "detached"
    return Ifam(stage_1, predictor, data_config, stage_1.part_dropout, gradient)


def _selector(tensors: Tensors, config: dict[str, Any], where: str) -> Selector:
    from ifambench.models.ifam import Selector

    own = under(tensors, "stage_1.")
    num_parts = _rows(own, "fc_landmarks.weight", where) - 1
    if num_parts < 1:
        raise EnvironmentProblem("the weights have a background and no parts", where=where)
    stated = config.get("num_parts", num_parts)
    if stated != num_parts:
        raise EnvironmentProblem(
            f"the weights have {num_parts} parts, the config.json beside them says {stated}",
            where=where,
        )
    return Selector(
        _network(under(own, "vit."), config, where),
        num_parts,
        _classes(own, "fc_class_landmarks.weight", where),
        gumbel=_stated(config, "gumbel_softmax", True, where),
        temperature=_temperature(config, where),
    )


def _stated(config: dict[str, Any], name: str, default: bool, where: str) -> bool:
    """A yes or no of the config.json."""
    value = config.get(name, default)
    if isinstance(value, bool):
        return value
    raise EnvironmentProblem(
        f"the config.json beside the weights says {name} {value!r}, not true or false", where=where
    )


def _temperature(config: dict[str, Any], where: str) -> float:
    stated = config.get("softmax_temperature", 1.0)
    if isinstance(stated, int | float) and 0 < stated < math.inf:
        return float(stated)
    raise EnvironmentProblem(
        f"the config.json beside the weights says softmax_temperature {stated!r}", where=where
    )


def _plain_model(
    tensors: Tensors, config: dict[str, Any], data: dict[str, Any], where: str
) -> Classifier:
    from ifambench.models.timm_vit import TimmVit

    own = under(tensors, "vit.")
    options = vit_options(own, config, where)
    _classes(own, "head.weight", where)
    return TimmVit(_make(options), DataConfig(options["img_size"], **data))


def _network(tensors: Tensors, config: dict[str, Any], where: str) -> Any:
    """One stage's ViT, untrained; without class token it averages only where that is stated."""
    options = vit_options(tensors, config, where) | {"num_classes": 0}
    if not options["class_token"] and config.get("global_pool") != "avg":
        options["global_pool"] = ""
    return _make(options)


def _make(options: dict[str, Any]) -> Any:
    return import_timm().models.vision_transformer.VisionTransformer(**options)


def _classes(tensors: Tensors, name: str, where: str) -> int:
    if name not in tensors:
        raise EnvironmentProblem(
            f"the weights have no {name}, so they classify nothing",
            where=where,
            next_step="a backbone is given by --pretrained PATH",
        )
    return _rows(tensors, name, where)


def _rows(tensors: Tensors, name: str, where: str) -> int:
    """The outputs of a layer, at least one."""
    shape = tuple(tensors[name].shape)
    if len(shape) < 2 or 0 in shape:
        raise EnvironmentProblem(f"no layer has weights of shape {shape}", where=f"{where}: {name}")
    return int(shape[0])


def _config(path: Path) -> dict[str, Any]:
    """What a `config.json` beside the weights says; empty when there is none."""
    beside = path.with_name("config.json")
    if not beside.is_file():
        return {}
    try:
        found = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(
            f"the config.json beside the weights cannot be read: {error}",
            where=str(beside),
            next_step="get it again, or take it away if it is not of these weights",
        ) from error
    return found if isinstance(found, dict) else {}


def _data_config(path: Path, config: dict[str, Any], xray: bool) -> dict[str, Any]:
    """Mean and standard deviation that the weights expect."""
    stated = config.get("pretrained_cfg", config)
    given = {key: stated.get(key) for key in ("mean", "std")} if isinstance(stated, dict) else {}
    if given and all(map(_is_colour, given.values())):
        return {key: tuple(value or ()) for key, value in given.items()}
    if xray:
        return {"mean": _XRAY_MEAN, "std": _XRAY_STD}
    name = path.stem.removesuffix(".fp16")  # a file named as timm names its weights
    with suppress(RuntimeError):  # an architecture of timm with a tag that is not
        known = import_timm().models.get_pretrained_cfg(name)
        if known is not None:
            return {"mean": known.mean, "std": known.std}
    return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}


def _is_colour(value: Any) -> bool:
    """Three numbers."""
    numbers = isinstance(value, list) and all(isinstance(part, int | float) for part in value)
    return numbers and len(value) == 3 and all(map(math.isfinite, value))
