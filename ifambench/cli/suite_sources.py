"""Downloads, variants and background pools of a suite as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ifambench.reports.section import ALWAYS, Column, Section

if TYPE_CHECKING:
    from ifambench.suites.download import Download
    from ifambench.suites.spec import Suite

_OWN = frozenset(("id", "kind", "splits", "summary"))


def download_section(suite: Suite) -> list[Section]:
    """What can be had, from where (mirrors in their order), under which licence, how checked."""
    columns = (
        Column("download", "left", ALWAYS),
        Column("size", priority=ALWAYS),
        Column("from", "left", ALWAYS),
        Column("checked by", "left", ALWAYS),
    )
    rows = tuple(
        (
            item.name + (" (optional)" if item.optional else ""),
            _size(item.size_bytes),
            _origin(item),
            " ".join(name for name in ("sha256", "md5") if getattr(item, name)) or "-",
        )
        for item in suite.download
    )
    return [Section("downloads", "Downloads", columns, rows)] if rows else []


def variant_section(suite: Suite) -> list[Section]:
    """The same images, altered: how each variant is made."""
    columns = (
        Column("variant", "left", ALWAYS),
        Column("of", "left", ALWAYS),
        Column("made by", "left", ALWAYS),
        Column("summary", "left", ALWAYS),
    )
    rows = tuple(
        (item.id, ", ".join(item.splits), _made_by(item), item.summary or "-")
        for item in suite.variant
    )
    return [Section("variants", "Variants", columns, rows)] if rows else []


def pool_section(suite: Suite) -> list[Section]:
    """Collections that backgrounds are taken from."""
    columns = (
        Column("pool", "left", ALWAYS),
        Column("folders", "left", ALWAYS),
        Column("categories", "left", ALWAYS),
    )
    rows = tuple(
        (item.name, ", ".join(item.folders), ", ".join(item.categories) or "one for all")
        for item in suite.pool
    )
    return [Section("pools", "Background pools", columns, rows)] if rows else []


def _size(n: int | None) -> str:
    if n is None:
        return "?"
    return f"{n / 1e9:.2f} GB" if n >= 10**9 else f"{n / 1e6:.1f} MB"


def _origin(item: Download) -> str:
    words = [item.instructions] if item.kind == "manual" else item.urls
    licence = f"licence: {item.licence}" if item.licence else ""
    account = "an account is needed" if item.account else ""
    return "\n".join(word for word in (*words, licence, account) if word)


def _made_by(item: Any) -> str:
    """Kind of the variant and what was set for it."""
    values = item.model_dump(exclude_defaults=True, exclude=set(_OWN))
    given = ", ".join(f"{key} {_short(value)}" for key, value in values.items())
    return f"{item.kind}: {given}" if given else str(item.kind)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return repr(value) if value == "" else str(value)
