"""A real HTTP server on this computer that serves files well, or badly in the ways that networks do."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Served:
    """One file and how it is served; a server may be changed while it runs."""

    content: bytes
    breaks: int = 0
    """How many answers end after `at` bytes of the answer, whatever they announced."""
    at: int = 0
    ranges: bool = True
    """Whether the server knows Range."""
    announced: int | None = None
    """The length it claims, if not the true one."""
    length: bool = True
    """Whether it says a length at all; else chunks without end."""
    etag: str | None = '"one"'
    kind: str = "application/octet-stream"
    statuses: list[int] = field(default_factory=list)
    """Answers given before the file is."""
    redirect: str = ""
    wait: float = 0.0
    """Seconds between the head and the file."""
    endless: bool = False


class Server:
    """What is served at which path, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def put(self, path: str, content: bytes, **how) -> str:
        self.files[path] = Served(content, **how)
        return self.url + path

    def ranges(self, path: str) -> list[str | None]:
        """Return the Range of each request for a path."""
        return [r for p, r in self.asked if p == path]


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """Run a server for the length of the block."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words) -> None:
            pass

        def do_GET(self) -> None:
            server.asked.append((self.path, self.headers.get("Range")))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.answer(server.files.get(self.path))

        def answer(self, file: Served | None) -> None:
            if file is None:
                return self.short(404)
            if file.statuses:
                return self.short(file.statuses.pop(0))
            if file.redirect:
                self.send_response(302)
                self.send_header("Location", file.redirect)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            self.close_connection = True
            start, asked = 0, self.headers.get("Range")
            fresh = self.headers.get("If-Range") in (None, file.etag)
            if asked and file.ranges and fresh:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start and start >= len(file.content):
                return self.short(416, {"Content-Range": f"bytes */{len(file.content)}"})
            rest = file.content[start:]
            total = file.announced or len(file.content)
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", file.kind)
            if file.etag:
                self.send_header("ETag", file.etag)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if file.length:
                self.send_header("Content-Length", str(total - start))
            else:
                self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            time.sleep(file.wait)
            if file.breaks:
                file.breaks -= 1
                rest = rest[: file.at]
            if file.length:
                self.wfile.write(rest)
                return None
            while True:
                self.wfile.write(f"{len(rest):x}\r\n".encode() + rest + b"\r\n")
                if not file.endless:
                    return self.wfile.write(b"0\r\n\r\n")

        def short(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
