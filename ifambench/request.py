"""What a user asks for: a run, or the training of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunRequest:
    """What the user asks for.

    Attributes:
        suite: Name of a suite, or path of a suite file.
        model: `model` or `model+method`.
        output: Folder below which the run folder lies.
        protocol: Protocol of the suite, or None for its default.
        seed: Training seed.
        explainers: Explainer names, or `all`; empty for the model's defaults. The floor is always
            added.
        images: Explained images, `all`, or None for the protocol's number.
        steps: Steps of the curves, `patch` for one per patch, or None for the protocol's number.
        operators: What a removed patch becomes, the headline first; empty for the protocol's.
        target: The class that is explained, `predicted` or `label`; None for the protocol's.
        explain_precision: Of the forward passes behind curves: `32` or `bf16`; None for `32`.
        battery: Images that the tests of the model's own mask are run on, `all`, or 0.
        sanity: Images that the checks of the explainers are run on, `all`, or 0.
        size: `default`, or the number of training images.
        batch_size: Images per forward pass; changes no prediction, and scores by rounding only.
            None: 64, and for curves what suits the device.
        device: `auto`, `cpu`, `cuda`, ...
        threads: CPU threads, or None for torch's choice.
        pretrained: Backbone file instead of the model's own, or `timm:ARCHITECTURE.TAG`.
        data_dir: Folder that holds the suites' data folders, or None for the default places.
        devices: Processes (CPU) or GPUs on this machine that train together.
        num_nodes: Machines that train together.
        precision: Of training: `32`, `bf16` or `16`; None for the recipe's.
        remove_parts: Parts of a two-stage model that are removed from its mask.
        mask_samples: Noisy masks per image to predict under as well, or 0.
        fresh: Replace a stored run instead of reusing or resuming it.
        skip_bad_images: Leave out images that cannot be read; the run is `partial` then.
    """

    suite: str
    model: str
    output: Path
    protocol: str | None = None
    seed: int = 0
    explainers: tuple[str, ...] = ()
    images: int | str | None = None
    steps: int | str | None = None
    operators: tuple[str, ...] = ()
    target: str | None = None
    explain_precision: str | None = None
    battery: int | str = 0
    sanity: int | str = 0
    size: str = "default"
    batch_size: int | None = None
    device: str = "auto"
    threads: int | None = None
    pretrained: Path | None = None
    data_dir: Path | None = None
    devices: int = 1
    num_nodes: int = 1
    precision: str | None = None
    remove_parts: tuple[int, ...] = ()
    mask_samples: int = 0
    fresh: bool = False
    skip_bad_images: bool = False

    @property
    def images_at_once(self) -> int:
        """Images per forward pass, but for curves."""
        return self.batch_size or 64

    @property
    def names_explanations(self) -> bool:
        """Whether anything is said about explanations; if not, those of a stored run will do."""
        given = (self.images, self.steps, self.target, self.explain_precision)
        lists = (self.explainers, self.operators, self.battery, self.sanity, self.mask_samples)
        return any(value is not None for value in given) or any(lists)
