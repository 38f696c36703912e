import io
import json
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import ifambench
from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.models import backbones
from ifambench.models.base import Classifier
from ifambench.models.catalog import PUBLISHED, choose_model
from ifambench.models.checkpoints import build_given, given_sha256, resolve_source
from ifambench.models.ifam import Ifam, build_ifam
from ifambench.models.pdiscoformer import PDiscoFormer
from ifambench.models.timm_vit import TimmVit
from ifambench.models.weights import save_weights
from tests.models.small_ifam import BACKBONES, published_state, some_images, tiny_ifam, tiny_vit


def write(path: Path, state: Any) -> str:
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return f"ckpt:{path}"


def same_logits(one: Classifier, other: Classifier) -> None:
    images = some_images(one)
    with torch.no_grad():
        assert torch.equal(one.logits(images), other.logits(images))


@pytest.mark.parametrize("backbone", [b for b in BACKBONES if b != "averaged-head"])
@pytest.mark.parametrize("file", ["snapshot.pt", "model.safetensors"])
def test_published_layout(backbone: str, file: str, tmp_path: Path) -> None:
    model = tiny_ifam(**BACKBONES[backbone])
    found = build_given(3, write(tmp_path / file, published_state(model)))
    assert isinstance(found, Ifam)
    assert not found.training
    assert vars(found.data_config) | {"mean": 0, "std": 0} == vars(model.data_config) | {
        "mean": 0,
        "std": 0,
    }
    assert found.data_config.mean == (0.485, 0.456, 0.406)
    same_logits(model, found)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_are_stripped(wrapper: str, tmp_path: Path) -> None:
    model = tiny_ifam()
    state = {f"{wrapper}{name}": t for name, t in published_state(model).items()}
    same_logits(model, build_given(3, write(tmp_path / "a.pt", {"model_state": state})))


def test_old_format_of_torch(tmp_path: Path) -> None:
    model = tiny_ifam()
    path = tmp_path / "old.pt"
    torch.save(published_state(model), path, _use_new_zipfile_serialization=False)
    same_logits(model, build_given(3, f"ckpt:{path}"))


def hugging_face(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """One stage's tensors of timm, under the names of `transformers`."""
    found = {"embeddings.mask_token": torch.zeros(1, 128)}
    renamed = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "blocks": "encoder.layer",
        "attn.proj": "attention.output.dense",
        "ls1.gamma": "layer_scale1.lambda1",
        "ls2.gamma": "layer_scale2.lambda1",
    }
    for name, tensor in state.items():
        if ".attn.qkv." in name:
            for part, piece in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                new = name.replace("attn.qkv", f"attention.attention.{part}")
                found[new.replace("blocks", "encoder.layer")] = piece.clone()
            continue
        new = "layernorm" + name.removeprefix("norm") if name.startswith("norm.") else name
        for ours, theirs in renamed.items():
            new = new.replace(ours, theirs)
        found[new] = tensor
    return found


def test_hugging_face_layout(tmp_path: Path) -> None:
    model = tiny_ifam(init_values=0.5)
    state = {"stage_2.prefix_attn_mask": torch.ones(1, 1)}
    for stage in ("stage_1", "stage_2"):
        module = getattr(model, stage)
        own = {k: v for k, v in module.state_dict().items() if not k.startswith("vit.")}
        state |= {f"{stage}.{k}": v for k, v in own.items()}
        trunk = hugging_face(module.vit.state_dict())
        assert "encoder.layer.0.attention.attention.key.bias" in trunk
        state |= {f"{stage}.{k}": v for k, v in trunk.items()}
    found = build_given(3, write(tmp_path / "a.pt", state))
    same_logits(model, found)
    assert found.data_config.mean == (0.48865,) * 3
    assert found.data_config.std == (0.24621,) * 3


def test_pdiscoformer_layout(tmp_path: Path) -> None:
    model = tiny_ifam()
    state = {k.replace("vit.", ""): v for k, v in model.stage_1.state_dict().items()}
    found = build_given(3, write(tmp_path / "a.pt", state))
    assert isinstance(found, PDiscoFormer)
    images = some_images(model)
    with torch.no_grad():
        assert torch.equal(found.part_maps(images), model.part_maps(images))


def test_plain_timm_vit(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vit = tiny_vit(num_classes=3, reg_tokens=2)
    half = {name: t.half() for name, t in vit.state_dict().items()}
    name = "vit_tiny_patch16_224.augreg_in21k_ft_in1k.fp16.safetensors"
    found = build_given(3, write(tmp_path / name, half))
    assert isinstance(found, TimmVit)
    assert found.data_config.mean == (0.5, 0.5, 0.5)  # as timm says of these weights
    images = some_images(found)
    with torch.no_grad():
        torch.testing.assert_close(found.logits(images), vit.eval()(images), atol=1e-2, rtol=0)
        assert found.logits(images).dtype is torch.float32


def test_configuration_beside_the_file(tmp_path: Path) -> None:
    model = tiny_ifam(num_heads=4)
    source = write(tmp_path / "model.safetensors", published_state(model))
    stated = {"num_heads": 4, "use_soft_masks": True, "softmax_temperature": 0.5}
    stated |= {"gumbel_softmax": False, "mean": [0, 0, 0], "std": [1, 1, 1], "num_parts": 4}
    (tmp_path / "config.json").write_text(json.dumps(stated))
    found = build_given(3, f"ckpt:{tmp_path}")
    assert isinstance(found, Ifam)
    assert found.mask_gradient == "soft"
    assert found.stage_1.temperature == 0.5
    assert not found.stage_1.gumbel
    assert found.stage_2.vit.blocks[0].attn.num_heads == 4
    assert found.data_config.std == (1, 1, 1)
    (tmp_path / "config.json").write_text('{"num_parts": 8}')
    with pytest.raises(EnvironmentProblem, match=r"have 4 parts, the config\.json .* says 8"):
        build_given(3, source)


@pytest.mark.parametrize(
    "label", ["ifam-vit-micro@mask_gradient=soft", "vit-micro", "vit-gap-micro"]
)
def test_our_own_weights(label: str, tmp_path: Path) -> None:
    options = {"num_classes": 3, "image_size": 32, "mask_gradient": "soft", "num_parts": 2}
    entry = choose_model(label).entry
    torch.manual_seed(0)
    model = entry.load()(**options).eval()
    path = tmp_path / "weights.safetensors"
    sha256 = save_weights(path, model, {"model": label, "options": options})
    found = build_given(3, f"ckpt:{path}")
    assert given_sha256(f"ckpt:{path}") == sha256
    assert type(found) is type(model)
    assert found.data_config == model.data_config
    assert found.patch_grid == model.patch_grid
    same_logits(model, found)


def test_our_own_weights_without_options(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_ifam(num_classes=3, image_size=48, num_parts=2).eval()
    path = tmp_path / "weights.safetensors"
    save_weights(path, model, {"model": "ifam-vit-micro", "key": "x"})
    found = build_given(3, f"ckpt:{path}")
    assert found.data_config.image_size == 48
    same_logits(model, found)


def test_other_classes_or_size_are_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "a.pt", published_state(tiny_ifam()))
    with pytest.raises(UsageError, match="tell 3 classes apart, the suite has 2"):
        build_given(2, source)
    with pytest.raises(UsageError, match="images of 32 pixels, not 64"):
        build_given(3, source, image_size=64)
    assert build_given(None, source).num_classes == 3


class Evil(nn.Module):
    """Pickles as code."""


BROKEN = {
    "evil": lambda path: torch.save(Evil(), path),
    "text": lambda path: path.write_text("not weights at all, but long enough to look at"),
    "empty": lambda path: path.write_bytes(b""),
    "list": lambda path: torch.save([1, 2], path),
    "numbers": lambda path: torch.save({"model_state": {"a": 1}}, path),
    "no-model": lambda path: torch.save({"model_state": {"fc.weight": torch.ones(2, 2)}}, path),
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_foreign_files(kind: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    BROKEN[kind](path)
    with pytest.raises(EnvironmentProblem) as caught:
        build_given(3, f"ckpt:{path}")
    assert str(path) in str(caught.value)
    assert "\n" not in caught.value.what


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.999])
def test_truncated_snapshots(share: float, old: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    state = {"model_state": published_state(tiny_ifam())}
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(EnvironmentProblem, match="not a whole weights file"):
        build_given(3, f"ckpt:{path}")


def damaged(change: Any) -> dict[str, Tensor]:
    state = published_state(tiny_ifam())
    change(state)
    return state


DAMAGES: dict[str, tuple[Any, str]] = {
    "nan": (lambda s: s["stage_2.norm.weight"].fill_(torch.nan), "not finite"),
    "missing": (lambda s: s.pop("stage_2.norm.weight"), "lacks stage_2.vit.norm.weight"),
    "foreign": (lambda s: s.update({"stage_2.x": torch.ones(1)}), "foreign tensor stage_2.vit.x"),
    "parts": (lambda s: s.update({"stage_1.modulation.bias": torch.ones(128, 9)}), "another size"),
    "class-token": (lambda s: s.pop("stage_2.cls_token"), "no square image"),
    "head": (lambda s: s.pop("stage_2.head.weight"), "no head.weight, so they classify nothing"),
    "positions": (lambda s: s.update({"stage_1.pos_embed": torch.ones(1, 15, 128)}), "no square"),
    "scalar": (lambda s: s.update({"stage_1.fc_landmarks.weight": torch.tensor(1.0)}), "shape"),
    "no-class": (lambda s: s.update({"stage_2.head.weight": torch.ones(0, 128)}), "shape"),
    "classes": (lambda s: s.update({"stage_2.head.weight": torch.ones(7, 128)}), "numbers of cl"),
    "no-parts": (
        lambda s: s.update({"stage_1.fc_landmarks.weight": torch.ones(1, 128, 1, 1)}),
        "a background and no parts",
    ),
    "whole-numbers": (
        lambda s: s.update({"stage_2.norm.weight": torch.ones(128, dtype=torch.int8)}),
        "strided int8, not floating-point",
    ),
    "complex": (
        lambda s: s.update({"stage_2.norm.weight": torch.ones(128, dtype=torch.complex64)}),
        "strided complex64",
    ),
    "sparse": (
        lambda s: s.update({"stage_2.norm.weight": torch.ones(128).to_sparse()}),
        "sparse_coo float32",
    ),
    "beyond-fp32": (
        lambda s: s.update({"stage_2.norm.weight": torch.full((128,), 1e300, dtype=torch.float64)}),
        "not finite",
    ),
    "patch-of-nothing": (
        lambda s: s.update({"stage_1.patch_embed.proj.weight": torch.ones(128, 3, 0, 0)}),
        "no vision transformer",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights(damage: str, tmp_path: Path) -> None:
    change, message = DAMAGES[damage]
    with pytest.raises(EnvironmentProblem, match=message):
        build_given(3, write(tmp_path / "a.pt", damaged(change)))


def test_stage_2_needs_a_class_token(tmp_path: Path) -> None:
    model = tiny_ifam(class_token=False, global_pool="avg", reg_tokens=4, no_embed_class=True)
    source = write(tmp_path / "a.pt", published_state(model))
    with pytest.raises(UsageError, match="reads the class token, and its backbone has none"):
        build_given(3, source)
    (tmp_path / "config.json").write_text('{"global_pool": "avg"}')
    same_logits(model, build_given(3, source))


@pytest.mark.parametrize("source", ["ckpt:", "hf-hub:only-owner", "elsewhere:x", "hf-hub:a/b/c"])
def test_sources_of_no_form(source: str) -> None:
    with pytest.raises(UsageError, match="names no weights"):
        resolve_source(source)


def test_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "a.pt", tmp_path):
        with pytest.raises(EnvironmentProblem, match="no weights file"):
            resolve_source(f"ckpt:{path}")


def test_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tiny_ifam()
    write(tmp_path / "model.safetensors", published_state(model))
    asked = []

    def local(repository: str, file: str) -> Path:
        asked.append((repository, file))
        if file == "config.json":
            raise EnvironmentProblem("none")
        return tmp_path / file

    monkeypatch.setattr("ifambench.models.checkpoints.download", local)
    found = ifambench.load_model("ifam-vit-b.waterbirds-k4")
    same_logits(model, found)
    assert asked[0] == ("ananthu-aniraj/ifam-waterbirds-k4", "model.safetensors")


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> str:
        raise ConnectionError("Network is unreachable\nmore")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_network)
    monkeypatch.setattr(backbones, "urlopen", lambda *_, **__: io.BytesIO())
    for source in PUBLISHED.values():
        with pytest.raises(EnvironmentProblem, match="Network is unreachable") as caught:
            resolve_source(source)
        assert "ckpt:PATH" in str(caught.value.next_step)
    with pytest.raises(EnvironmentProblem) as caught:
        backbones.find_backbone("timm:vit_small_patch14_reg4_dinov2.lvd142m")
    assert "--pretrained PATH" in str(caught.value.next_step)


def test_hugging_face_layout_with_registers(tmp_path: Path) -> None:
    """`transformers` gives the class token a position and the registers none."""
    model = tiny_ifam(reg_tokens=2, no_embed_class=True)
    state = {}
    for stage in ("stage_1", "stage_2"):
        module = getattr(model, stage)
        own = {k: v for k, v in module.state_dict().items() if not k.startswith("vit.")}
        trunk = hugging_face(module.vit.state_dict())
        trunk["embeddings.register_tokens"] = trunk.pop("reg_token")
        shift = torch.randn(1, 1, 128)
        trunk["embeddings.cls_token"] = trunk["embeddings.cls_token"] - shift
        patches = trunk["embeddings.position_embeddings"]
        trunk["embeddings.position_embeddings"] = torch.cat([shift, patches], dim=1)
        state |= {f"{stage}.{k}": v for k, v in (own | trunk).items()}
    found = build_given(3, write(tmp_path / "a.pt", state))
    images = some_images(model)
    with torch.no_grad():
        torch.testing.assert_close(found.logits(images), model.logits(images), atol=1e-4, rtol=0)


@pytest.mark.parametrize("stated", ["warm", None, 0, [1]])
def test_config_with_an_impossible_temperature(tmp_path: Path, stated: Any) -> None:
    source = write(tmp_path / "a.pt", published_state(tiny_ifam()))
    (tmp_path / "config.json").write_text(json.dumps({"softmax_temperature": stated}))
    with pytest.raises(EnvironmentProblem, match="softmax_temperature"):
        build_given(3, source)


@pytest.mark.parametrize("name", ["use_soft_masks", "gumbel_softmax"])
def test_config_says_true_or_false(tmp_path: Path, name: str) -> None:
    source = write(tmp_path / "a.pt", published_state(tiny_ifam()))
    (tmp_path / "config.json").write_text(json.dumps({name: "false"}))
    with pytest.raises(EnvironmentProblem, match=f"{name} 'false', not true or false"):
        build_given(3, source)


def test_a_damaged_config_is_not_overlooked(tmp_path: Path) -> None:
    source = write(tmp_path / "a.pt", published_state(tiny_ifam()))
    (tmp_path / "config.json").write_text('{"use_soft_masks": tr')
    with pytest.raises(EnvironmentProblem, match=r"config\.json .* cannot be read"):
        build_given(3, source)


@pytest.mark.parametrize("dim", [96, 1280])
def test_heads_that_cannot_be_told_are_not_guessed(tmp_path: Path, dim: int) -> None:
    vit = tiny_vit(num_classes=3, embed_dim=dim, num_heads=dim // 32, depth=1)
    source = write(tmp_path / "a.pt", vit.state_dict())
    with pytest.raises(EnvironmentProblem, match=f"heads of a ViT with {dim} channels"):
        build_given(3, source)
    (tmp_path / "config.json").write_text(json.dumps({"num_heads": dim // 32}))
    images = torch.rand(2, 3, *vit.patch_embed.img_size)
    with torch.no_grad():
        assert torch.equal(build_given(3, source).logits(images), vit.eval()(images))


@pytest.mark.parametrize("name", ["vit_base_patch16_224.mine", "siim/waterbirds"])
def test_the_name_of_a_file_decides_no_normalisation_but_timms(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.pt"
    path.parent.mkdir(exist_ok=True)
    found = build_given(3, write(path, published_state(tiny_ifam())))
    assert found.data_config.mean == (0.485, 0.456, 0.406)


def test_config_with_an_impossible_mean(tmp_path: Path) -> None:
    source = write(tmp_path / "a.pt", published_state(tiny_ifam()))
    (tmp_path / "config.json").write_text(json.dumps({"mean": "grey", "std": [1, 2]}))
    assert build_given(3, source).data_config.mean == (0.485, 0.456, 0.406)


def test_foreign_file_with_our_metadata(tmp_path: Path) -> None:
    model = tiny_ifam()
    save_file(published_state(model), tmp_path / "a.safetensors", metadata={"made_by": "[1]"})
    same_logits(model, build_given(3, f"ckpt:{tmp_path / 'a.safetensors'}"))


def test_no_network_is_said_without_further_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def nowhere(*_: Any, **__: Any) -> None:
        raise URLError(OSError("Name or service not known"))

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_: asked.append(1))
    monkeypatch.setattr(backbones, "urlopen", nowhere)
    with pytest.raises(EnvironmentProblem, match="Name or service not known"):
        resolve_source("hf-hub:someone/something")
    assert not asked


def test_given_names() -> None:
    folders = {name: choose_model(name).folder for name in ("ckpt:a/best.pt", "ckpt:b/best.pt")}
    assert folders == {"ckpt:a/best.pt": "ckpt-a--best", "ckpt:b/best.pt": "ckpt-b--best"}
    assert choose_model("hf-hub:me/it").folder == "hf-hub-me--it"
    for name in ("ifam-vit-b.cub-k8+dfr", "ifam-vit-b.cub-k8@num_parts=2"):
        with pytest.raises(UsageError, match="has its weights"):
            choose_model(name)
    with pytest.raises(UsageError, match=r"did you mean ifam-vit-b\.waterbirds-k8"):
        choose_model("ifam-vit-b.waterbirds-k9")


@pytest.mark.parametrize("given", ["lr=1,lr=2", "source=../x", "source=a/b", "lr=", "=1", ""])
def test_overrides_that_are_none(given: str) -> None:
    with pytest.raises(UsageError, match=r"twice|KEY=VALUE"):
        choose_model(f"vit-micro@{given}")
