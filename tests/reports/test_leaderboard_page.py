"""The page of the leaderboard: what it says, that it is safe, and that its script works."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from ifambench.board import build
from ifambench.ranking import collect, rank
from ifambench.records.index import all_rows
from ifambench.reports.backbone import CNN, OTHER, backbone_class
from ifambench.reports.leaderboard_page import render_page
from ifambench.reports.report_links import report_links
from tests.compare_support import outcomes, run, store
from tests.reports.browser import CHROMIUM, chromium, look

PAGE = "leaderboard.html"


def put(root, model, water, seed=0, architecture="vit-ti", **changes):
    model_ = {"architecture": architecture, **changes.pop("model_", {})}
    found = run(
        outcomes((190, 200), (water, 200)), model=model, seed=seed, model_=model_, **changes
    )
    return store(root, found)


@pytest.fixture
def results(tmp_path):
    for seed, water in enumerate((180, 184)):
        put(tmp_path, "ifam", water, seed)
    put(tmp_path, "close", 181)
    put(tmp_path, "vit", 90, architecture="vit-b")
    put(tmp_path, "cheat", 199, protocol={"selection": "test_oracle"})
    put(tmp_path, "half", 100, status="partial")
    return tmp_path


class Page(HTMLParser):
    """Addresses, ids and the nesting of a page."""

    VOID = frozenset({"meta", "link", "input", "br", "img", "circle", "path"})

    def __init__(self, text):
        super().__init__()
        self.addresses, self.ids, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [found[name] for name in ("href", "src", "action") if name in found]
        self.ids += [found["id"]] if "id" in found else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def page_of(results):
    return build(results).files[results / PAGE]


def test_the_page_needs_no_network_and_is_well_formed(results):
    text = page_of(results)
    page = Page(text)
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    inside = [address[1:] for address in page.addresses if address.startswith("#")]
    assert inside
    assert set(inside) <= set(page.ids)
    assert "data:," in page.addresses
    assert not re.search(r"https?://|@import|url\(|fetch\(|src=", text)


def rows_of(text, heading):
    section = text.partition(f">{heading}</h2>")[2].partition("</section>")[0]
    body = section.partition("<tbody>")[2]
    found = [
        re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in body.split("</tr>")
    ]
    return [[re.sub("<[^>]*>", "", cell).strip() for cell in row] for row in found if row]


def test_models_that_cannot_be_told_apart_are_a_group(results):
    text = page_of(results)
    rows = rows_of(text, "waterdigits@1, protocol standard")
    assert [row[:2] for row in rows] == [["1=", "ifam"], ["1=", "close"], ["3", "vit"]]
    assert re.findall(r'<tr( class="leads")? data', text)[:3] == ["", "", ' class="leads"']


def test_other_runs_stand_apart(results):
    text = page_of(results)
    (oracle,) = rows_of(text, "Selected on the test split")
    assert oracle[:3] == ["waterdigits@1", "standard", "cheat"]
    assert "selected on the test split" in oracle
    (half,) = rows_of(text, "Not ranked")
    assert half[2] == "half"
    assert "not complete (partial)" in half


def test_interval_bar_and_evidence_of_a_row(results):
    row = next(row for row in collect(results) if row.model == "vit")
    low, high = row.values["worst_group_accuracy"][1:3]
    cells = rows_of(page_of(results), "waterdigits@1, protocol standard")[2]
    assert cells[2:4] == ["0.450", f"[{low:.3f}, {high:.3f}]"]
    assert "verified" in cells
    assert "ViT-B" in cells


def test_bars_stay_on_their_axis(results):
    text = page_of(results)
    bars = [
        [float(number) for number in found]
        for found in re.findall(r'd="M([\d.]+) 8H([\d.]+)"/><circle cx="([\d.]+)"', text)
    ]
    assert len(bars) == 3
    for low, high, dot in bars:
        assert 4 <= low <= dot <= high <= 116


def test_the_same_records_give_the_same_bytes_in_any_order(results):
    runs, evidence = collect(results), {}
    expected = render_page(rank(runs, evidence), results)
    assert render_page(rank(runs[::-1], evidence), results) == expected
    assert page_of(results) == page_of(results)


def test_names_are_escaped(tmp_path):
    put(tmp_path, "<script>alert(1)</script>\"'", 100)
    text = page_of(tmp_path)
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert Page(text).open == []


def test_no_runs(tmp_path):
    assert "<p>No runs.</p>" in page_of(tmp_path)


def test_links_to_reports_that_are_there(results):
    text, folder = page_of(results), "waterdigits@1/vit/standard/seed0"
    assert 'href="waterdigits' not in text
    (results / folder / "report.md").touch()
    assert f'href="{folder.replace("@", "%40")}/report.md"' in page_of(results)
    (results / folder / "report.html").touch()
    assert f'href="{folder.replace("@", "%40")}/report.html"' in page_of(results)


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_report_that_git_ignores_is_not_linked(tmp_path):
    places = ["shared", "private/run"]
    for place in places:
        (tmp_path / place).mkdir(parents=True)
        for name in ("run.json", "report.md", "report.html"):
            (tmp_path / place / name).touch()
    (tmp_path / ".gitignore").write_text("report.html\nprivate/\n")
    assert report_links(tmp_path, places)["shared"] == "shared/report.html"  # no repository
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    found = report_links(tmp_path, places)
    assert found == {"shared": "shared/report.md", "private/run": "private/run/report.html"}


@pytest.mark.parametrize(
    ("architecture", "model", "pretrained", "expected"),
    [
        ("ifam-vit-ti", "ifam-vit-ti", None, "ViT-Ti"),
        ("vit-micro", "vit-micro+dfr", None, "ViT-micro"),
        ("given", "timm:vit_small_patch14_dinov2.lvd142m", None, "ViT-S"),
        ("given", "timm:deit3_base_patch16_224.fb_in1k", None, "ViT-B"),
        ("mine", "mine", "timm:vit_large_patch14_reg4_dinov2.lvd142m", "ViT-L"),
        ("given", "ckpt:best.safetensors", None, OTHER),
    ],
)
def test_class_of_a_backbone(tmp_path, architecture, model, pretrained, expected):
    weights = {"sha256": "cc", "source": "trained here", "pretrained": pretrained}
    put(tmp_path, model, 100, architecture=architecture, model_={"weights": weights})
    (row,) = all_rows(tmp_path)
    assert backbone_class(row) == expected


def test_a_cnn_is_known_by_its_capability(tmp_path):
    put(tmp_path, "timm:resnet50.a1", 100, model_={"capabilities": ["conv"]})
    put(tmp_path, "timm:vit_mlp_b", 100, architecture="x", model_={"patch_grid": None})
    assert {backbone_class(row) for row in all_rows(tmp_path)} == {CNN}


PROBE = """
<script>
addEventListener("error", (event) => { document.title += " error:" + event.message; });
</script>
"""
CLICKS = """
<script>
const names = () => [...document.querySelectorAll("tbody tr:not([hidden]) th")]
  .map((cell) => cell.textContent).join(" ");
const heads = [...document.querySelector("thead").querySelectorAll("th")];
const head = (text) => heads.find((cell) => cell.textContent.startsWith(text));
const out = [names()];
head("model").querySelector("button").click(); out.push(names(), head("model").ariaSort);
const worst = head("worst-group"), button = worst.querySelector("button");
button.click(); out.push(names(), worst.ariaSort);
button.click(); out.push(names());
head("rank").querySelector("button").click();
const form = document.querySelector("form");
form.backbone.value = "ViT-B"; form.dispatchEvent(new Event("input"));
out.push(names(), document.querySelector(".status").textContent, String(form.hidden));
form.backbone.value = ""; form.model.value = "IFA"; form.dispatchEvent(new Event("input"));
out.push(names());
document.title += " " + out.join("|");
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_sorting_and_filtering_in_a_browser(results, tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / PAGE
    text = page_of(results).replace("<script>", PROBE + "<script>", 1)
    place.write_text(text.replace("</body>", CLICKS + "</body>"), encoding="utf-8")
    done = chromium(place.parent, "--dump-dom", place.as_uri())
    title = re.search(r"<title>(.*?)</title>", done.stdout, re.DOTALL)[1]
    assert "CONSOLE" not in done.stderr
    assert title.removeprefix("Leaderboard - ifambench ").split("|") == [
        "ifam close vit cheat half",
        *("close ifam vit cheat half", "ascending"),
        *("ifam close vit cheat half", "descending"),
        "vit close ifam cheat half",
        *("vit", "1 of 5 models shown", "false"),
        "ifam",
    ]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_on_a_phone(results, tmp_path_factory, dark):
    place = tmp_path_factory.mktemp("page") / PAGE
    (results / "waterdigits@1/vit/standard/seed0/report.md").touch()
    place.write_text(page_of(results), encoding="utf-8")
    seen = look(place, 390, dark=dark)
    assert seen.console == []
    assert seen.found["dark"] is dark
    assert seen.found["scroll_width"] <= seen.found["width"] <= 390
    assert seen.found["texts"] > 50
    assert seen.found["faint"] == []
    assert seen.found["scrolling"] == 3
    assert seen.found["unreachable"] == []
