"""A page in headless Chromium: what it says on the console, its width, and what can be read of it.

Chromium's own windows are at least 500 pixels wide, so a page is measured in a frame of the width
of a phone; the frame is a file beside the page, which scripts of that place may look into.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

_PROBE = """
const frame = document.getElementById("frame"), said = document.getElementById("said");
const lum = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92
  : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
const solid = c => c.length === 3 || c[3] === 1;
addEventListener("load", () => {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.scrollingElement;
  const style = node => view.getComputedStyle(node);
  const behind = node => { for (let n = node; n; n = n.parentElement) {
    const c = parts(style(n).backgroundColor); if (c.length >= 3 && solid(c)) return c; }
    return [255, 255, 255]; };
  const faint = [];
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  let texts = 0;
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    const text = walk.currentNode.data.trim(), tag = node.tagName.toUpperCase();
    if (!text || ["STYLE", "SCRIPT", "TITLE"].includes(tag)) continue;
    texts += 1;
    const svg = node.namespaceURI.endsWith("svg");
    const ink = parts(svg ? style(node).fill : style(node).color).slice(0, 3);
    const pair = [lum(ink), lum(behind(node))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) faint.push([ratio.toFixed(2), tag, text.slice(0, 40)]);
  }
  const scrolling = [...page.querySelectorAll("*")].filter(n =>
    n.scrollWidth > n.clientWidth + 1 && ["auto", "scroll"].includes(style(n).overflowX));
  const unreachable = scrolling.filter(n => n.tabIndex < 0
    || !(n.getAttribute("aria-label") || n.getAttribute("aria-labelledby")));
  said.textContent = "<<" + JSON.stringify({
    width: root.clientWidth, scroll_width: root.scrollWidth, texts, faint,
    scrolling: scrolling.length, unreachable: unreachable.map(n => n.outerHTML.slice(0, 80)),
    dark: view.matchMedia("(prefers-color-scheme: dark)").matches,
  }) + ">>";
});
"""
_CONSOLE = re.compile(r"CONSOLE.*")


@dataclass(frozen=True)
class Seen:
    """What a browser makes of a page.

    Attributes:
        found: Widths in pixels, texts below a contrast of 4.5, scrolling parts without a keyboard.
        console: What was said on the console.
    """

    found: dict[str, Any]
    console: list[str]


def look(page: Path, width: int = 390, *, dark: bool = False) -> Seen:
    """Load a page in a frame of a width and measure it."""
    frame = page.parent / f"{page.stem}-frame.html"
    frame.write_text(
        f'<!DOCTYPE html><meta charset="utf-8"><link rel="icon" href="data:,">'
        f'<iframe id="frame" src="{page.name}" style="width:{width}px;height:800px;border:0">'
        f'</iframe><pre id="said"></pre><script>{_PROBE}</script>',
        encoding="utf-8",
    )
    done = chromium(
        page.parent, "--allow-file-access-from-files", "--dump-dom", frame.as_uri(), dark=dark
    )
    text = done.stdout[done.stdout.rindex("&lt;&lt;") : done.stdout.rindex("&gt;&gt;")]
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        text = text.replace(entity, sign)
    return Seen(json.loads(text[2:]), _CONSOLE.findall(done.stderr))


def chromium(place: Path, *options: str, dark: bool = False) -> subprocess.CompletedProcess[str]:
    """Run headless Chromium with a profile of its own."""
    assert CHROMIUM
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--user-data-dir={place / 'profile'}", "--window-size=1200,900"]
    command += ["--enable-logging=stderr", "--disable-dev-shm-usage", "--no-first-run"]
    command += ["--blink-settings=preferredColorScheme=0"] if dark else []
    return subprocess.run(
        [*command, *options], capture_output=True, text=True, check=True, timeout=120
    )
