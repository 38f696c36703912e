"""The options of `run` that say what is explained, and how."""

from __future__ import annotations

import shlex

import pytest

from ifambench.plan import make_plan
from ifambench.request import RunRequest
from tests.cli.conftest import python

BASIC = ("run", "waterdigits", "--model", "ifam-vit-micro")


def asked(pipeline):
    (request,) = pipeline.asked
    return request


def test_they_reach_the_pipeline(cli, pipeline):
    shown = cli(
        *(*BASIC, "-e", "all", "--images", "all", "--steps", "patch", "--operator", "drop"),
        *("--operator", "mean", "--target", "label", "--explain-precision", "bf16"),
        *("--battery", "--battery-images", "all", "--sanity", "--sanity-images", 7),
    )
    assert shown.code == 0, shown.err
    request = asked(pipeline)
    assert request.explainers == ("all",)
    assert (request.images, request.steps) == ("all", "patch")
    assert request.operators == ("drop", "mean")
    assert (request.target, request.explain_precision) == ("label", "bf16")
    assert (request.battery, request.sanity) == ("all", 7)


def test_without_numbers_battery_and_sanity_have_their_own(cli, pipeline):
    cli(*BASIC, "--battery", "--sanity")
    assert (asked(pipeline).battery, asked(pipeline).sanity) == (200, 50)


def test_quick_is_ten_steps(cli, pipeline):
    cli(*BASIC, "--quick")
    assert asked(pipeline).steps == 10


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["--quick", "--steps", "10"], "give one of the two"),
        (["--steps", "0"], "a whole number from 1 on, patch"),
        (["--steps", "all"], "a whole number from 1 on, patch"),
        (["--images", "-1"], "a whole number from 0 on, all"),
        (["--images", "1.5"], "a whole number from 0 on, all"),
        (["--images", "²"], "a whole number from 0 on, all"),
        (["--operator", "drp"], "did you mean drop"),
        (["--target", "worst"], "predicted"),
        (["--explain-precision", "64"], "bf16"),
        (["--battery-images", "5"], "add --battery"),
        (["--sanity-images", "5"], "add --sanity"),
        (["--sanity", "--sanity-images", "0"], "a whole number from 1 on, all"),
        (["-e", "al"], "unknown explainer"),
    ],
)
def test_what_is_wrong_is_2_before_any_work(words, suggestion, cli, pipeline):
    shown = cli(*BASIC, *words)
    assert shown.code == 2
    assert suggestion in shown.err
    assert not pipeline.asked


def test_wrong_words_are_found_without_torch():
    code = (
        "import sys; from ifambench.cli import main; "
        "print(main(['run', 'waterdigits', '--model', 'vit-micro', '--operator', 'x']), "
        "main(['run', 'waterdigits', '--model', 'vit-micro', '--images', 'x']), "
        "'torch' in sys.modules)"
    )
    assert python(code).stdout.split() == ["2", "2", "False"]


def test_the_command_of_a_plan_asks_for_the_same(cli, pipeline, tmp_path):
    request = RunRequest(
        "waterdigits",
        "oracle-vit-micro",
        tmp_path / "a folder",
        explainers=("all",),
        images="all",
        steps="patch",
        operators=("mean", "drop"),
        target="label",
        explain_precision="bf16",
        battery="all",
        sanity=7,
        threads=1,
    )
    shown = cli(*shlex.split(make_plan(request).command())[1:])
    assert shown.code == 0, shown.err
    assert vars(asked(pipeline)) == vars(request)
