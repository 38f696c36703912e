"""list, show, report, validate, doctor."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from ifambench import doctor
from ifambench.doctor import Finding
from ifambench.models.sizes import SIZES
from tests.reports import synthetic

SPEC = Path(__file__).resolve().parents[2] / "suites/waterdigits/suite.toml"


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return synthetic.write_run(root / "waterdigits@1/ifam-vit-ti/standard/seed0")


@pytest.fixture
def suite_file(tmp_path):
    """A copy of the suite file with changes, small enough to be generated at once."""

    def write(*changes: tuple[str, str]) -> Path:
        text = SPEC.read_text(encoding="utf-8")
        small = [("train = 2000", "train = 80"), ("n = 2000", "n = 80")]
        small += [("[950, 50, 50, 950]", "[38, 2, 2, 38]")]
        small += [("val = 400", "val = 8"), ("n = 400", "n = 8")]
        small += [("[100, 100, 100, 100]", "[2, 2, 2, 2]")]
        small += [("test = 800", "test = 8"), ("n = 800", "n = 8")]
        small += [("[200, 200, 200, 200]", "[2, 2, 2, 2]"), ("images = 160", "images = 8")]
        for old, new in [*small, *changes]:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "mine" / "suite.toml"
        path.parent.mkdir(exist_ok=True)
        lines = text.splitlines(keepends=True)
        start = next((k for k, line in enumerate(lines) if "fingerprint" in line), None)
        if start is not None:  # of the published data, not of this
            end = next((k for k in range(start, len(lines)) if lines[k].strip() == ""), len(lines))
            del lines[start:end]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("suites", "waterdigits"),
        ("models", "ifam-vit-SIZE"),
        ("explainers", "random"),
        ("metrics", "worst_group_accuracy"),
    ],
)
def test_list(kind, name, cli):
    assert name in cli("list", kind).out
    rows = json.loads(cli("list", kind, "--format", "json").out)
    assert name in [next(iter(row.values())) for row in rows]
    assert f"| {name}" in cli("list", kind, "--format", "markdown").out
    assert name in cli("list").out


def test_list_of_metrics_tells_the_direction(cli):
    rows = json.loads(cli("list", "metrics", "--format", "json").out)
    better = {row["metric"]: row["better"] for row in rows}
    assert better["worst_group_accuracy"] == "higher"
    assert better["deletion_auc"] == "lower"


def test_list_of_explainers_tells_cost_family_and_needs(cli):
    rows = json.loads(cli("list", "explainers", "--format", "json").out)
    found = {row["explainer"]: row for row in rows}
    cost = {name: found[name]["forwards"] for name in ("random", "saliency", "occlusion")}
    assert cost == {"random": "0", "saliency": "3", "occlusion": "1 + n"}
    assert found["oracle-foreground"]["needs"] == ["masks of the suite"]
    assert found["grad-cam"]["needs"] == ["trace or conv"]
    assert found["rise"]["family"] == "perturbation"
    families = [row["family"] for row in rows]
    assert families == sorted(families)
    assert "a backward pass counted as two" in cli("list", "explainers").out


def test_list_runs(cli, run_folder, results):
    shown = cli("list", "runs", "--output", run_folder.parents[3], "--results", results)
    assert shown.out.count("complete") == 6
    assert str(run_folder) in shown.out
    assert cli("list", "runs").out == "No runs.\n"
    assert json.loads(cli("list", "runs", "--format", "json").out) == []


def test_a_damaged_run_or_suite_does_not_hide_the_others(cli, run_folder, tmp_path, monkeypatch):
    bad = tmp_path / "runs/waterdigits@1/vit/standard/seed0"
    bad.mkdir(parents=True)
    (bad / "run.json").write_text("{}")
    shown = cli("list", "runs", "--results", run_folder.parents[3])
    assert "cannot be read" in shown.out
    assert "complete" in shown.out
    (tmp_path / "suites/broken").mkdir(parents=True)
    (tmp_path / "suites/broken/suite.toml").write_text("schema = 1")
    monkeypatch.setenv("IFAMBENCH_SUITES", str(tmp_path / "suites"))
    shown = cli("list", "suites")
    assert "cannot be read" in shown.out
    assert "waterdigits" in shown.out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("waterdigits", "zero_on_water"),
        (str(SPEC), "CC BY 4.0"),
        ("vit-micro", "groupdro"),
        ("vit-micro+groupdro", "groupdro"),
        ("random", "explainer"),
        ("worst_group_accuracy", "fraction"),
        ("run-schema", '"data_digest"'),
    ],
)
def test_show(name, text, cli):
    shown = cli("show", name)
    assert shown.code == 0
    assert text in shown.out
    assert cli("show", name, "--format", "json").code == 0


def test_show_run(cli, run_folder):
    shown = cli("show", run_folder)
    assert "ifam-vit-ti on waterdigits" in shown.out
    assert f"{run_folder}: complete" in shown.out


@pytest.mark.parametrize("name", ["waterdigitz", "vit-micro+x", "nothing/at/all", "zzz"])
def test_show_of_an_unknown_name_is_2(name, cli):
    assert cli("show", name).code == 2


def test_contact_sheet(cli, tmp_path, suite_file):
    path = suite_file()
    shown = cli("show", path, "--images", 2, "--out", tmp_path / "sheet.png")
    assert (shown.code, shown.out) == (0, f"{tmp_path / 'sheet.png'}\n")
    picture = Image.open(io.BytesIO((tmp_path / "sheet.png").read_bytes()))
    assert picture.format == "PNG"
    assert picture.size == (190 + 7 * 120 + 8, 26 + 8 * 120 + 8)
    assert cli("show", "vit-micro", "--images", 2).code == 2
    assert cli("show", path, "--out", "/dev/null/x.png").code == 3


def test_report(cli, run_folder):
    shown = cli("report", run_folder)
    assert shown.code == 0
    names = [Path(line).name for line in shown.out.splitlines()]
    assert names == ["report.md", "report.html"]
    assert all(Path(line).is_file() for line in shown.out.splitlines())


def test_report_opens_the_page(cli, run_folder, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    cli("report", run_folder, "--open")
    assert opened == [(run_folder / "report.html").resolve().as_uri()]


def test_report_of_nothing_is_2(cli):
    assert cli("report", "nowhere").code == 2


def findings(shown):
    known = ("fingerprint lacks", "note: ")
    return [line for line in shown.out.splitlines() if not any(text in line for text in known)]


def test_validate_finds_nothing_but_the_missing_fingerprint(cli, suite_file):
    path = suite_file()
    shown = cli("validate", path)
    assert findings(shown) == []
    assert shown.code == 1
    assert cli("validate", path.parent).out == shown.out


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            ("[38, 2, 2, 38]", "[37, 3, 2, 38]"),
            'split "train" has 38 zero_on_land, 2 zero_on_water',
        ),
        (("[38, 2, 2, 38]", "[38, 2, 2, 30]"), "add up to 72, not to 80"),
        (
            ('selection = "last"', 'selection = "last"\neval_split = "tset"'),
            "protocol.standard.eval_split",
        ),
        (("images = 8", "images = 900"), "larger than 8 images"),
        (('"original", "mixed_same"', '"mixed_same"'), "must contain 'original'"),
        (("correlation = 0.95", "corelation = 0.95"), 'unknown parameter "corelation"'),
        (("kind = ", "kin = "), "suite.toml:kind"),
        (("schema = 1", "schema = ["), "not a TOML file"),
    ],
)
def test_validate_finds(change, text, cli, suite_file):
    shown = cli("validate", suite_file(change), "--format", "json")
    assert shown.code == 1
    found = json.loads(shown.out)["findings"]
    assert any(text in line for line in found), found


def test_the_embedded_suite_keeps_its_promises(cli):
    shown = cli("validate", "waterdigits")
    assert (shown.code, shown.out) == (0, "waterdigits: no findings\n")


def test_validate_of_an_unknown_suite_is_2(cli):
    assert cli("validate", "waterdigitz").code == 2
    assert cli("validate", "missing/suite.toml").code == 2


def good(name="numpy"):
    return Finding("software", name, "ok", "2.0")


def test_doctor_is_content(cli, monkeypatch):
    monkeypatch.setattr(doctor, "examine", lambda output: [good()])
    shown = cli("doctor", "--format", "json")
    assert shown.code == 0
    assert json.loads(shown.out)[0]["what"] == "numpy"


def test_doctor_is_3_when_something_is_broken(cli, monkeypatch):
    bad = Finding("model", "vit-micro", "broken", "no logits", "pip install timm")
    odd = Finding("software", "torchvision", "warning", "builds differ")
    monkeypatch.setattr(doctor, "examine", lambda output: [good(), odd, bad])
    shown = cli("doctor")
    assert shown.code == 3
    assert "error: 1 part is broken" in shown.err
    assert "next:  pip install timm" in shown.err
    lines = cli("doctor", "--format", "github").out.splitlines()
    assert [line.partition(" ")[0] for line in lines[:2]] == ["::error", "::warning"]


def test_doctor_for_real(tmp_path):
    found = {(item.part, item.what): item for item in doctor.examine(tmp_path / "runs")}
    assert found["software", "python"].state == "ok"
    assert found["setting", "output folder"].state == "ok"
    assert found["device", "cpu"].state == "ok"
    assert found["model", "vit-micro"].state == "ok"
    assert found["model", "oracle-vit-micro"].state == "ok"
    assert "(4, 2)" in found["model", "ifam-vit-micro"].found
    name = SIZES["micro"].pretrained
    assert ("weights", name) in found


def test_doctor_checks_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_PACKAGE", tmp_path)
    name = SIZES["micro"].pretrained
    weights, beside = tmp_path / f"{name}.safetensors", tmp_path / f"{name}.json"

    def state():
        return {item.what: item.state for item in doctor._weights()}[name]

    assert state() == "broken"
    weights.write_bytes(b"weights")
    assert state() == "warning"
    beside.write_text('{"sha256": "00"}')
    assert state() == "broken"
    beside.write_text(json.dumps({"sha256": hashlib.sha256(b"weights").hexdigest()}))
    assert state() == "ok"


def test_doctor_reports_a_model_that_does_not_work(monkeypatch):
    class Broken:
        name = "broken-model"
        info: ClassVar = {}

        def load(self):
            return lambda **_: (_ for _ in ()).throw(RuntimeError("no kernel\nmore"))

    class Models:
        def entries(self):
            return {"broken-model": Broken()}

    monkeypatch.setattr(doctor, "_MODELS", Models())
    (found,) = doctor._models()
    assert (found.state, found.found) == ("broken", "RuntimeError: no kernel")


def test_doctor_reports_folder_and_settings_problems(tmp_path):
    (tmp_path / "ifambench.toml").write_text("colour = 1")
    (tmp_path / "file").touch()
    found = {item.what: item for item in doctor._settings(tmp_path / "file")}
    assert found["file"].state == "broken"
    assert found["output folder"].state == "broken"


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("ifam-vit-b.cub-k8", "source", "hf-hub:ananthu-aniraj/ifam-cub-k8"),
        ("ckpt:somewhere/best.pt", "source", "ckpt:somewhere/best.pt"),
        ("vit-micro+dfr@epochs=3", "labels_needed", "val"),
        ("ifam-vit-micro@num_parts=3", "num_parts", "3"),
    ],
)
def test_show_takes_every_name_that_run_takes(cli, name, key, value):
    shown = cli("show", name, "--format", "json")
    assert (shown.code, shown.err) == (0, "")
    found = json.loads(shown.out)
    assert (found["name"], found[key]) == (name, value)


def test_published_weights_are_listed(cli):
    assert "ifam-vit-b.waterbirds-k8" in cli("list", "models").out
