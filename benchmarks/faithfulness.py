"""Deletion and insertion curves: our engine against other libraries, on the same work.

    python benchmarks/faithfulness.py --size ti --images 4 --repeats 3 --threads 1
    python benchmarks/faithfulness.py --size b --images 32 --device cuda --csv FILE
    python benchmarks/faithfulness.py --table FILE

Everyone gets the same network, images, relevance and fill (0 after normalisation), and gives both
curves over the same points. Relevance is constant on blocks of 2 x 2 patches, with values that
differ between blocks, and one block is removed per step: then every library removes the same
pixels. Weights are random: time does not depend on them. `bare` is the bound, the forward passes of
both curves on images that are there already. Measurements alternate; the median of the repeats is
shown. On a CPU the clock is the processor time of this process, so other processes do not count.

Peers are left out, and said to be, where they are not installed: `pip install quantus==0.6.0
grad-cam`. The definition of RISE is a plain loop, written here.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ifambench.explain.curves import patch_curves
from ifambench.explain.ranking import patch_orders
from ifambench.explain.scoring import scorer_of
from ifambench.models.base import Classifier
from ifambench.models.timm_import import import_timm
from ifambench.models.timm_vit import build_vit

CLASSES = 1000
Curves = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Deletion and insertion, (N, S + 1) each."""


@dataclass(frozen=True)
class Job:
    """What everyone computes.

    Attributes:
        model: In eval mode.
        images: (N, 3, H, W).
        targets: (N,) the predicted classes.
        blocks: (N, h / 2, w / 2) relevance of blocks of patches, all values different.
    """

    model: Classifier
    images: Tensor
    targets: Tensor
    blocks: NDArray[np.float32]

    @property
    def steps(self) -> int:
        """S: one block per step."""
        return int(self.blocks[0].size)

    @property
    def side(self) -> int:
        """Pixels along a block."""
        return self.images.shape[-1] // self.blocks.shape[-1]

    @property
    def pixels(self) -> NDArray[np.float32]:
        """(N, H, W) relevance of every pixel."""
        return self.blocks.repeat(self.side, axis=1).repeat(self.side, axis=2)


class Counting(nn.Module):
    """A network that counts the images it sees."""

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.network = network
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        self.seen += len(images)
        return self.network(images)


def main() -> None:
    asked = _arguments()
    if asked.table:
        print(_table(pd.read_csv(asked.table)))
        return
    torch.set_num_threads(asked.threads)
    job = _job(asked)
    print(
        f"vit-{asked.size} at {asked.image_size}, {asked.images} images, {job.steps} steps, "
        f"{asked.device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    rows = _measured(job, asked)
    for row in rows.to_dict("records"):
        print(
            f"  {row['who']:28s} {row['forwards']:6.0f} forwards {row['seconds']:8.2f} s   "
            f"{row['of_bound']:5.2f} of the bound   curves differ by {row['difference']:.1e}"
        )
    if asked.csv:
        rows.to_csv(asked.csv, mode="a", header=not asked.csv.exists(), index=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="ti", choices=["ti", "s", "b"])
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--patch-size", type=int, default=16)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="of the bound and of RISE's loop")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--csv", type=Path, help="append the measurements to this file")
    parser.add_argument("--table", type=Path, help="only print a Markdown table of such a file")
    return parser.parse_args()


def _job(asked: argparse.Namespace) -> Job:
    torch.manual_seed(0)
    timm = import_timm()
    model = build_vit(CLASSES, asked.image_size, "ti")
    if asked.patch_size != 16 or asked.size != "ti":
        name = {"ti": "tiny", "s": "small", "b": "base"}[asked.size]
        model.vit = timm.create_model(
            f"vit_{name}_patch{asked.patch_size}_224",
            img_size=asked.image_size,
            num_classes=CLASSES,
        )
        model.patch_grid = tuple(model.vit.patch_embed.grid_size)
    nn.init.normal_(model.vit.head.weight, std=0.2)  # a fresh head predicts nothing
    model = model.to(asked.device).eval()
    images = torch.randn(asked.images, 3, asked.image_size, asked.image_size)
    h, w = (side // 2 for side in model.patch_grid)
    order = np.stack([np.random.default_rng(k).permutation(h * w) for k in range(asked.images)])
    blocks = ((order + 1) / (h * w)).astype(np.float32).reshape(-1, h, w)
    images = images.to(asked.device)
    with torch.inference_mode():
        targets = model.logits(images).argmax(dim=1)
    return Job(model, images, targets.clone(), blocks)


def _measured(job: Job, asked: argparse.Namespace) -> pd.DataFrame:
    work: dict[str, Callable[[Counting], Curves | None]] = {
        "bare forward passes": lambda net: _bare(job, net, asked.batch),
        "ifambench": lambda net: _ours(job, net, "mean", "32"),
        "ifambench, bf16": lambda net: _ours(job, net, "mean", "bf16"),
        "ifambench, drop": lambda net: _ours(job, net, "drop", "32"),
        "ifambench, drop, bf16": lambda net: _ours(job, net, "drop", "bf16"),
        "RISE's definition": lambda net: _rise(job, net),
        **_quantus(job),
        **_pytorch_grad_cam(job),
    }
    taken: dict[str, list[float]] = {name: [] for name in work}
    found: dict[str, Curves | None] = {}
    forwards: dict[str, int] = {}
    for repeat in range(asked.repeats + 1):  # the first round warms up
        for name, piece in work.items():
            network = Counting(job.model.logits).eval()
            seconds, found[name] = _timed(lambda: piece(network), asked.device)  # noqa: B023
            forwards[name] = network.seen
            taken[name] += [seconds] if repeat else []
    medians = {name: statistics.median(values) for name, values in taken.items()}
    return pd.DataFrame(
        {
            "who": name,
            "forwards": forwards[name],
            "seconds": seconds,
            "of_bound": seconds / medians["bare forward passes"],
            "difference": _difference(found[name], found["RISE's definition"]),
            "model": f"vit-{asked.size}",
            "image_size": asked.image_size,
            "images": asked.images,
            "steps": job.steps,
            "device": _device_name(asked.device),
            "threads": asked.threads,
            "torch": torch.__version__,
        }
        for name, seconds in medians.items()
    )


def _timed(piece: Callable[[], Any], device: str) -> tuple[float, Any]:
    on_cpu = device == "cpu"
    clock = time.process_time if on_cpu else time.perf_counter
    _wait(device)
    started = clock()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = piece()
    _wait(device)
    return (clock() - started) / (torch.get_num_threads() if on_cpu else 1), result


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else device


def _bare(job: Job, network: Counting, batch: int) -> None:
    """The forward passes of both curves' inner points."""
    with torch.inference_mode():
        left = len(job.images) * 2 * (job.steps - 1)
        rows = job.images[torch.arange(batch, device=job.images.device) % len(job.images)]
        while left > 0:
            network(rows[:left])
            left -= batch


def _ours(job: Job, network: Counting, operator: str, precision: str) -> Curves:
    names = [str(k) for k in range(len(job.images))]
    relevance = job.blocks.repeat(2, axis=1).repeat(2, axis=2)  # patches
    relevance = relevance + _tie_breaks(relevance)
    scorer = scorer_of(
        job.model, job.images, job.targets, operator=operator, ids=names, precision=precision
    )
    curves = patch_curves(scorer, patch_orders(relevance, names), job.steps)
    network.seen = curves.n_forwards + 1  # it calls the blocks of the network; 1 empty input
    return curves.deletion, curves.insertion


def _tie_breaks(relevance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Less than the difference of two blocks: one order per image, not several averaged ones."""
    n = relevance[0].size
    return (np.arange(n) / (1000 * n * n)).astype(np.float32).reshape(relevance[0].shape)


def _rise(job: Job, network: Counting) -> Curves:
    """Petsiuk et al. 2018: step by step, all images at once, altered in place."""
    order = job.blocks.reshape(len(job.images), -1).argsort(axis=1)[:, ::-1]
    curves = []
    with torch.inference_mode():
        for start, end in ((job.images, 0 * job.images), (0 * job.images, job.images)):
            altered, points = start.clone(), [_probability(job, network(start))]
            for step in range(job.steps):
                for k, block in enumerate(order[:, step]):
                    altered[k][_window(job, int(block))] = end[k][_window(job, int(block))]
                points.append(_probability(job, network(altered)))
            curves.append(np.stack(points, axis=1))
    return curves[0], curves[1]


def _window(job: Job, block: int) -> tuple[slice, slice, slice]:
    row, column = divmod(block, job.blocks.shape[-1])
    side = job.side
    rows, columns = slice(row * side, (row + 1) * side), slice(column * side, (column + 1) * side)
    return slice(None), rows, columns


def _probability(job: Job, logits: Tensor) -> NDArray[np.float64]:
    chosen = logits.double().softmax(dim=1).gather(1, job.targets[:, None])[:, 0]
    return np.asarray(chosen.detach().cpu().numpy(), dtype=np.float64)


def _quantus(job: Job) -> dict[str, Callable[[Counting], Curves]]:
    """RegionPerturbation, most relevant first and least relevant first (insertion backwards)."""
    try:
        import quantus
    except ImportError as error:
        print(f"  Quantus is left out: {error}")
        return {}

    def run(network: Counting) -> Curves:
        fill = job.images.new_zeros(()).item()
        clean = None
        curves = []
        for order in ("morf", "lerf"):
            metric = quantus.RegionPerturbation(
                patch_size=job.side,
                order=order,
                regions_evaluation=job.steps,
                perturb_baseline=fill,
                disable_warnings=True,
            )
            drops = metric(
                model=network,
                x_batch=job.images.cpu().numpy(),
                y_batch=job.targets.cpu().numpy(),
                a_batch=job.pixels[:, None],
                device=str(job.images.device),
                channel_first=True,
                softmax=True,
            )
            with torch.inference_mode():
                clean = _probability(job, network(job.images)) if clean is None else clean
            points = clean[:, None] - np.asarray(drops)
            curves.append(np.concatenate([clean[:, None], points], axis=1))
        return curves[0], curves[1][:, ::-1]

    return {f"Quantus {quantus.__version__}": run}


def _pytorch_grad_cam(job: Job) -> dict[str, Callable[[Counting], Curves]]:
    """PerturbationConfidenceMetric, one call per share removed, with 0 as the fill."""
    try:
        import_timm()  # makes torchvision importable where it was built for another torch
        from pytorch_grad_cam.metrics import perturbation_confidence as peer
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputSoftmaxTarget
    except ImportError as error:
        print(f"  pytorch-grad-cam is left out: {error}")
        return {}

    def run(network: Counting) -> Curves:
        targets = [ClassifierOutputSoftmaxTarget(int(y)) for y in job.targets]
        clean = _probability(job, network(job.images))
        curves = []
        for kind in (peer.RemoveMostRelevantFirst, peer.RemoveLeastRelevantFirst):
            points = [clean]
            for step in range(1, job.steps + 1):
                remove = kind(_percentile(job, step), _zero)
                metric = peer.PerturbationConfidenceMetric(remove)
                points.append(clean + metric(job.images, job.pixels, targets, network))
            curves.append(np.stack(points, axis=1))
        return curves[0], curves[1][:, ::-1]

    return {"pytorch-grad-cam": run}


def _percentile(job: Job, step: int) -> float:
    """In the middle of the block that is the last one to go, so that rounding cannot move it."""
    pixels, size = job.pixels[0].size, job.side**2
    return 100 * (job.steps - step + 0.5) * size / (pixels - 1)


def _zero(image: Tensor, mask: Tensor) -> Tensor:
    return image * mask.to(image)


def _difference(found: Curves | None, reference: Curves | None) -> float:
    if found is None or reference is None:
        return float("nan")
    return max(float(abs(a - b).max()) for a, b in zip(found, reference, strict=True))


def _table(rows: pd.DataFrame) -> str:
    """One line per library and machine, times as ratios to the bare forward passes beside them."""
    where = ["model", "image_size", "images", "steps", "device", "threads"]
    peers = rows[rows["who"].str.startswith("Quantus")].set_index(where)["seconds"]
    head = [*where, "who", "forwards", "time / bound", "Quantus / time", "largest difference"]
    lines = [f"| {' | '.join(head)} |", "| :--- " * 7 + "| ---: " * 4 + "|"]
    for _, row in rows.iterrows():
        key = tuple(row[name] for name in where)
        ratio = f"{peers[key] / row['seconds']:.2f}" if key in peers.index else ""
        gap = "" if pd.isna(row["difference"]) else f"{row['difference']:.0e}"
        cells = [*(str(value) for value in key), row["who"], f"{row['forwards']:.0f}"]
        lines.append(f"| {' | '.join([*cells, format(row['of_bound'], '.2f'), ratio, gap])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
