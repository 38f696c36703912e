"""The files of a suite are fetched: mirrors, resume, checks, safe unpacking, receipts.

Everything of a suite that is not data lies in `.ifambench/` in the suite's folder: partial files,
the lock, the acknowledged licence and a receipt per download. A download without a receipt is not
there, whatever else lies in the folder.
"""

from __future__ import annotations

from ifambench.data.fetch.limits import Limits
from ifambench.data.fetch.state import missing_downloads
from ifambench.data.fetch.suite import fetch_suite

__all__ = ["Limits", "fetch_suite", "missing_downloads"]
