"""Learning rates over a training, and what the record is told about them."""

import math
from dataclasses import replace

import pytest

from ifambench.errors import UsageError
from ifambench.train.facts import training_facts
from ifambench.train.recipes import Recipe
from ifambench.train.schedule import factor, steps_per_epoch


def test_per_step_warms_up_and_ends_near_zero():
    recipe = Recipe(epochs=4, warmup=0.25)
    rates = [factor(recipe, step, 10) for step in range(40)]
    assert rates[0] == pytest.approx(0.1)
    assert rates.index(max(rates)) == 9
    assert rates[20] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01


def test_per_epoch_starts_at_the_peak_and_changes_between_epochs_only():
    recipe = Recipe(epochs=4, schedule="epoch", warmup=0.25)
    rates = [factor(recipe, step, 10) for step in range(40)]
    assert rates[:10] == [1.0] * 10
    assert rates[10:20] == [pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))] * 10
    assert rates[30] == rates[39] > 0


def test_facts_state_batch_rate_and_decay():
    recipe = Recipe(epochs=90, batch_size=128, accumulate=4, lr=1e-6, lr_batch=16)
    recipe = replace(recipe, weight_decay_rule="normalised", precision="bf16")
    facts = training_facts(recipe, images=5994, selection="last", processes=8)
    assert (facts.images_per_pass, facts.steps_per_epoch) == (4, 46)
    assert facts.lr == pytest.approx(1e-6 * math.sqrt(8))
    assert facts.lr_rule == "1e-06 x sqrt(128 / 16)"
    assert facts.weight_decay == pytest.approx(7.77e-4, rel=1e-3)  # as published for CUB
    assert facts.as_dict()["processes"] == 8
    assert training_facts(Recipe(), 640, "last", 1).lr_rule == "as given"


def test_the_facts_of_fewer_images_than_a_batch():
    facts = training_facts(Recipe(batch_size=128, accumulate=2), 101, "last", processes=2)
    assert (facts.batch_size, facts.images_per_pass, facts.steps_per_epoch) == (100, 25, 1)


def test_a_batch_that_does_not_divide_is_refused_with_one_that_does():
    with pytest.raises(UsageError, match="64 does not divide into 3 processes") as caught:
        training_facts(Recipe(batch_size=64), 640, "last", 3)
    assert "batch_size=66" in caught.value.next_step


def test_a_split_smaller_than_a_batch_is_one_step():
    assert steps_per_epoch(40, Recipe(batch_size=64)) == 1
    assert steps_per_epoch(200, Recipe(batch_size=64)) == 3
