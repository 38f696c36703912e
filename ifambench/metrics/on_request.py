"""Metrics that only some suites have: the protocol asks for them and gives their parameters.

Such a metric declares `params` in its `METRICS` literal, name -> kind, a `?` at the end marking
what may be left out. The kinds:

- `cell`: a table of attributes (or `y`, `group`) and their values that selects images, for instance
  `{ tube = "no" }`; several keys must all hold, a list of values allows any of them;
- `label`: a class name; `attribute`: an attribute; `variant`, `variants`: evaluated variants;
- `shortcuts`: attributes with as many values as there are labels, value i going with label i.

A literal with `labels = 2` is for suites with two labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ifambench.errors import UsageError
from ifambench.metrics.base import ScoreContext

if TYPE_CHECKING:
    import pandas as pd

    from ifambench.suites.spec import Suite

_CELL_KEYS = ("y", "group")
_SHOWN = 20
_ROW_FOR_EACH = {"gap_id_ood": "variants", "shortcut_gap": "shortcuts"}


def in_cell(images: pd.DataFrame, cell: Mapping[str, Any], context: ScoreContext) -> pd.Series:
    """Whether each image has the values that a cell names."""
    import pandas as pd  # suite files are checked without it

    found = pd.Series(True, index=images.index)
    for key, wanted in cell.items():
        found &= _column(images, key, context).isin(_listed(wanted))
    return found


def cell_name(cell: Mapping[str, Any]) -> str:
    """A cell in words.

    >>> cell_name({"tube": "no", "y": ["a", "b"]})
    'tube no, y a or b'
    """
    return ", ".join(f"{key} {' or '.join(_listed(wanted))}" for key, wanted in cell.items())


def check_metrics(
    metrics: Mapping[str, Mapping[str, Any]],
    suite: Suite,
    *,
    variants: Iterable[str] | None = None,
    primary: str | None = None,
    where: str = "protocol.metrics",
) -> None:
    """A protocol asks only for metrics that exist, with parameters that the suite can serve.

    Args:
        metrics: The section `metrics` of the protocol.
        suite: The suite.
        variants: The evaluated variants; all of the test split by default.
        primary: The metric that ranks, or None not to check it.
        where: File and key for the message.

    Raises:
        UsageError: For the first problem, with file, key and choices.
    """
    from ifambench.metrics.score import METRIC_REGISTRY

    known = tuple(suite.variants_in("test") if variants is None else variants)
    for name, params in metrics.items():
        info = METRIC_REGISTRY.entry(name).info
        if "params" not in info:
            what = f"{name} takes no parameters and is always computed"
            raise UsageError(what, where=f"{where}.{name}", next_step="remove the entry")
        _check_params(info, params, suite, known, f"{where}.{name}")
    if primary is not None:
        _check_primary(primary, metrics, suite, where.rpartition(".")[0])


def check_protocol(suite: Suite, name: str, file: str = "suite.toml") -> None:
    """`check_metrics` for a whole protocol of a suite, its primary metric included."""
    protocol = suite.protocol[name]
    check_metrics(
        protocol.metrics,
        suite,
        variants=protocol.variants,
        primary=protocol.primary,
        where=f"{file}: protocol.{name}.metrics",
    )


def _check_params(
    info: Mapping[str, Any],
    params: Mapping[str, Any],
    suite: Suite,
    variants: tuple[str, ...],
    where: str,
) -> None:
    wanted = info.get("labels")
    if wanted is not None and len(suite.labels) != wanted:
        what = f"needs {wanted} labels, the suite has {len(suite.labels)}"
        raise UsageError(what, where=where, next_step="remove the entry")
    kinds = {name: kind.rstrip("?") for name, kind in info["params"].items()}
    for name in params:
        if name not in kinds:
            raise UsageError(f"unknown parameter {name!r}", where=where, choices=tuple(kinds))
    for name, kind in info["params"].items():
        if name in params:
            _CHECKS[kinds[name]](params[name], suite, variants, f"{where}.{name}")
        elif not kind.endswith("?"):
            raise UsageError(f"the parameter {name!r} is missing", where=where)


def _check_primary(primary: str, metrics: Mapping[str, Any], suite: Suite, where: str) -> None:
    from ifambench.metrics.score import METRIC_REGISTRY

    info, key = METRIC_REGISTRY.entry(primary).info, f"{where}.primary"
    if info["higher_is_better"] is None:
        raise UsageError(f"{primary} has no direction, it cannot rank", where=key)
    if "params" in info and primary not in metrics:
        step = f"add {where}.metrics.{primary}"
        raise UsageError(f"{primary} is computed only when asked for", where=key, next_step=step)
    if len(metrics.get(primary, {}).get(_ROW_FOR_EACH.get(primary, ""), ())) > 1:
        what = f"{primary} has one number for each of its {_ROW_FOR_EACH[primary]}, it cannot rank"
        raise UsageError(what, where=key, next_step="name a single one, or another metric")
    needs_groups = ("worst_group_accuracy", "adjusted_accuracy", "group_mean_accuracy")
    if primary in needs_groups and len(suite.groups.names) == 1:
        step = 'write primary = "accuracy"'
        raise UsageError(f"{primary} needs more than one group", where=key, next_step=step)


def _check_cell(value: Any, suite: Suite, variants: tuple[str, ...], where: str) -> None:
    if not isinstance(value, Mapping) or not value:
        example = 'write a table such as { tube = "no" }'
        raise UsageError("is not a table of attributes and values", where=where, next_step=example)
    for key, wanted in value.items():
        if key not in (*_CELL_KEYS, *suite.attributes):
            choices = (*suite.attributes, *_CELL_KEYS)
            raise UsageError(f"no attribute is called {key!r}", where=where, choices=choices)
        values = suite.groups.names if key == "group" else suite.values_of(key)
        _check_known(_listed(wanted), values, "value", f"{where}.{key}")


def _check_label(value: Any, suite: Suite, variants: tuple[str, ...], where: str) -> None:
    _check_known([value], suite.labels, "label", where)


def _check_attribute(value: Any, suite: Suite, variants: tuple[str, ...], where: str) -> None:
    _check_known([value], suite.attributes, "attribute", where)


def _check_variant(value: Any, suite: Suite, variants: tuple[str, ...], where: str) -> None:
    _check_known([value], variants, "evaluated variant", where)


def _check_variants(value: Any, suite: Suite, variants: tuple[str, ...], where: str) -> None:
    _check_known(_some(value, where), variants, "evaluated variant", where)


def _check_shortcuts(value: Any, suite: Suite, variants: tuple[str, ...], where: str) -> None:
    names = _some(value, where)
    _check_known(names, suite.attributes, "attribute", where)
    for name in names:
        n = len(suite.attributes[name].values)
        if n != len(suite.labels):
            what = f"attribute {name!r} has {n} values for {len(suite.labels)} labels"
            raise UsageError(what, where=where, next_step="give it one value per label, in order")


def _check_known(found: Iterable[Any], known: Iterable[str], what: str, where: str) -> None:
    choices = tuple(known)
    for name in found:
        if name not in choices:
            some = choices[:_SHOWN]  # a thousand labels help nobody
            raise UsageError(f"no {what} is called {name!r}", where=where, choices=some)


def _some(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list) or not value or len(set(map(str, value))) != len(value):
        raise UsageError("is not a list of different names", where=where)
    return value


def _column(images: pd.DataFrame, key: str, context: ScoreContext) -> pd.Series:
    if key == "y":
        return images["y"].map(context.class_name)
    return images["group" if key == "group" else f"a_{key}"].astype(str)


def _listed(wanted: Any) -> list[str]:
    return [str(item) for item in wanted] if isinstance(wanted, list | tuple) else [str(wanted)]


_CHECKS: dict[str, Callable[[Any, Suite, tuple[str, ...], str], None]] = {
    "cell": _check_cell,
    "label": _check_label,
    "attribute": _check_attribute,
    "variant": _check_variant,
    "variants": _check_variants,
    "shortcuts": _check_shortcuts,
}
