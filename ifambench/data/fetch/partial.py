"""A file that is not yet whole: `<name>.part`, and `<name>.part.json` that tells what it is of."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ifambench.data.fetch.places import write_json


@dataclass(frozen=True)
class Origin:
    """What a partial file is a part of.

    Attributes:
        url: Where it comes from.
        etag: The server's tag of the content; empty when it gave none, or a weak one.
        modified: The server's Last-Modified, or empty.
        length: Bytes of the whole file, or None when the server did not say.
    """

    url: str
    etag: str = ""
    modified: str = ""
    length: int | None = None

    @property
    def validator(self) -> str:
        """What `If-Range` asks with; empty when a change could not be noticed."""
        return self.etag or self.modified


@dataclass(frozen=True)
class Partial:
    """A file that is being fetched.

    Attributes:
        path: The `.part` file.
    """

    path: Path

    @property
    def size(self) -> int:
        """Bytes that are there."""
        with contextlib.suppress(OSError):
            return self.path.stat().st_size
        return 0

    @property
    def origin(self) -> Origin | None:
        """What it is a part of; None when there is nothing to resume."""
        try:
            found = json.loads(self._note.read_text(encoding="utf-8"))
            origin = Origin(**found)
        except (OSError, ValueError, TypeError):
            return None
        fits = origin.length is None or self.size <= origin.length
        return origin if self.size and fits else None

    def begin(self, origin: Origin) -> None:
        """An empty file of a new origin."""
        self.discard()
        write_json(self._note, asdict(origin))
        self.path.touch()

    def discard(self) -> None:
        """Nothing is left."""
        for path in (self.path, self._note):
            path.unlink(missing_ok=True)

    def take(self, target: Path) -> None:
        """The file has been checked: it takes its final name in one step."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.path.replace(target)
        self._note.unlink(missing_ok=True)

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")
