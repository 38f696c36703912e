"""What decoding and preprocessing cost, as ratios to bare Pillow in the same process.

    python benchmarks/data.py --images 64
    python benchmarks/data.py --folder PHOTOS --size 224 --csv benchmarks/data.csv
    python benchmarks/data.py --listing

Bare Pillow is `Image.open(path).convert("RGB").load()` of the same files by the same number of
threads: it neither resizes nor gives an array. `Pillow, same pixels` adds the resize and the crop
that the pixels need, and nothing else: no way to the same pixels with Pillow is faster, because a
JPEG scaled while it is decoded (`Image.draft`, `reducing_gap`) and a crop within the resize (`box`)
give other pixels than the transform that published weights expect. `read_image` is one image as the
model sees it, `batch` is `FilePixels.images` without its cache.

The measurements alternate. `ratio` is the median over the repeats of (bare seconds / seconds), with
the lowest and the highest; `cpu_ratio` is the same of processor time, which other work on the
machine disturbs less. Without a folder, JPEG files of 500 x 375 pixels with the spectrum of
photographs are made. `--listing` measures in fresh processes how long it takes to list and validate
all suites, and whether that imports torch.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ifambench.data import files
from ifambench.data.files import FilePixels
from ifambench.data.images import View, read_image

SUFFIXES = {".jpg", ".jpeg", ".png"}
BARE = "bare Pillow"
LISTING = """
import sys, time
start = time.perf_counter()
from ifambench.suites.catalog import load_suite, suite_names
names = suite_names()
for name in names:
    load_suite(name)
print(len(names), time.perf_counter() - start, "torch" in sys.modules)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="image files; generated ones by default")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--crop", type=float, default=0.9)
    parser.add_argument("--interpolation", default="bicubic", choices=["bilinear", "bicubic"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--listing", action="store_true", help="only list and validate the suites")
    parser.add_argument("--csv", type=Path, help="append the measurements to this file")
    asked = parser.parse_args()
    if asked.listing:
        _listing(asked.repeats)
        return
    with tempfile.TemporaryDirectory() as scratch:
        paths = _files(asked.folder or _generated(Path(scratch), asked.images))[: asked.images]
        view = View(asked.size, asked.crop, asked.interpolation)
        rows = pd.concat([_measured(paths, view, n, asked.repeats) for n in asked.workers])
    rows = rows.assign(images=asked.folder.name if asked.folder else "generated")
    print(rows.to_string(index=False))
    if asked.csv:
        rows.to_csv(asked.csv, mode="a", header=not asked.csv.exists(), index=False)


def _measured(paths: list[Path], view: View, workers: int, repeats: int) -> pd.DataFrame:
    """Ratios to bare Pillow with as many threads."""
    steps: dict[str, Callable[[], object]] = {
        BARE: lambda: _threaded(_bare, paths, workers),
        "Pillow, same pixels": lambda: _threaded(_same_pixels(view), paths, workers),
        "read_image": lambda: _threaded(lambda path: read_image(path, view), paths, workers),
        "batch": lambda: _batch(paths, view, workers),
    }
    wall: dict[str, list[float]] = {name: [] for name in steps}
    cpu: dict[str, list[float]] = {name: [] for name in steps}
    for repeat in range(repeats + 1):  # the first one warms up
        for name, step in steps.items():
            started = time.perf_counter(), time.process_time()
            step()
            if repeat:
                wall[name].append(time.perf_counter() - started[0])
                cpu[name].append(time.process_time() - started[1])
    return pd.DataFrame(
        {
            "view": f"{view.image_size} px, {view.crop_pct}, {view.interpolation}",
            "workers": workers,
            "step": name,
            "images_per_s": round(len(paths) / statistics.median(wall[name]), 1),
            **_ratios(wall[BARE], wall[name]),
            "cpu_ratio": _ratios(cpu[BARE], cpu[name])["ratio"],
        }
        for name in steps
    )


def _ratios(bare: list[float], found: list[float]) -> dict[str, float]:
    ratios = [a / b for a, b in zip(bare, found, strict=True)]
    named = {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
    return {name: round(value, 3) for name, value in named.items()}


def _threaded(work: Callable[[Path], object], paths: list[Path], workers: int) -> None:
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, paths))


def _bare(path: Path) -> None:
    with Image.open(path) as image:
        image.convert("RGB").load()


def _same_pixels(view: View) -> Callable[[Path], None]:
    method, size = Image.Resampling[view.interpolation.upper()], view.image_size
    shorter = int(size / view.crop_pct)

    def work(path: Path) -> None:
        with Image.open(path) as image:
            width, height = (int(shorter * side / min(image.size)) for side in image.size)
            left, top = round((width - size) / 2), round((height - size) / 2)
            resized = image.convert("RGB").resize((width, height), method)
            resized.crop((left, top, left + size, top + size)).load()

    return work


def _batch(paths: list[Path], view: View, workers: int) -> None:
    threads, files._MAX_THREADS = files._MAX_THREADS, workers
    try:
        FilePixels(Path(), view, cache_bytes=0).images(pd.DataFrame({"path": map(str, paths)}))
    finally:
        files._MAX_THREADS = threads


def _files(folder: Path) -> list[Path]:
    return sorted(path.absolute() for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def _generated(folder: Path, images: int) -> Path:
    """JPEG files with the falling spectrum of photographs."""
    rng = np.random.default_rng(0)
    height, width = 375, 500
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    falling = 1 / np.maximum(np.hypot(down, across), 1 / width)
    for k in range(images):
        noise = np.fft.fft2(rng.standard_normal((3, height, width))) * falling
        grey = np.real(np.fft.ifft2(noise))
        pixels = np.clip(127 + 50 * grey / grey.std(), 0, 255).astype(np.uint8)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(folder / f"{k:04d}.jpg", quality=90)
    return folder


def _listing(repeats: int) -> None:
    found = []
    for _ in range(repeats):
        shown = subprocess.run(
            [sys.executable, "-c", LISTING], capture_output=True, text=True, check=True
        )
        found.append(shown.stdout.split())
    seconds = [float(parts[1]) for parts in found]
    print(
        f"{found[0][0]} suites listed and validated in {statistics.median(seconds):.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f}); torch imported: {found[0][2]}"
    )


if __name__ == "__main__":
    main()
