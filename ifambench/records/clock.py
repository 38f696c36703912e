"""What the phases of a run cost, added up over its resumed parts."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ifambench.atomic import write_text_atomic
from ifambench.records.schema import Phase


@dataclass
class Clock:
    """Seconds and images per phase.

    Attributes:
        path: Where the sums of an unfinished run are kept.
        phases: Seconds and images by phase.
    """

    path: Path
    phases: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path.is_file():
            with contextlib.suppress(ValueError):  # damaged: the cost so far is lost, no number
                self.phases = json.loads(self.path.read_text(encoding="utf-8"))

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block; an interrupted block counts too."""
        sums = self.phases.setdefault(name, [0.0, 0.0])
        started = time.perf_counter()
        try:
            yield
        finally:
            sums[0] += time.perf_counter() - started
            write_text_atomic(self.path, json.dumps(self.phases))

    def count(self, name: str, images: int) -> None:
        """Set how many images a phase has processed in all its parts."""
        self.phases.setdefault(name, [0.0, 0.0])[1] = images

    def rows(self) -> list[Phase]:
        """The phases of the record."""
        return [
            Phase(
                name=name,
                seconds=round(seconds, 3),
                images=int(images),
                images_per_second=round(images / seconds, 1) if images and seconds else None,
            )
            for name, (seconds, images) in self.phases.items()
        ]
