"""Tables of what is registered: explainers, or the metrics of some files.

    python docs/registry_table.py explainers
    python docs/registry_table.py metrics MODULE...

Read from the registries, so that the pages cannot fall behind the code.
"""

import argparse

from ifambench.cli.catalogues import EXPLAINERS, METRICS

DIRECTION = {True: "high", False: "low", None: "-"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kind", choices=["explainers", "metrics"])
    parser.add_argument("modules", nargs="*")
    asked = parser.parse_args()
    if asked.kind == "explainers":
        print_table(["explainer", "family", "needs", "passes", "what it is"], explainers())
    else:
        print_table(["metric", "what it is", "unit", "good is"], metrics(asked.modules))


def explainers() -> list[list[str]]:
    """Sorted by family and name."""
    rows = []
    for name, entry in EXPLAINERS.entries().items():
        needs = ", ".join(entry.info["needs"])
        either = " or ".join(entry.info.get("needs_any", ()))
        needed = ", ".join(filter(None, [needs, either])) or "-"
        passes = passes_of(*entry.info["forwards"])
        rows.append([f"`{name}`", entry.info["family"], needed, passes, entry.summary])
    return sorted(rows, key=lambda row: (row[1], row[0]))


def passes_of(fixed: int, per_patch: int) -> str:
    """Forward passes per image: a + b n."""
    growing = f"{per_patch if per_patch != 1 else ''}n" if per_patch else ""
    return " + ".join(filter(None, [str(fixed) if fixed or not growing else "", growing]))


def metrics(modules: list[str]) -> list[list[str]]:
    """Of the files ifambench/metrics/<module>.py, in the order of the arguments."""
    entries = METRICS.entries().items()
    found = [
        [f"`{name}`", entry.summary, entry.info["unit"], DIRECTION[entry.info["higher_is_better"]]]
        for module in modules
        for name, entry in entries
        if entry.module == f"ifambench.metrics.{module}"
    ]
    if not found:
        raise SystemExit(f"no metrics in {modules}")
    return found


def print_table(head: list[str], rows: list[list[str]]) -> None:
    print(f"| {' | '.join(head)} |")
    print(f"| {' | '.join(':---' for _ in head)} |")
    for row in rows:
        print(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |")


if __name__ == "__main__":
    main()
