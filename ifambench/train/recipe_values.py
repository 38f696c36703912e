"""What the fields of a recipe may hold, and how they are read from text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ifambench.errors import UsageError, did_you_mean

CHOICES = {
    "weight_decay_rule": ("plain", "normalised"),
    "decay": ("all", "matrices"),
    "schedule": ("step", "epoch"),
    "precision": ("32", "bf16", "16"),
    "augment": ("none", "jitter", "flip", "crop", "cub"),
    "init": ("pretrained", "scratch"),
    "prototype_init": ("random", "rim"),
    "mask_gradient": ("detached", "straight-through", "soft"),
    "compat": ("none", "official"),
}

_POSITIVE: tuple[str, ...] = (
    "epochs",
    "batch_size",
    "accumulate",
    "lr",
    "lr_stage_1",
    "clip",
    "num_parts",
)
_POSITIVE += ("temperature", "jtt_epochs", "jtt_weight", "mixup_alpha", "retrainings")
_POSITIVE += ("strengths", "probe_strengths", "crop_area")
_NOT_NEGATIVE: tuple[str, ...] = (
    "lr_batch",
    "image_size",
    "weight_decay",
    "group_step",
    "losses",
    "lr_factors",
)
_NOT_NEGATIVE += ("mask_erosion",)
_SHARES: tuple[str, ...] = (
    "warmup",
    "part_dropout",
    "jitter",
    "ema",
    "rim_quantile",
)
_SHARES += ("mask_coverage", "crop_area", "mask_part_dropout")
_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise `UsageError` for the first name that is not known."""
    for name in given:
        if name not in known:
            choices = sorted(known)
            raise UsageError(
                f'unknown key "{name}"{did_you_mean(name, choices)}', where=where, choices=choices
            )


def checked(name: str, value: Any, now: Any, where: str) -> Any:
    """The value to set, of the type of the present one.

    A table is merged into the present table; a list of numbers becomes a tuple.

    Raises:
        UsageError: If the type is wrong, or the value is none of the field's choices.
    """
    if isinstance(now, dict):
        _check_type(name, value, now, where)
        refuse_unknown(value, now, where)
        for key, number in value.items():
            _check_type(f"{name}.{key}", number, 1.0, f"{where}.{key}")
        return now | value
    if isinstance(now, tuple):
        _check_type(name, value, [], where)
        for number in value:
            _check_type(name, number, 1.0, where)
        return tuple(value)
    _check_type(name, value, now, where)
    if name in CHOICES and value not in CHOICES[name]:
        raise UsageError(f'{name} cannot be "{value}"', where=where, choices=CHOICES[name])
    return value


def parsed(overrides: Mapping[str, str], recipe: Any, where: str) -> dict[str, Any]:
    """Text values by the type of the recipe's fields.

    `losses.entropy=0` sets one entry of a table; the numbers of a list are joined by `+`.

    Raises:
        UsageError: If a key is unknown or its text is not of the field's type.
    """
    values: dict[str, Any] = {}
    for key, text in overrides.items():
        name, dot, entry = key.partition(".")
        refuse_unknown([name], vars(recipe), where)
        now = getattr(recipe, name)
        if isinstance(now, dict) != bool(dot):
            entries = [f"{name}.{known}" for known in now] if isinstance(now, dict) else [name]
            raise UsageError(f'unknown key "{key}"', where=where, choices=entries)
        if dot:
            values.setdefault(name, {})[entry] = _number(key, text, float, where)
        else:
            values[name] = _value(name, text, now, where)
    return values


def check_bounds(recipe: Any, where: str) -> None:
    """Refuse numbers that make no sense.

    Raises:
        UsageError: Naming the first one.
    """
    rules: list[tuple[tuple[str, ...], Callable[[float], bool], str]] = [
        (_POSITIVE, lambda v: v > 0, "must be positive"),
        (_NOT_NEGATIVE, lambda v: v >= 0, "must not be negative"),
        (_SHARES, lambda v: 0 <= v < 1, "must be in [0, 1)"),
        (("keep_fraction",), lambda v: 0 <= v <= 1, "must be in [0, 1]"),
    ]
    for names, holds, message in rules:
        for name in names:
            found = _numbers(getattr(recipe, name))
            if not found or not all(math.isfinite(value) and holds(value) for value in found):
                raise UsageError(f"{name} {message}", where=f"{where}.{name}")
    if recipe.batch_size % recipe.accumulate:
        raise UsageError(
            f"batch_size {recipe.batch_size} is not a multiple of accumulate {recipe.accumulate}",
            where=where,
        )


def _numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, tuple) else [value]


def _value(name: str, text: str, now: Any, where: str) -> Any:
    if isinstance(now, str):
        return text
    if isinstance(now, tuple):
        return [_number(name, part, float, where) for part in text.split("+")]
    if isinstance(now, bool):
        if text.lower() not in ("true", "false"):
            raise _wrong(name, text, bool, where)
        return text.lower() == "true"
    return _number(name, text, type(now), where)


def _number(name: str, text: str, kind: type, where: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise _wrong(name, text, kind, where) from None


def _check_type(name: str, value: object, like: object, where: str) -> None:
    wanted = (int, float) if isinstance(like, float) else type(like)
    if not isinstance(value, wanted) or (isinstance(value, bool) != isinstance(like, bool)):
        raise _wrong(name, value, type(like), where)


def _wrong(name: str, value: object, kind: type, where: str) -> UsageError:
    kinds = _TYPE_NAMES | {dict: "a table", list: "a list of numbers"}
    return UsageError(f"{name} must be {kinds[kind]}, is {value!r}", where=where)
