"""What can be wrong with a suite file that the schema accepts; reads no data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ifambench.errors import IfamBenchError, UsageError

if TYPE_CHECKING:
    from ifambench.suites.spec import Suite

SMALL_GROUP = 30
"""Images of an evaluated group below which its accuracy says little."""


def line_of(error: IfamBenchError) -> str:
    """An error as one line."""
    return f"{error.what} ({error.where})" if error.where else error.what


def file_findings(suite: Suite) -> list[str]:
    """Contradictions within the file, names that nothing has, numbers without a source."""
    return [
        *_count_findings(suite),
        *_fingerprint_findings(suite),
        *_protocol_findings(suite),
        *_recipe_findings(suite),
        *(
            f"reference {k + 1} ({item.model}, {item.metric}) has no source"
            for k, item in enumerate(suite.reference)
            if not item.source.strip()
        ),
    ]


def file_notes(suite: Suite) -> list[str]:
    """What is no mistake, but should be known when the numbers are read."""
    found = [_small_groups(suite, split) for split in sorted(_evaluated(suite))]
    unknown = [split for split, n in suite.splits.items() if not n]
    if unknown:
        found.append(f"splits.{', '.join(unknown)}: the number of images is not known in advance")
    return [text for text in found if text]


def _evaluated(suite: Suite) -> set[str]:
    return {protocol.eval_split for protocol in suite.protocol.values()}


def _small_groups(suite: Suite, split: str) -> str:
    if split not in suite.expected:
        return ""
    counts = zip(suite.groups.names, suite.expected[split].groups, strict=True)
    small = [f"{name} {n}" for name, n in counts if 0 < n < SMALL_GROUP]
    more = f" and {len(small) - 3} more" if len(small) > 3 else ""
    named = ", ".join(small[:3]) + more
    return f"{split}: groups with fewer than {SMALL_GROUP} images: {named}" if small else ""


def _count_findings(suite: Suite) -> Iterator[str]:
    for split, expected in suite.expected.items():
        key = f"expected.{split}"
        if split not in suite.splits:
            yield f"{key}: there is no such split in [splits]"
        elif expected.n != suite.splits[split]:
            yield f"{key}.n is {expected.n}, splits.{split} is {suite.splits[split]}"
        known = sum(n for n in expected.groups if n > 0)
        if -1 not in expected.groups and known != expected.n:
            yield f"{key}.groups add up to {known}, not to {expected.n}"
        elif known > expected.n > 0:
            yield f"{key}.groups add up to {known} and more, {key}.n is {expected.n}"


def _fingerprint_findings(suite: Suite) -> Iterator[str]:
    promised = suite.origin.fingerprint
    undeclared = [split for split in promised if split not in suite.splits]
    if undeclared:
        section = "generation" if suite.source is None else "source"
        yield f"{section}.fingerprint.{undeclared[0]}: there is no such split in [splits]"
    if suite.generation is not None:
        missing = [split for split in suite.splits if split not in promised]
        if missing:
            lacking = ", ".join(missing)
            yield f"generation.fingerprint lacks {lacking}: pixels are not checked"


def _protocol_findings(suite: Suite) -> Iterator[str]:
    from ifambench.cli.catalogues import METRICS

    metrics = METRICS.entries()
    for name, protocol in suite.protocol.items():
        key = f"protocol.{name}"
        images = suite.splits.get(protocol.eval_split, 0)
        if protocol.explain.images > images > 0:
            yield f"{key}.explain.images is larger than {images} images"
        if protocol.primary not in metrics:
            yield f'{key}.primary names no metric: "{protocol.primary}"{_near(protocol.primary)}'
        for metric in protocol.metrics:
            if metric not in metrics:
                yield f'{key}.metrics names no metric: "{metric}"{_near(metric)}'
        if {protocol.primary, *protocol.metrics} <= metrics.keys():
            yield from _metric_findings(suite, name)


def _metric_findings(suite: Suite, name: str) -> Iterator[str]:
    """What a protocol asks of its metrics that the suite cannot serve."""
    from ifambench.metrics.on_request import check_protocol

    try:
        check_protocol(suite, name)
    except UsageError as error:
        yield line_of(error)


def _near(metric: str) -> str:
    from ifambench.cli.catalogues import METRICS

    return _hint(metric, METRICS.names())


def _hint(name: str, names: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _recipe_findings(suite: Suite) -> Iterator[str]:
    from ifambench.train.recipes import recipe_for

    names = recipe_names()
    for section in suite.recipe:
        if section not in names:
            yield f'recipe.{section} is for no model: "{section}"{_hint(section, sorted(names))}'
            continue
        try:
            recipe_for(suite, section)
        except UsageError as error:
            yield line_of(error)


def recipe_names() -> set[str]:
    """What a section `[recipe.NAME]` can be called: families and models, with their methods too."""
    from ifambench.models.catalog import MODEL_REGISTRY

    found: set[str] = set()
    for entry in MODEL_REGISTRY.entries().values():
        bases = {entry.name, str(entry.info.get("family", entry.name))}
        methods = entry.info.get("methods", [])
        found |= bases | {f"{base}+{method}" for base in bases for method in methods}
    return found
