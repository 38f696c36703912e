"""A stand-in for `ifambench.pipeline`: it stores a run at once instead of training one.

`python tests/cli/fake_pipeline.py ARGUMENTS` is the command line on top of it; FAKE_MODE chooses
what happens: `done`, `partial`, `slow`, `bug`, `no-space`.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import ifambench
from ifambench.errors import RunInterrupted
from ifambench.records.store import load_run
from tests.compare_support import outcomes, store
from tests.compare_support import run as synthetic_run

asked = []
"""What was asked for, oldest first."""


def follows(request):
    return False


def run(request, progress):
    asked.append(request)
    mode = os.environ.get("FAKE_MODE", "done")
    progress.start("train", 3)
    if mode == "slow":
        _sleep(request)
    if mode == "bug":
        raise ZeroDivisionError("division\nby zero")
    if mode == "no-space":
        raise OSError(28, "No space left on device")
    progress.advance(3, "loss 0.25")
    progress.message("weights are reused")
    status = "partial" if mode == "partial" else "complete"
    method = request.model.partition("+")[2] or ("ifam" if "ifam" in request.model else "erm")
    found = synthetic_run(
        outcomes((190, 200), (180 if method == "ifam" else 120, 200)),
        model=request.model,
        seed=request.seed,
        model_={"method": method},
    )
    found = replace(found, record=found.record.model_copy(update={"status": status}))
    return load_run(store(request.output, found))


def train(request, progress):
    asked.append(request)
    progress.start("train", 1)
    progress.advance()
    return request.output / "weights.safetensors"


def _sleep(request):
    try:
        sys.stderr.write("working\n")
        sys.stderr.flush()
        time.sleep(60)
    except KeyboardInterrupt:
        raise RunInterrupted(
            "interrupted", next_step=f"ifambench run {request.suite} --model {request.model}"
        ) from None


if __name__ == "__main__":
    from ifambench.cli import main

    sys.modules["ifambench.pipeline"] = ifambench.pipeline = sys.modules[__name__]
    sys.exit(main())
