"""Tables of all shipped suites, from their files.

    python docs/suites_table.py [--data | --uncertain]

By default what each suite is; with --data where its images come from and how they are checked; with
--uncertain what its file marks as uncertain.
"""

import argparse
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from ifambench.cli.suite_list import mask_word
from ifambench.suites.catalog import load_suite
from ifambench.suites.spec import Suite

FOLDER = Path(__file__).resolve().parents[1] / "suites"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", action="store_true")
    parser.add_argument("--uncertain", action="store_true")
    asked = parser.parse_args()
    suites = [load_suite(str(path)).suite for path in sorted(FOLDER.glob("*/suite.toml"))]
    if asked.uncertain:
        for suite in suites:
            print_uncertain(suite)
        return
    head, row = (DATA, data_row) if asked.data else (OVERVIEW, overview_row)
    print(f"| {' | '.join(name for name, _ in head)} |")
    print(f"| {' | '.join(align for _, align in head)} |")
    for suite in suites:
        print(f"| {' | '.join(map(cell, row(suite)))} |")


OVERVIEW = [("suite", ":---"), ("what it is", ":---"), ("kind", ":---"), ("classes", "---:")]
OVERVIEW += [("groups", "---:"), ("test images", "---:"), ("masks", ":---"), ("status", ":---")]
DATA = [("suite", ":---"), ("from", ":---"), ("licence", ":---"), ("checked by", ":---")]
DATA += [("published numbers", ":---")]


def overview_row(suite: Suite) -> list[str]:
    counts = (len(suite.labels), len(suite.groups.names), suite.splits["test"])
    masks = mask_word(suite)
    status = suite.status + (f": {suite.status_note}" if suite.status_note else "")
    numbers = [f"{n:,}" if n else "not known" for n in counts]
    return [f"`{suite.id}`", suite.summary, suite.kind, *numbers, masks, status]


def data_row(suite: Suite) -> list[str]:
    marks = Counter(item.mark for item in suite.reference)
    numbers = ", ".join(f"{n} {mark}" for mark, n in sorted(marks.items()))
    return [f"`{suite.id}`", origin(suite), suite.licence, checks(suite), numbers or "none"]


def origin(suite: Suite) -> str:
    if suite.source is None:
        return "generated"
    hosts = [urlsplit(url).netloc for item in suite.download for url in item.urls]
    by_hand = ["by hand"] if any(item.kind == "manual" for item in suite.download) else []
    found = list(dict.fromkeys([*hosts, *by_hand]))
    return ", ".join(found or [urlsplit(suite.source.homepage).netloc or "by hand"])


def checks(suite: Suite) -> str:
    found = []
    if any(item.sha256 or item.md5 for item in suite.download):
        found.append("checksums")
    if any(any(n > 0 for n in item.groups) for item in suite.expected.values()):
        found.append("counts per group")
    elif any(suite.splits.values()):
        found.append("counts per split")
    if suite.origin.fingerprint:
        found.append("fingerprint")
    return ", ".join(found) or "nothing is known in advance"


def print_uncertain(suite: Suite) -> None:
    numbers = [
        f"{item.model}, {item.metric} {item.value:g} ({item.source})"
        for item in suite.reference
        if item.mark == "uncertain"
    ]
    texts = [suite.status_note, *suite.known_issues]
    issues = [text for text in texts if "uncertain" in text.lower()]
    for text in [*issues, *(f"published number: {number}" for number in numbers)]:
        print(f"- `{suite.id}`: {cell(text)}")


def cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    main()
