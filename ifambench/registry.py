"""Find models, explainers and metrics by name without importing what they are made of.

Each plug-in file states what it offers in a module-level literal, for instance::

    EXPLAINERS = {"random": {"build": "random_relevance", "summary": "...", "needs": []}}

The registry reads that literal from the source text (`ast`, no import), so adding one file adds
an entry, and `ifambench list` never pays for torch. The module is imported when the entry is used.
Third parties offer entries through the entry-point group `ifambench.<kind>s`; such an entry
point names a module with the same literal. A broken plug-in is reported (`problems`, shown by
`list` and `doctor`) and left out; it does not break others.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ifambench.errors import UsageError, unknown_name


@dataclass(frozen=True)
class Entry:
    """One named thing of a catalogue.

    Attributes:
        name: The name on the command line.
        module: The module that defines it.
        build: The attribute of the module that makes it.
        info: The literal's remaining keys (summary, needs, ...).
    """

    name: str
    module: str
    build: str
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """One line for `ifambench list`."""
        return str(self.info.get("summary", ""))

    def load(self) -> Any:
        """Import the module and return the object behind the name."""
        return getattr(importlib.import_module(self.module), self.build)


@dataclass(frozen=True)
class Registry:
    """The catalogue of one kind of thing.

    Attributes:
        kind: Singular noun, for instance `explainer`.
        package: The package whose files are read.
        constant: The name of the literal in each file.
    """

    kind: str
    package: str
    constant: str

    def entries(self) -> dict[str, Entry]:
        """All entries by name, sorted; plug-ins that cannot be read are left out (`problems`)."""
        return dict(sorted(self._found()[0].items()))

    def problems(self) -> list[str]:
        """One line per plug-in that was left out, with the reason."""
        return self._found()[1]

    def _found(self) -> tuple[dict[str, Entry], list[str]]:
        found = dict(_package_entries(self.package, self.constant))
        problems = []
        for module in _plugin_modules(f"ifambench.{self.kind}s"):
            try:
                added = _module_entries(module, self.constant)
            except (UsageError, ImportError, SyntaxError, ValueError, KeyError, OSError) as error:
                problems.append(f"plug-in {module} left out: {str(error).splitlines()[0]}")
                continue
            taken = sorted(found.keys() & added.keys())
            problems += [f"plug-in {module} left out: {name} is there already" for name in taken]
            found |= {} if taken else added
        return found, problems

    def names(self) -> list[str]:
        """All names, sorted."""
        return list(self.entries())

    def entry(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UsageError: If there is none; the message names the nearest ones.
        """
        entries = self.entries()
        if name not in entries:
            raise unknown_name(
                self.kind, name, entries, list_command=f"ifambench list {self.kind}s"
            )
        return entries[name]

    def load(self, name: str) -> Any:
        """Import and return the object of that name."""
        return self.entry(name).load()


@cache
def _package_entries(package: str, constant: str) -> Mapping[str, Entry]:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return {}
    found: dict[str, Entry] = {}
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder).glob("*.py")):
            if path.stem != "__init__":
                found.update(_source_entries(path, f"{package}.{path.stem}", constant))
    return found


def _module_entries(module: str, constant: str) -> Mapping[str, Entry]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UsageError(
            f'plug-in module "{module}" cannot be found', next_step="reinstall or remove it"
        )
    return _source_entries(Path(spec.origin), module, constant)


def _source_entries(path: Path, module: str, constant: str) -> dict[str, Entry]:
    literal = _read_literal(path.read_text(encoding="utf-8"), constant)
    found = {}
    for template, info in literal.items():
        rest = {key: value for key, value in info.items() if key not in ("build", "sizes")}
        for size in info.get("sizes", [None]):
            name = template if size is None else template.format(size=size)
            own = rest if size is None else rest | {"size": size, "template": template}
            found[name] = Entry(name=name, module=module, build=info["build"], info=own)
    return found


def _read_literal(source: str, constant: str) -> dict[str, dict[str, Any]]:
    if constant not in source:
        return {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if [name.id for name in targets if isinstance(name, ast.Name)] == [constant]:
            value: dict[str, dict[str, Any]] = ast.literal_eval(node.value)
            return value
    return {}


@cache
def _plugin_modules(group: str) -> tuple[str, ...]:
    points = importlib.metadata.entry_points(group=group)
    return tuple(sorted({point.value.partition(":")[0] for point in points}))
