"""One HTTP request: bounded time, few redirects, never from https down to http."""

from __future__ import annotations

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from ifambench import __version__
from ifambench.data.fetch.limits import Limits, MirrorFailed, amount

_CHUNK = 256 * 1024
_PASSING = (408, 425, 429)
"""Refusals that may be over in a moment, besides those of a server in trouble (5xx)."""


def open_url(url: str, headers: Mapping[str, str], limits: Limits) -> http.client.HTTPResponse:
    """The answer to a GET request, redirects followed; to be closed by the caller.

    Raises:
        MirrorFailed: For every kind of failure, with the HTTP status if there was one.
    """
    agent = {"User-Agent": f"ifambench/{__version__}", "Accept-Encoding": "identity"}
    try:
        request = urllib.request.Request(url, headers={**agent, **headers})
        answer = _opener(limits).open(request, timeout=limits.connect_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        again = error.code in _PASSING or error.code >= 500
        raise MirrorFailed(
            f"HTTP {error.code} {error.reason}", again=again, status=error.code
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _failed(error, limits) from error
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


def body(answer: http.client.HTTPResponse, limits: Limits) -> Iterator[bytes]:
    """The bytes of an answer as they come; ends early when the connection does.

    Raises:
        MirrorFailed: If nothing comes for too long, too little comes, or the connection breaks.
    """
    started, received = time.monotonic(), 0
    while True:
        try:
            chunk = answer.read1(_CHUNK)  # one read of the socket: `read` waits for all bytes
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _failed(error, limits) from error
        if not chunk:
            return
        yield chunk
        received += len(chunk)
        passed = time.monotonic() - started
        if passed >= limits.slow_seconds:
            if received < limits.slow_bytes:
                raise MirrorFailed(f"too slow: {amount(received)} in {passed:.0f} s", again=True)
            started, received = time.monotonic(), 0


def _opener(limits: Limits) -> urllib.request.OpenerDirector:
    """Only what is needed: no files, no ftp, no cookies, no passwords."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(limits),
        _Http(limits),
        _Https(limits),
    ):
        opener.add_handler(handler)
    return opener


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Few redirects, and only to the web: the base class lets ftp and plain http pass."""

    max_redirections = max_repeats = 1000  # ours are fewer

    def __init__(self, limits: Limits) -> None:
        self._most = limits.redirects

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        before = req.full_url
        after = urljoin(before, headers.get("location") or headers.get("uri") or "")
        if sum(getattr(req, "redirect_dict", {}).values()) >= self._most:
            raise MirrorFailed(f"redirects more than {self._most} times", again=False)
        if urlsplit(after).scheme not in ("http", "https"):
            raise MirrorFailed(f"redirects to {after}", again=False)
        if urlsplit(before).scheme == "https" and urlsplit(after).scheme == "http":
            raise MirrorFailed(f"redirects from https down to {after}", again=False)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Connection(http.client.HTTPConnection):
    idle_seconds = 60.0

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.idle_seconds)


class _SecureConnection(http.client.HTTPSConnection):
    idle_seconds = 60.0

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self.idle_seconds)


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._idle = limits.idle_seconds

    def http_open(self, req: Any) -> Any:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, **options: Any) -> _Connection:
        made = _Connection(host, **options)
        made.idle_seconds = self._idle
        return made


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._idle = limits.idle_seconds

    def https_open(self, req: Any) -> Any:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, **options: Any) -> _SecureConnection:
        made = _SecureConnection(host, context=ssl.create_default_context(), **options)
        made.idle_seconds = self._idle
        return made


def _failed(error: Exception, limits: Limits) -> MirrorFailed:
    """What Python's network modules raise, in a sentence."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        seconds = f"{limits.connect_seconds:g} to {limits.idle_seconds:g} s"
        return MirrorFailed(f"no answer (waited {seconds})", again=True)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return MirrorFailed(f"its certificate is not valid: {cause.verify_message}", again=False)
    if isinstance(cause, http.client.IncompleteRead):
        return MirrorFailed("the connection ended too early", again=True)
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    again = isinstance(cause, (OSError, http.client.HTTPException))
    return MirrorFailed(text or type(cause).__name__, again=again)
