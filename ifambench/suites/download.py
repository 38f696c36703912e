"""The section `[[download]]` of `suite.toml`: where the files of a suite can be had."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ifambench.suites.parts import Closed, Inside, Md5, Name, Sha256

Url = Annotated[str, Field(pattern=r"^(https?://|hf://)\S+$")]


class Download(Closed):
    """One file to fetch, or what a user must do by hand to get it.

    With `kind = "http"` the mirrors are tried in their order; `hf://datasets/OWNER/REPO/FILE`
    addresses a file on the hub. `gdrive` is http with Google's page in between. `manual` is never
    fetched: `instructions` are printed.
    """

    name: Name
    kind: Literal["http", "gdrive", "manual"] = "http"
    urls: list[Url] = Field(default_factory=list)
    size_bytes: int | None = Field(default=None, gt=0)
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    archive: Literal["none", "tar", "tar.gz", "zip"] = "none"
    extract_to: Inside = ""
    """Folder below that of the suite; for a file that is no archive also its path, with suffix."""
    strip: int = Field(default=0, ge=0)
    """Leading folders of the archive's names that are left out."""
    unpacked_bytes: int = Field(default=64 * 2**30, gt=0)
    """An archive that unpacks to more is refused."""
    licence: str = ""
    account: bool = False
    """The host wants an account."""
    optional: bool = False
    """The suite can be run without it, for instance masks."""
    instructions: str = ""

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.kind == "manual" and (self.urls or not self.instructions):
            raise ValueError("a manual download has instructions and no urls")
        if self.kind != "manual" and not self.urls:
            raise ValueError("urls are missing")
        return self
