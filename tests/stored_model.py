"""A stored run of an untrained two-stage model, with its weights."""

from pathlib import Path

import torch

from ifambench.data.load import load_data
from ifambench.models.catalog import build_model, choose_model
from ifambench.models.weights import save_weights
from ifambench.predict.loop import predict
from ifambench.records.store import write_record, write_table
from ifambench.suites.catalog import load_suite
from ifambench.train.recipes import recipe_for
from tests.compare_support import record
from tests.models.small_models import lively
from tests.tiny import write_tiny_suite


def store_model(folder: Path, name: str = "ifam-vit-micro@num_parts=3") -> Path:
    """The run folder, beside the suite file it was made with."""
    path = write_tiny_suite(folder)
    file, choice = load_suite(str(path)), choose_model(name)
    recipe = recipe_for(file.suite, choice.family, choice.base_label, choice.overrides)
    torch.manual_seed(0)
    model = lively(build_model(choice, file.suite, recipe.architecture()))
    data = load_data(file.suite, splits=["test"])
    run = folder / "run"
    predictions = predict(model, data, data.rows("test"), batch_size=24, device="cpu")
    tables = {"predictions": write_table(run / "predictions.csv.gz", predictions)}
    sha256 = save_weights(run / "weights.safetensors", model, {})
    suite = {"id": file.suite.id, "version": file.suite.version, "digest": file.digest}
    stored = record(
        model=choice.label,
        model_={"weights": {"sha256": sha256, "source": "trained here"}},
        suite=suite,
        recipe=recipe.as_dict(),
        groups=list(file.suite.groups.names),
        train_shares=None,
        minority=[],
        tables=tables,
        command=f"ifambench run {path} --model {choice.label}",
    )
    write_record(run, stored)
    return run
