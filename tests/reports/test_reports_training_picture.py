"""The picture of the training curves."""

import io

import numpy as np
import pandas as pd
from PIL import Image

from ifambench.reports.training_picture import training_picture, write_training_picture

TABLE = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "loss_class_stage_1": [0.7, 0.5, 0.4],
        "loss_class_stage_2": [0.7, 0.4, 0.2],
        "loss_total": [1.4, 0.9, 0.6],
        "lr": [1e-3, 5e-4, 1e-4],
        "val_accuracy": [0.5, 0.8, 0.8],
        "val_worst_group_accuracy": [0.1, 0.6, 0.5],
        "selected": [0, 1, 0],
    }
)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_same_table_gives_the_same_picture_and_another_another():
    assert training_picture(TABLE) == training_picture(TABLE)
    other = TABLE.assign(selected=[1, 0, 0])
    assert not np.array_equal(pixels(training_picture(TABLE)), pixels(training_picture(other)))


def test_one_loss_needs_no_panel_of_terms():
    erm = TABLE.drop(columns=["loss_class_stage_1"])
    assert pixels(training_picture(erm)).shape[0] < pixels(training_picture(TABLE)).shape[0]


def test_it_is_written_beside_the_table(tmp_path):
    TABLE.to_csv(tmp_path / "training.csv", index=False)
    path = write_training_picture(tmp_path)
    assert path == tmp_path / "training.png"
    assert path.read_bytes() == training_picture(TABLE)


def test_without_curves_there_is_no_picture(tmp_path):
    assert write_training_picture(tmp_path) is None
    pd.DataFrame({"epoch": []}).to_csv(tmp_path / "training.csv", index=False)
    assert write_training_picture(tmp_path) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "training.csv"]
