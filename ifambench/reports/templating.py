"""The Jinja environment of all pages: every text is escaped, an unknown name is an error."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """The environment whose templates lie in `templates/`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["breakable"] = breakable
    return made


def breakable(text: str) -> Markup:
    """The text, escaped, with places where a narrow column may break a long name.

    >>> print(breakable("zero_on_land <3"))
    zero_<wbr>on_<wbr>land &lt;3
    """
    from markupsafe import Markup, escape

    return Markup(re.sub(r"([_/@.])(?=\w)", r"\1<wbr>", str(escape(text))))
