"""Several models and training seeds at once, on a Ray cluster or on the cores of one machine.

    pip install 'ifambench[ray]'
    python benchmarks/many_runs.py waterdigits --model ifam-vit-micro --model vit-micro \
        --seeds 0 1 2 3 4 --output results

Every run is the ordinary `ifambench run` with `--threads 1`: its folder, lock and record are the
same, a killed sweep goes on where it was, and finished runs are reused. On a cluster the output
folder must be on a file system that all nodes share.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ifambench.errors import EXIT_ENVIRONMENT, EXIT_PARTIAL, IfamBenchError
from ifambench.request import RunRequest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--size", default="default")
    asked = parser.parse_args()
    requests = [
        RunRequest(
            asked.suite, model, asked.output.resolve(), seed=seed, size=asked.size, threads=1
        )
        for model in asked.model
        for seed in asked.seeds
    ]
    return _sweep(requests)


def _sweep(requests: list[RunRequest]) -> int:
    """Run everything; one failed run does not stop the others, but the exit code tells."""
    try:
        import ray
    except ImportError:
        text = "error: Ray is not installed\n       next:  pip install 'ifambench[ray]'"
        print(text, file=sys.stderr)
        return EXIT_ENVIRONMENT
    ray.init(ignore_reinit_error=True, log_to_driver=False, include_dashboard=False)
    one = ray.remote(num_cpus=1)(_one)
    waiting = [one.remote(request) for request in requests]
    failed = 0
    while waiting:
        done, waiting = ray.wait(waiting)
        text, ok = ray.get(done[0])
        failed += not ok
        print(text, file=sys.stdout if ok else sys.stderr, flush=True)
    return EXIT_PARTIAL if failed else 0


def _one(request: RunRequest) -> tuple[str, bool]:
    """One run in a worker; errors come back as text."""
    from ifambench.pipeline import run
    from ifambench.progress import Progress

    try:
        return str(run(request, Progress()).folder), True
    except IfamBenchError as error:
        return f"{request.model}, seed {request.seed}: {error}", False


if __name__ == "__main__":
    sys.exit(main())
