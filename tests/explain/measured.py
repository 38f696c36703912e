"""Small models explained on a few images, for the tests of what is measured."""

import numpy as np
import pandas as pd

from ifambench.explain.base import default_explainers
from ifambench.explain.measure import ExplainResult, ExplainSettings, explain_rows
from ifambench.predict.loop import predict
from tests.models.small_models import KINDS
from tests.predict.small_data import small_data

DATA = small_data()
ROWS = DATA.rows("test")
SETTINGS = ExplainSettings(steps=5, batch_size=16)
MODELS = {kind: build() for kind, build in KINDS.items()}
PREDICTIONS = {
    kind: predict(model, DATA, DATA.manifest, batch_size=8, device="cpu")
    for kind, model in MODELS.items()
}


def run(kind: str, explainers=None, rows=ROWS, settings=SETTINGS, **more) -> ExplainResult:
    """The explainers of a kind of model, or its default ones, on the rows."""
    model = MODELS[kind]
    names = default_explainers(model) if explainers is None else explainers
    return explain_rows(model, DATA, rows, PREDICTIONS[kind], names, settings, **more)


def same(one: ExplainResult, two: ExplainResult, atol: float = 1e-5) -> None:
    """Two results agree in tables, curves and maps."""
    for a, b in ((one.explanations, two.explanations), (one.curves, two.curves)):
        pd.testing.assert_frame_equal(a, b, check_exact=False, atol=atol, rtol=0)
    assert one.maps.keys() == two.maps.keys()
    for name, maps in one.maps.items():
        np.testing.assert_allclose(maps, two.maps[name], atol=atol)
