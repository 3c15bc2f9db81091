"""A real web server on an address of this machine's own, which remembers what it was asked."""

import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar, final


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What a path answers; `drip_seconds` lies before every byte, from the status line on."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drip_seconds: float = 0.0
    chunked: bool = False


@final
@dataclass(slots=True)
class Site:
    """Answers with `pages`; one may be put in or changed while it runs."""

    host: str
    port: int
    pages: dict[str, Page | Callable[[Asked], Page]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", *, host: str | None = None, scheme: str = "http") -> str:
        """An address of this site, by another name if wanted."""
        return f"{scheme}://{host or self.host}:{self.port}{path}"


@contextmanager
def site(host: str = "127.0.0.1", *, certificate: Path | None = None) -> Iterator[Site]:
    """A running site; with a certificate it speaks TLS."""
    server = ThreadingHTTPServer((host, 0), _Handler)
    served = Site(host, server.server_address[1])
    _Handler.sites[served.port, host] = served
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for a name, with its key, in one file."""
    made = folder / f"{name}.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(made)]
    named = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-out", str(folder / "certificate")]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", *key, *named], check=True, capture_output=True)
    made.write_text(made.read_text() + (folder / "certificate").read_text())
    return made


@final
class _Handler(BaseHTTPRequestHandler):
    sites: ClassVar[dict[tuple[int, str], Site]] = {}
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        host, port = self.connection.getsockname()[:2]
        self._site = self.sites[port, host]
        self._site.connections += 1

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        asked = Asked(self.command, self.path, dict(self.headers), self.rfile.read(length))
        self._site.asked.append(asked)
        page = self._site.pages.get(self.path, Page(status=404))
        self._answer(page if isinstance(page, Page) else page(asked))

    do_POST = do_GET  # noqa: N815 - the base class's name

    def _answer(self, page: Page) -> None:
        size = {} if page.chunked else {"Content-Length": str(len(page.body))}
        headers = {**size, "Connection": "close", **page.headers}
        head = f"HTTP/1.1 {page.status} x\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        data = head.encode() + b"\r\n" + page.body
        self.close_connection = True
        try:
            for part in [data] if not page.drip_seconds else (data[n : n + 1] for n in range(len(data))):
                self.wfile.write(part)
                time.sleep(page.drip_seconds)
        except OSError:
            return  # the caller has had enough

    def log_message(self, *_: object) -> None:
        return
