"""Draw docs/report.png: the top of the report of a committed run, in headless Chromium.

python docs/refresh.py --pictures
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from ifambench.records.store import load_run
from ifambench.reports.html import render_html

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "results" / "waterdigits@1" / "ifam-vit-micro" / "standard" / "seed0"
SIZE = (1000, 1125)
COLOURS = 48


def main() -> None:
    names = ("chromium", "chromium-browser", "google-chrome")
    browser = next(filter(None, map(shutil.which, names)), None)
    if browser is None:
        sys.exit("no Chromium on this machine")
    with tempfile.TemporaryDirectory() as place:
        page, picture = Path(place) / "report.html", Path(place) / "report.png"
        page.write_text(render_html(load_run(RUN)), encoding="utf-8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += [f"--window-size={SIZE[0]},{SIZE[1]}", f"--user-data-dir={place}/profile"]
        command += [f"--screenshot={picture}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        small = Image.open(picture).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(ROOT / "docs" / "report.png", optimize=True)


if __name__ == "__main__":
    main()
