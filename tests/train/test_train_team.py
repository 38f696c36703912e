"""How a process finds its place among those that train together."""

import pytest
import torch

from ifambench.errors import EnvironmentProblem, UsageError
from ifambench.train.team import LEADER, Team, check_team, find_team

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "WORLD_SIZE": "8",
    "LOCAL_WORLD_SIZE": "4",
    "RANK": "5",
    "LOCAL_RANK": "1",
}
SRUN = {
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "8",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_PROCID": "6",
    "SLURM_LOCALID": "2",
}


def test_one_process_is_alone():
    team = find_team(environ={})
    assert (team.world, team.follows, team.is_gathered) == (1, False, False)


def test_several_devices_make_this_process_the_leader():
    team = find_team(4, environ={})
    assert (team.launcher, team.world, team.follows) == ("leader", 4, False)


def test_a_started_process_knows_its_rank():
    environ = {LEADER: "12", "LOCAL_RANK": "3", "LOCAL_WORLD_SIZE": "4"}
    assert find_team(4, environ=environ) == Team(4, 1, 3, 3, "leader")


@pytest.mark.parametrize("asked", [(1, 1), (4, 2)])
def test_torchrun_says_how_many(asked):
    assert find_team(*asked, environ=TORCHRUN) == Team(4, 2, 5, 1, "torchrun")


def test_torchrun_with_one_process_is_alone():
    alone = TORCHRUN | {"WORLD_SIZE": "1", "LOCAL_WORLD_SIZE": "1", "RANK": "0"}
    assert find_team(environ=alone) == Team()


def test_srun_is_used_only_where_several_processes_are_asked_for():
    assert find_team(4, 2, environ=SRUN) == Team(4, 2, 6, 2, "srun")
    assert find_team(environ=SRUN) == Team()


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"TORCHELASTIC_RUN_ID": "x"}, "torchrun has set no WORLD_SIZE"),
        (TORCHRUN | {"RANK": "first"}, 'RANK is "first"'),
        ({"SLURM_STEP_ID": "0"}, "srun has set no SLURM_NTASKS"),
        ({"SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}, "srun has set no SLURM_PROCID"),
        ({LEADER: "1"}, "set no LOCAL_RANK"),
    ],
)
def test_half_an_environment_of_a_launcher_is_told(environ, missing):
    with pytest.raises(EnvironmentProblem, match=missing):
        find_team(2, environ=environ)


def test_devices_in_a_job_of_one_task_are_started_here():
    single = SRUN | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1"}
    assert find_team(4, environ=single).launcher == "leader"


def test_a_launcher_that_differs_from_what_was_asked_is_refused():
    with pytest.raises(UsageError, match="4 processes on each of 2 machines") as caught:
        find_team(2, 2, environ=TORCHRUN)
    assert "--devices 4 --num-nodes 2" in caught.value.choices


def test_several_machines_need_a_launcher():
    with pytest.raises(UsageError, match="need a launcher"):
        find_team(4, 2, environ={})


@pytest.mark.parametrize("device", ["mps", "cuda:1"])
def test_devices_that_cannot_be_shared_are_refused(device):
    with pytest.raises(UsageError, match=device):
        check_team(Team(2), torch.device(device))
    check_team(Team(1), torch.device(device))


def test_each_process_has_its_gpu():
    assert Team(4, 1, 3, 3).place(torch.device("cuda")) == torch.device("cuda", 3)
    assert Team().place(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert Team(4, 1, 3, 3).place(torch.device("cpu")) == torch.device("cpu")
