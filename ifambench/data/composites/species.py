"""Which species are waterbirds, as Waterbirds has it and as it was meant.

Sagawa et al. 2020 (arXiv 1911.08731) look for the names of seabirds and waterfowl anywhere in the
name of the species. So "tern" is found in Eastern Towhee, Western Meadowlark and Western Wood
Pewee: these land birds are labelled waterbirds in the published data. The exact rule asks for whole
words.
"""

from __future__ import annotations

import re

SEABIRDS = (
    *("albatross", "auklet", "cormorant", "frigatebird", "fulmar", "gull"),
    *("jaeger", "kittiwake", "pelican", "puffin", "tern"),
)
WATERFOWL = ("gadwall", "grebe", "mallard", "merganser", "guillemot", "pacific_loon")


def is_waterbird(species: str, *, exact: bool = False) -> bool:
    """Whether a species, named as in CUB (`Artic_Tern`), is a waterbird.

    >>> is_waterbird("Eastern_Towhee"), is_waterbird("Eastern_Towhee", exact=True)
    (True, False)
    >>> is_waterbird("144.Common_Tern", exact=True)
    True
    """
    name = species.lower()
    if not exact:
        return any(bird in name for bird in (*SEABIRDS, *WATERFOWL))
    words = "_".join(["", *re.split(r"[^a-z]+", name), ""])
    return any(f"_{bird}_" in words for bird in (*SEABIRDS, *WATERFOWL))
