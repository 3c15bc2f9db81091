"""HTTP to hosts that callers name: to public addresses only, whatever the names lead to, within a time and a size."""

import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import BoundedSemaphore
from typing import Any, final

import httpcore2
import httpx2

from core.domain.errors import ErrorCode, FetchFailed, InputError, Unavailable
from core.domain.web import WebAnswer
from core.outbound.addresses import Address, Network, Resolve, may_connect, resolve

MAX_URL_CHARACTERS = 2048
_MAX_REDIRECTS = 3
_MAX_ADDRESSES = 3  # of one name are tried in turn
_CONNECT_SECONDS = 5.0  # for one address
_FETCHES = 8  # at once; each holds a thread that requests are answered with
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AGENT = (b"User-Agent", b"stylediffusion")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What an operator lets the service do; `seconds` is the most one call takes, from the name to the last byte."""

    seconds: float = 20.0
    http: bool = False
    networks: Sequence[Network] = ()
    resolve: Resolve = resolve
    ssl_context: ssl.SSLContext = field(default_factory=httpcore2.default_ssl_context)


@final
class GuardedWeb:
    """Implements `Web`.

    A name is resolved once for a connection, every address it has is checked, and the connection goes to one that was
    checked; TLS verifies the certificate for the name. A redirect is a new connection, checked like the first. Proxies
    in the environment are not looked at.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._gate = BoundedSemaphore(_FETCHES)
        self._lookups = ThreadPoolExecutor(_FETCHES, thread_name_prefix="lookup")

    def check(self, url: str) -> None:
        self._parsed(url)

    def get(self, url: str, *, max_bytes: int) -> bytes:
        if not self._gate.acquire(blocking=False):
            raise Unavailable(f"{_FETCHES} inputs are being fetched; try again in a moment.", fetches=_FETCHES)
        try:
            with self._pool() as pool:
                return self._follow(pool, self._parsed(url), max_bytes)
        finally:
            self._gate.release()

    def post(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> WebAnswer:
        target = self._parsed(url)
        given = [(name.encode(), value.encode()) for name, value in headers.items()]
        with self._pool() as pool, _stream(pool, "POST", target, headers=given, content=body) as response:
            return WebAnswer(status=response.status, retry_after=_header(response, b"retry-after"))

    def close(self) -> None:
        """Waits for no lookup that is under way."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    def _follow(self, pool: httpcore2.ConnectionPool, target: httpx2.URL, max_bytes: int) -> bytes:
        for _ in range(_MAX_REDIRECTS + 1):
            with _stream(pool, "GET", target) as response:
                location = _header(response, b"location") if response.status in _REDIRECTS else None
                if location is None:
                    return _content(response, max_bytes)
            target = self._parsed(location, base=target)
        raise FetchFailed(f"The URL redirects more than {_MAX_REDIRECTS} times.", max_redirects=_MAX_REDIRECTS)

    def _parsed(self, url: str, base: httpx2.URL | None = None) -> httpx2.URL:
        if len(url) > MAX_URL_CHARACTERS:
            raise _blocked(f"The URL has more than {MAX_URL_CHARACTERS} characters.", max=MAX_URL_CHARACTERS)
        try:
            parsed = httpx2.URL(url) if base is None else base.join(url)
        except (httpx2.InvalidURL, ValueError) as error:
            raise _blocked("The URL cannot be parsed.") from error
        schemes = ("https", "http") if self._policy.http else ("https",)
        if parsed.scheme not in schemes or not parsed.host:
            raise _blocked(f"The URL must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and a host.")
        if parsed.port is not None and not 0 < parsed.port < 2**16:
            raise _blocked("The URL's port must be 1 to 65535.")
        if parsed.userinfo:
            raise _blocked("The URL must not carry a name or a password.")
        self._check_literal(parsed.host)
        return parsed

    def _check_literal(self, host: str) -> None:
        try:
            address = ip_address(host)
        except ValueError:
            return  # a name, or a notation that only the system's resolver reads
        _refuse_private([address], self._policy.networks)

    def _pool(self) -> httpcore2.ConnectionPool:
        deadline = time.monotonic() + self._policy.seconds
        backend = _CheckedConnections(self._policy, self._lookups, deadline=deadline)
        return httpcore2.ConnectionPool(ssl_context=self._policy.ssl_context, network_backend=backend)


@final
class _CheckedConnections(httpcore2.NetworkBackend):
    """Where all connections of one call are made, and its time is kept."""

    def __init__(self, policy: Policy, lookups: ThreadPoolExecutor, *, deadline: float) -> None:
        self._policy = policy
        self._lookups = lookups
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(  # noqa: PLR0917 - the library's signature
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses(host)[:_MAX_ADDRESSES]:
            patience = min(_CONNECT_SECONDS, _remaining(self._deadline))
            try:
                stream = self._sockets.connect_tcp(str(address), port, timeout=patience, socket_options=socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failure

    def _addresses(self, host: str) -> Sequence[Address]:
        # The system's resolver knows no time limit of ours, so it is waited for beside it.
        lookup: Future[Sequence[Address]] = self._lookups.submit(self._policy.resolve, host)
        try:
            addresses = lookup.result(timeout=_remaining(self._deadline))
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout from error
        except (OSError, ValueError) as error:
            raise FetchFailed("The URL's host has no address.") from error
        _refuse_private(addresses, self._policy.networks)
        return addresses


@final
class _TimedStream(httpcore2.NetworkStream):
    """A connection that ends with its call, however slowly the other side sends."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, timeout=_remaining(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout=_remaining(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, timeout=_remaining(self._deadline))
        return _TimedStream(secured, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _stream(
    pool: httpcore2.ConnectionPool,
    method: str,
    url: httpx2.URL,
    *,
    headers: Iterable[tuple[bytes, bytes]] = (),
    content: bytes | None = None,
) -> Iterator[httpcore2.Response]:
    target = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    sent = [(b"Host", url.netloc), _AGENT, (b"Accept-Encoding", b"identity"), *headers]
    try:
        with pool.stream(method, target, headers=sent, content=content) as response:
            yield response
    except httpcore2.TimeoutException as error:
        raise FetchFailed("The URL's host did not answer in time.") from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        raise FetchFailed("The connection to the URL's host failed.") from error


def _content(response: httpcore2.Response, max_bytes: int) -> bytes:
    if response.status != 200:
        raise FetchFailed(f"The URL answers {response.status}.", answered=response.status)
    too_large = FetchFailed(f"The URL has more than {max_bytes} bytes.", max_bytes=max_bytes)
    declared = _header(response, b"content-length") or "0"
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large
    content = bytearray()
    for part in response.iter_stream():
        content += part
        if len(content) > max_bytes:
            raise too_large
    return bytes(content)


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout
    return left


def _refuse_private(addresses: Sequence[Address], allowed: Sequence[Network]) -> None:
    # One of them is enough: a name with a public and a private address is no honest name.
    if not all(may_connect(address, allowed) for address in addresses):
        raise _blocked("The URL's host has an address that is not public.")


def _blocked(detail: str, **numbers: float) -> InputError:
    return InputError(ErrorCode.URL_BLOCKED, detail, errors=(), **numbers)
