"""A suite small enough that a whole run takes seconds, written as a suite file."""

from pathlib import Path

from ifambench.suites.catalog import load_suite
from ifambench.suites.spec import Suite

TINY = """
schema = 1
id = "tinydigits"
version = "1.0.0"
title = "Tiny digits"
summary = "waterdigits, cut down for tests"
kind = "group_shift"
licence = "CC BY 4.0"
image_size = 64
labels = ["zero", "one"]

[attributes.place]
values = ["land", "water"]

[groups]
by = ["y", "place"]
names = ["zero_on_land", "zero_on_water", "one_on_land", "one_on_water"]
minority = ["zero_on_water", "one_on_land"]

[generation]
generator = "waterdigits"
seed = 5

[generation.params]
digits = [[0], [1]]
correlation = 0.9
diameter = [30.0, 42.0]
textures_per_place = 2

[splits]
train = 160
val = 40
test = 24

[expected.train]
n = 160
groups = [72, 8, 8, 72]

[expected.val]
n = 40
groups = [10, 10, 10, 10]

[expected.test]
n = 24
groups = [6, 6, 6, 6]

[protocol.standard]
selection = "last"
variants = ["original", "mixed_same", "mixed_rand"]

[protocol.standard.explain]
images = 8
steps = 4
random_draws = 2

[recipe.vit]
epochs = 2
batch_size = 40

[recipe.oracle]
epochs = 1

[recipe.ifam]
epochs = 2
batch_size = 40
init = "pretrained"

[recipe.ifam.losses]
rim = 1.0
"""


def write_tiny_suite(folder: Path) -> Path:
    """The suite file in a folder of its own."""
    path = folder / "tinydigits" / "suite.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(TINY)
    return path


def tiny_suite(folder: Path) -> Suite:
    """The suite."""
    return load_suite(str(write_tiny_suite(folder))).suite
