"""A suite as tables, and the table of facts that every other name is shown with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.suites.catalog import SuiteFile
    from ifambench.suites.spec import Attribute, Protocol, Reference, Suite

_LISTED = 16
"""Names that are shown one and all."""
_ROWS = 40
"""Groups in the table of images."""
_FACTS = (Column("", "left", ALWAYS), Column("value", "left", ALWAYS))


def facts_section(title: str, facts: Mapping[str, Any]) -> Section:
    """Names and values below each other."""
    rows = tuple((name.replace("_", " "), _text(value)) for name, value in facts.items())
    return Section("facts", title, _FACTS, rows)


def suite_sections(file: SuiteFile, data_dir: Path | None = None) -> list[Section]:
    """What the suite is, where its data come from, its images, variants, protocols and numbers."""
    from ifambench.cli.suite_sources import download_section, pool_section, variant_section

    suite = file.suite
    heading = f"{suite.title} ({suite.id})"
    found = [facts_section(heading, {**_about(suite), **_data(suite, data_dir), **_file(file)})]
    found += [*download_section(suite), _images(suite), *variant_section(suite)]
    return [*found, *pool_section(suite), _protocols(suite), *_references(suite)]


def _about(suite: Suite) -> dict[str, Any]:
    status = suite.status + (f": {suite.status_note}" if suite.status_note else "")
    more = {"citation": suite.citation, "tags": suite.tags}
    return {
        "summary": suite.summary,
        "version": suite.version,
        "kind": suite.kind,
        "status": status,
        "licence": suite.licence,
        **{name: value for name, value in more.items() if value},
        "classes": _some(suite.labels),
        "attributes": {name: _attribute(item) for name, item in suite.attributes.items()} or "-",
        "minority groups": _some(suite.groups.minority),
        "image size": f"{suite.image_size} x {suite.image_size}",
        "known issues": suite.known_issues,
        "recipes for": list(suite.recipe),
    }


def _attribute(item: Attribute) -> str:
    more = [item.semantics, item.origin, "sensitive" if item.sensitive else ""]
    told = ", ".join(text for text in more if text)
    return ", ".join(_some(item.values)) + (f" ({told})" if told else "")


def _some(names: Sequence[str]) -> list[str]:
    """The names, of many the first ones and their number."""
    if len(names) <= _LISTED:
        return list(names)
    return [*names[:3], f"... {names[-1]} ({len(names):,} in all)"]


def _file(file: SuiteFile) -> dict[str, str]:
    return {"file": str(file.path), "sha256": file.digest}


def _data(suite: Suite, data_dir: Path | None) -> dict[str, str]:
    """Where the images come from, and whether they are at hand."""
    from ifambench.data.folders import data_root, data_state, has_masks

    if suite.generation is not None:
        return {"data": f"generated from seed {suite.generation.seed}"}
    assert suite.source is not None
    state, folder = data_state(suite, data_dir)
    if folder is None:
        known = {"data": f"not found in {data_root(data_dir)} (--data-dir, IFAMBENCH_DATA)"}
    else:
        masks = {True: "found", False: f"none (wanted in {suite.source.mask_root}/)"}
        known = {"data": f"{state}: {folder}"}
        if suite.source.mask_root is not None:
            known["masks"] = masks[has_masks(suite, folder)]
    more = {"how to get it": suite.source.how_to_get, "homepage": suite.source.homepage}
    return known | {name: text for name, text in more.items() if text}


def _images(suite: Suite) -> Section:
    splits = tuple(Column(name) for name in suite.splits)
    shown = list(enumerate(suite.groups.names))[:_ROWS]
    rows = [
        (group, *(_expected(suite, split, index) for split in suite.splits))
        for index, group in shown
    ]
    rows.append(("all", *(f"{n:,}" if n else "-" for n in suite.splits.values())))
    columns = (Column("group", "left", ALWAYS), *splits)
    hidden = len(suite.groups.names) - len(shown)
    remarks = [f"{hidden:,} more groups: --format json"] if hidden else []
    if "-" in (cell for row in rows for cell in row):
        remarks.append("-: not known before the data are there.")
    return Section("images", "Images", columns, tuple(rows), tuple(remarks))


def _expected(suite: Suite, split: str, group: int) -> str:
    expected = suite.expected.get(split)
    count = expected.groups[group] if expected else -1
    return "-" if count < 0 else f"{count:,}"


def _protocols(suite: Suite) -> Section:
    columns = (
        Column("protocol", "left", ALWAYS),
        Column("evaluated on", "left", ALWAYS),
        Column("selection", "left", ALWAYS),
        Column("primary metric", "left", ALWAYS),
        Column("variants", "left", ALWAYS),
        Column("explained images", priority=4),
        Column("curve steps", priority=3),
    )
    rows = tuple(
        (
            name + (" (default)" if name == suite.default_protocol else ""),
            protocol.eval_split,
            protocol.selection,
            protocol.primary,
            ", ".join(protocol.variants),
            f"{protocol.explain.images:,}",
            str(protocol.explain.steps),
        )
        for name, protocol in suite.protocol.items()
    )
    remarks = tuple(text for item in suite.protocol.items() for text in _remarks(*item))
    return Section("protocols", "Protocols", columns, rows, remarks)


def _remarks(name: str, protocol: Protocol) -> Iterator[str]:
    if not protocol.ranked:
        yield f"{name}: results are not ranked."
    if protocol.metrics:
        given = (f"{key} ({_text(value)})" for key, value in protocol.metrics.items())
        yield f"{name}: also {', '.join(given)}."
    if protocol.label_scope == "members":
        yield f"{name}: only the classes of the suite are compared, of all that a model knows."
    if protocol.notes:
        yield f"{name}: {protocol.notes}"


def _references(suite: Suite) -> list[Section]:
    columns = (
        Column("model", "left", ALWAYS),
        Column("metric", "left", ALWAYS),
        Column("value", priority=ALWAYS),
        Column("source", "left", ALWAYS),
        Column("mark", "left", ALWAYS),
    )
    rows = tuple(
        (item.model, item.metric, _value(item), _origin(item), item.mark)
        for item in suite.reference
    )
    return [Section("reference", "Published numbers", columns, rows)] if rows else []


def _origin(item: Reference) -> str:
    """Where the number stands, and what must be equal for a comparison."""
    named = {"selection": item.selection, "protocol": item.protocol}
    told = [f"{name} {value}" for name, value in named.items() if value]
    return "; ".join([item.source, *told])


def _value(item: Reference) -> str:
    spread = "" if item.spread is None else f" ± {item.spread:.3f} {item.spread_kind}".rstrip()
    return f"{item.value:.3f}{spread}"


def _text(value: Any) -> str:
    """A value in words; texts with a comma of their own stand on lines of their own."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        words = [str(item) for item in value]
        return ("\n" if any(", " in word for word in words) else ", ").join(words) or "-"
    return "-" if value is None else str(value)
