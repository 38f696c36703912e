"""Short times, and archives of all kinds."""

from __future__ import annotations

import io
import tarfile
import zipfile

import numpy as np

from ifambench.data.fetch import Limits

QUICK = Limits(
    connect_seconds=2.0,
    idle_seconds=0.15,
    slow_seconds=0.3,
    slow_bytes=1000,
    attempts=3,
    backoff_seconds=0.0,
    lock_seconds=10.0,
)


def noise(n: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(n)


def make_zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def entry(name: str, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def make_tar(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content) if content else None)
    return out.getvalue()
