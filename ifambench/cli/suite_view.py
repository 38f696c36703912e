"""A suite as tables, and the table of facts that every other name is shown with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.suites.catalog import SuiteFile
    from ifambench.suites.spec import Suite

_FACTS = (Column("", "left", ALWAYS), Column("value", "left", ALWAYS))


def facts_section(title: str, facts: Mapping[str, Any]) -> Section:
    """Names and values below each other."""
    rows = tuple((name.replace("_", " "), _text(value)) for name, value in facts.items())
    return Section("facts", title, _FACTS, rows)


def suite_sections(file: SuiteFile, data_dir: Path | None = None) -> list[Section]:
    """What the suite is, its images, its protocols, its published reference numbers."""
    suite = file.suite
    about = {
        "summary": suite.summary,
        "version": suite.version,
        "kind": suite.kind,
        "licence": suite.licence,
        "classes": suite.labels,
        "attributes": {name: item.values for name, item in suite.attributes.items()},
        "minority groups": suite.groups.minority,
        "image size": f"{suite.image_size} x {suite.image_size}",
        "known issues": suite.known_issues,
        **_data(suite, data_dir),
        "file": str(file.path),
        "sha256": file.digest,
    }
    heading = f"{suite.title} ({suite.id})"
    sections = [facts_section(heading, about), _images(suite), _protocols(suite)]
    return [*sections, *_references(suite)]


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
        masks = {True: "found", False: f"none (wanted in {suite.source.masks}/)"}
        known = {"data": f"{state}: {folder}"}
        if suite.source.masks is not None:
            known["masks"] = masks[has_masks(suite, folder)]
    more = {"how to get it": suite.source.how_to_get, "homepage": suite.source.homepage}
    return known | {name: text for name, text in more.items() if text}


def _images(suite: Suite) -> Section:
    splits = tuple(Column(name) for name in suite.splits)
    rows = [
        (group, *(_expected(suite, split, index) for split in suite.splits))
        for index, group in enumerate(suite.groups.names)
    ]
    rows.append(("all", *(f"{n:,}" for n in suite.splits.values())))
    columns = (Column("group", "left", ALWAYS), *splits)
    return Section("images", "Images", columns, tuple(rows))


def _expected(suite: Suite, split: str, group: int) -> str:
    expected = suite.expected.get(split)
    return f"{expected.groups[group]:,}" if expected else "-"


def _protocols(suite: Suite) -> Section:
    columns = (
        Column("protocol", "left", ALWAYS),
        Column("evaluated on", "left", ALWAYS),
        Column("selection", "left", ALWAYS),
        Column("explained images", priority=ALWAYS),
        Column("curve steps", priority=ALWAYS),
        Column("variants", "left", ALWAYS),
    )
    rows = tuple(
        (
            name + (" (default)" if name == suite.default_protocol else ""),
            protocol.eval_split,
            protocol.selection,
            f"{protocol.explain.images:,}",
            str(protocol.explain.steps),
            ", ".join(protocol.variants),
        )
        for name, protocol in suite.protocol.items()
    )
    return Section("protocols", "Protocols", columns, rows)


def _references(suite: Suite) -> list[Section]:
    columns = (
        Column("model", "left", ALWAYS),
        Column("metric", "left", ALWAYS),
        Column("value", priority=ALWAYS),
        Column("selection", "left", 5),
        Column("source", "left", ALWAYS),
        Column("checked", "left", 4),
    )
    rows = tuple(
        (item.model, item.metric, f"{item.value:.3f}", item.selection, item.source, item.mark)
        for item in suite.reference
    )
    return [Section("reference", "Published numbers", columns, rows)] if rows else []


def _text(value: Any) -> str:
    """A value in words; texts with a comma of their own stand on lines of their own."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        words = [str(item) for item in value]
        return ("\n" if any(", " in word for word in words) else ", ").join(words) or "-"
    return "-" if value is None else str(value)
