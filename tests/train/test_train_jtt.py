"""Just train twice: the error set of a rigged model, and the two trainings."""

import pandas as pd
import pytest
import torch

from ifambench.data.load import load_data
from ifambench.models.base import Classifier, DataConfig
from ifambench.train.jtt import composition, describe, error_set, recorded_warnings
from ifambench.train.trainset import train_set
from tests.tiny import tiny_suite

NAMES = ["a", "b", "c"]


class SaysZero(Classifier):
    """Predicts class 0 for every image."""

    data_config = DataConfig(64)

    def logits(self, images, masks=None):
        return torch.tensor([1.0, 0.0]).expand(len(images), 2)


def test_the_errors_of_a_model_that_always_says_zero(tmp_path):
    data = load_data(tiny_suite(tmp_path), splits=("train",))
    model = SaysZero()
    train = train_set(data, "train", model, torch.device("cpu"))
    errors = error_set(model, train)
    assert torch.equal(errors, train.y == 1)
    found = composition(errors, train.group, data.suite.groups.names)
    assert found == {
        "jtt_errors": 80,
        "jtt_errors_zero_on_land": 0,
        "jtt_errors_zero_on_water": 0,
        "jtt_errors_one_on_land": 8,
        "jtt_errors_one_on_water": 72,
    }


def test_the_message_names_shares_of_the_groups():
    errors = torch.tensor([True, False, True, False])
    text = describe(errors, torch.tensor([0, 0, 1, 1]), NAMES)
    assert text == "JTT: 2 of 4 training images are errors (a 1/2, b 1/2, c 0/0)"


@pytest.mark.parametrize("errors", [torch.zeros(4).bool(), torch.ones(4).bool()])
def test_no_error_or_only_errors_is_a_warning(errors):
    assert describe(errors, torch.zeros(4).long(), NAMES).startswith("warning: ")


def test_the_record_says_when_jtt_was_plain_erm():
    assert recorded_warnings(pd.DataFrame({"epoch": [1, 2]}), 4) == []
    table = pd.DataFrame({"epoch": [1, 2], "jtt_errors": [None, 1.0]})
    assert recorded_warnings(table, 4) == []
    for errors in (0.0, 4.0):
        (text,) = recorded_warnings(table.assign(jtt_errors=[None, errors]), 4)
        assert text.startswith(f"{errors:.0f} of 4 training images")
