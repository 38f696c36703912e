"""Two processes train like one with the same global batch; what happens when one of them ends."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.multiprocessing as mp

from ifambench.data.load import load_data
from ifambench.models.catalog import build_model, choose_model
from ifambench.progress import Progress
from ifambench.train.crew import Crew
from ifambench.train.helpers import reserved_port
from ifambench.train.methods import make_step
from ifambench.train.ranks import current_ranks
from ifambench.train.recipes import recipe_for
from ifambench.train.team import find_team
from ifambench.train.trainer import train_model
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite, write_tiny_suite

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
MODELS = {
    "erm": "vit-micro",
    "groupdro": "vit-micro+groupdro",
    "ifam": "ifam-vit-micro@init=scratch",
    "two passes": "vit-micro@accumulate=2,ema=0.9",
}


def curve(name, data, folder, fabric=None):
    choice = choose_model(MODELS[name])
    recipe = recipe_for(data.suite, choice.family, choice.base_label, choice.overrides)
    torch.manual_seed(0)
    model = build_model(choice, data.suite, recipe.architecture())
    step = make_step(choice.method, model, recipe, 4)
    sets = [train_set(data, split, model, CPU) for split in ("train", "val")]
    policy = "best_val_accuracy" if name == "two passes" else "last"
    table = train_model(
        step, *sets, recipe, 0, folder / name, "k", Progress(), selection=policy, fabric=fabric
    )
    weights = torch.cat([p.detach().flatten() for p in model.parameters()])
    return table.drop(columns="seconds"), weights


def one_of_two(rank, folder, port):
    torch.set_num_threads(1)
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    crew = Crew(find_team())
    data = load_data(tiny_suite(folder / str(rank)), splits=("train", "val"))
    part = crew.called if crew.team.follows else crew.at_work
    with part(CPU, "32") as fabric:
        for name in MODELS:
            table, weights = curve(name, data, folder, fabric)
            table.to_csv(folder / f"{name}-{rank}.csv", index=False)
            torch.save(weights, folder / f"{name}-{rank}.pt")
    assert current_ranks().world == 1


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    with reserved_port() as port:
        mp.spawn(one_of_two, (folder, port), nprocs=2)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_data(tiny_suite(tmp_path_factory.mktemp("suite")), splits=("train", "val"))


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_have_the_curve_of_one(two, data, tmp_path, name):
    table, weights = curve(name, data, tmp_path)
    for rank in range(2):
        found = pd.read_csv(two / f"{name}-{rank}.csv")
        losses = [column for column in table if column.startswith("loss")]
        np.testing.assert_allclose(found.loc[0, losses], table.loc[0, losses], rtol=1e-5)
        np.testing.assert_allclose(found[losses], table[losses], rtol=1e-3)
        assert found["selected"].tolist() == table["selected"].tolist()
        # Adam makes a step of the size of the learning rate even of a gradient that is rounding
        assert (torch.load(two / f"{name}-{rank}.pt") - weights).abs().max() < 2e-3


def test_all_processes_end_with_the_same_weights(two):
    for name in MODELS:
        first, second = (torch.load(two / f"{name}-{rank}.pt") for rank in range(2))
        assert torch.equal(first, second)
        assert not (two / name / "second").exists()


def command(folder, model, *more):
    suite = write_tiny_suite(folder)
    words = ["train", str(suite), "--model", model, "--output", str(folder / "runs")]
    return [sys.executable, "-m", "ifambench", *words, "--threads", "1", *more]


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_the_command_starts_its_processes_and_says_the_same(tmp_path):
    done = subprocess.run(
        command(tmp_path, "vit-micro+jtt@epochs=3", "--devices", "2"),
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    weights = Path(done.stdout.strip())
    assert weights.name == "weights.safetensors"
    table = pd.read_csv(weights.with_name("training.csv"))
    assert len(table) == 3
    assert table["jtt_errors"].iloc[-1] > 0
    assert "warn" not in done.stderr.lower()
    log = weights.parent / "work" / "process-1.log"
    assert log.read_text() == ""


def wait_for(found, seconds=120):
    ends = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < ends
        time.sleep(0.1)


@pytest.fixture
def long_training(tmp_path):
    """The first process, the id of the second, and the run folder."""
    words = command(tmp_path, "vit-micro@epochs=500", "--devices", "2")
    leader = subprocess.Popen(
        words, env=environment(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        wait_for(lambda: leader.poll() is not None or list(tmp_path.rglob("checkpoint.pt")))
        work = next(tmp_path.rglob("checkpoint.pt")).parent
        yield leader, children_of(leader.pid)[0], work
    finally:
        leader.kill()
        leader.wait()


def children_of(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def is_running(pid):
    with contextlib.suppress(FileNotFoundError):
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    return False


linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads /proc")


@linux
def test_the_end_of_one_process_ends_all_with_one_line(long_training):
    leader, helper, work = long_training
    os.kill(helper, signal.SIGKILL)
    _, said = leader.communicate(timeout=60)
    assert leader.returncode == 3
    assert "process 1 of the training ended with exit code -9" in said
    assert str(work / "process-1.log") in said.replace("\n", "")


@linux
def test_a_terminated_training_is_kept_and_leaves_no_process(long_training):
    leader, helper, work = long_training
    before = (work / "checkpoint.pt").stat().st_mtime_ns
    leader.terminate()
    _, said = leader.communicate(timeout=60)
    assert leader.returncode == 130
    assert "finished parts are kept" in said
    assert (work / "checkpoint.pt").stat().st_mtime_ns > before
    wait_for(lambda: not is_running(helper), seconds=20)


FOLLOWER = "import time; from ifambench.train.helpers import announce; announce(); time.sleep(600)"
FIRST = """
import os, subprocess, sys, time
os.environ["IFAMBENCH_LEADER"] = str(os.getpid())
os.environ["IFAMBENCH_HELPER_LOG"] = sys.argv[2]
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
time.sleep(600)
"""


@linux
def test_a_killed_first_process_leaves_no_other(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", FIRST, FOLLOWER, str(tmp_path / "process-1.log")], env=environment()
    )
    try:
        wait_for((tmp_path / "process-1.ready").exists)
        (follower,) = children_of(first.pid)
        assert is_running(follower)
    finally:
        first.kill()
        first.wait()
    wait_for(lambda: not is_running(follower), seconds=60)
