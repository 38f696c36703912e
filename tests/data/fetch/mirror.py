"""A small web server whose pages misbehave in ways a test chooses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """What the server gives for a path; `cut` and `wait` are used up by the first request.

    Attributes:
        content: The whole body.
        etag: The ETag header, quoted.
        ranges: Whether Range is honoured.
        cut: Bytes after which the connection ends, for the first `cuts` requests.
        cuts: How often.
        status: Another status than 200.
        location: Where to redirect to.
        wait: Event that is waited for before the body is sent.
        ignore_if_range: Send a part although the file has changed.
        sized: Whether Content-Length is sent.
        drip: Send one byte each so many seconds.
    """

    content: bytes = b""
    etag: str = '"1"'
    ranges: bool = True
    cut: int | None = None
    cuts: int = 1
    status: int = 200
    location: str = ""
    wait: threading.Event | None = None
    ignore_if_range: bool = False
    sized: bool = True
    drip: float = 0.0
    type: str = "application/octet-stream"


@dataclass
class Mirror:
    """The running server: pages by path, and the requests it got (path, Range header)."""

    url: str
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def running() -> Iterator[Mirror]:
    mirror = Mirror("")
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            page = mirror.pages.get(self.path)
            mirror.asked.append((self.path, self.headers.get("Range", "")))
            if page is None:
                self.send_error(404)
                return
            with contextlib.suppress(OSError):  # the client has gone
                _answer(self, page, over)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    mirror.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(handler: BaseHTTPRequestHandler, page: Page, over: threading.Event) -> None:
    start = _start(handler, page)
    if start is not None and start >= len(page.content):
        handler.send_response(416)
        handler.end_headers()
        return
    body = page.content[start or 0 :]
    handler.send_response(206 if start is not None else page.status)
    if start is not None:
        end, whole = len(page.content) - 1, len(page.content)
        handler.send_header("Content-Range", f"bytes {start}-{end}/{whole}")
    if page.location:
        handler.send_header("Location", page.location)
    if page.sized:
        handler.send_header("Content-Length", str(len(body)))
    if page.etag:
        handler.send_header("ETag", page.etag)
    handler.send_header("Content-Type", page.type)
    handler.end_headers()
    if page.cut is not None and page.cuts:
        page.cuts -= 1
        body = body[: page.cut]
    handler.wfile.flush()
    if page.wait is not None:
        while not over.is_set() and not page.wait.wait(0.01):
            pass
    while page.drip and body and not over.wait(page.drip):
        handler.wfile.write(body[:1])
        body = body[1:]
    handler.wfile.write(body)


def _start(handler: BaseHTTPRequestHandler, page: Page) -> int | None:
    wanted = handler.headers.get("Range")
    asked = handler.headers.get("If-Range", page.etag)
    if (
        page.location
        or not page.ranges
        or not wanted
        or (asked != page.etag and not page.ignore_if_range)
    ):
        return None
    return int(wanted.removeprefix("bytes=").removesuffix("-"))
