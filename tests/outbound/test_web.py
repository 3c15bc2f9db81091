"""Whatever a caller names, the service connects to public addresses only, and not for long.

127.0.0.2 stands for the public internet here, and 127.0.0.1 for what must not be reached; both answer.
"""

import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from core.domain.errors import AppError, ErrorCode, FetchFailed, Unavailable
from core.outbound.addresses import Address, is_public
from core.outbound.web import GuardedWeb, Policy
from tests.servers.site import Page, Site, make_certificate, site

PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
REFUSED = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1", "fec0::1"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%1"],
    "shared with the carrier": ["100.64.0.1", "100.127.255.254"],
    "metadata": ["169.254.169.254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.8", "192.0.0.9", "5f00::1", "4000::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "IPv4 mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:8.8.8.8"],
    "IPv4 compatible": ["::127.0.0.1", "::a9fe:a9fe", "::8.8.8.8"],
    "IPv4 translated": ["::ffff:0:127.0.0.1", "::ffff:0:808:808"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808", "64:ff9b:1::7f00:1"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::", "192.88.99.1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "discarded": ["100::1"],
}
ALLOWED = ["8.8.8.8", "93.184.216.34", "100.63.255.255", "172.32.0.1", "223.255.255.255", "2606:4700::1111", "2a00::1"]
TRUSTING_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made in no time
ODD_LOOPBACKS = ["0x7f.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "017700000001", "localhost", "127.0.0.1."]


class Names:
    """A resolver whose answers are listed, one after the other for each name."""

    def __init__(self, **answers: Sequence[str]) -> None:
        self.answers = {name.replace("_", "."): list(answer) for name, answer in answers.items()}
        self.asked: list[str] = []

    def __call__(self, host: str) -> Sequence[Address]:
        self.asked.append(host)
        answers = self.answers.get(host, [host])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ip_address(part) for part in answer.split()]


def web(names: Any = None, **changes: Any) -> GuardedWeb:
    given = {"http": True, "networks": [ip_network(PUBLIC)], "resolve": names or Names(), "seconds": 5.0}
    return GuardedWeb(Policy(**{**given, "ssl_context": TRUSTING_NOBODY, **changes}))


def refusal(client: GuardedWeb, url: str) -> ErrorCode:
    with pytest.raises(AppError) as refused:
        client.get(url, max_bytes=1000)
    return refused.value.code


@pytest.fixture
def public() -> Iterator[Site]:
    """A site that may be reached."""
    with site(PUBLIC) as served:
        served.pages["/"] = Page(body=b"hello")
        yield served


@pytest.fixture
def private() -> Iterator[Site]:
    """A site that must not be reached."""
    with site(PRIVATE) as served:
        served.pages["/"] = Page(body=b"secret")
        yield served


@pytest.mark.parametrize("text", [text for kind in REFUSED.values() for text in kind])
def test_an_address_that_is_not_public_is_refused(text: str) -> None:
    plain = text.partition("%")[0]
    literal = f"[{plain}]" if ":" in plain else plain

    assert not is_public(ip_address(text))
    assert refusal(web(Names(name_test=[text])), "http://name.test/") == ErrorCode.URL_BLOCKED
    assert refusal(web(Names(name_test=[f"8.8.8.8 {text}"])), "http://name.test/") == ErrorCode.URL_BLOCKED
    with pytest.raises(AppError, match="not public"):
        web().check(f"http://{literal}/")


@pytest.mark.parametrize("text", ALLOWED)
def test_a_public_address_is_none_of_them(text: str) -> None:
    assert is_public(ip_address(text))
    web().check(f"http://[{text}]/" if ":" in text else f"http://{text}/")


@pytest.mark.parametrize("host", ODD_LOOPBACKS)
def test_no_notation_of_loopback_gets_through_the_systems_resolver(private: Site, host: str) -> None:
    client = GuardedWeb(Policy(http=True, seconds=5, ssl_context=TRUSTING_NOBODY))

    assert refusal(client, private.url(host=host)) in {ErrorCode.URL_BLOCKED, ErrorCode.INPUT_FETCH_FAILED}
    assert private.connections == 0
    with socket.create_connection((PRIVATE, private.port)):  # it would have answered
        pass


@pytest.mark.parametrize(
    "url",
    [
        "ftp://name.test/",
        "file:///etc/passwd",
        "gopher://name.test/",
        "name.test/",
        "//name.test/",
        "http:///",
        "http://",
        "",
        "http://user@name.test/",
        "http://user:password@name.test/",
        "http://:password@name.test/",
        "http://name.test:99999/",
        "http://name.test:x/",
        "http://name\r\nHost: other/",
        "http://[::1/",
        "http://name.test/" + "x" * 3000,
    ],
)
def test_a_url_that_is_not_plain_http_is_refused_before_anyone_is_asked(url: str) -> None:
    names = Names(name_test=[PUBLIC])

    assert refusal(web(names), url) == ErrorCode.URL_BLOCKED
    assert names.asked == []


def test_plain_http_needs_the_operators_word(public: Site) -> None:
    assert refusal(web(http=False), public.url()) == ErrorCode.URL_BLOCKED
    assert web().get(public.url(), max_bytes=5) == b"hello"


def test_a_name_that_changes_its_answer_is_asked_once(public: Site, private: Site) -> None:
    names = Names(rebinding_test=[PUBLIC, PRIVATE])
    private.pages["/"] = public.pages["/"]

    assert web(names).get(public.url(host="rebinding.test"), max_bytes=5) == b"hello"
    assert names.asked == ["rebinding.test"]
    assert public.asked[0].headers["Host"] == f"rebinding.test:{public.port}"
    assert private.connections == 0


def test_every_redirect_is_checked_again(public: Site, private: Site) -> None:
    names = Names(inside_test=[PRIVATE], rebinding_test=[PUBLIC, PRIVATE])
    forbidden = {
        "/literal": private.url(),
        "/named": private.url(host="inside.test"),
        "/rebound": private.url(host="rebinding.test"),
        "/file": "file:///etc/passwd",
        "/user": public.url(host=f"user:password@{PUBLIC}"),
    }
    public.pages.update({path: Page(status=302, headers={"Location": to}) for path, to in forbidden.items()})

    client = web(names)
    host = {"/rebound": "rebinding.test"}
    refused = {path: refusal(client, public.url(path, host=host.get(path))) for path in forbidden}

    assert refused == dict.fromkeys(forbidden, ErrorCode.URL_BLOCKED)
    assert [asked.path for asked in public.asked] == list(forbidden)
    assert private.connections == 0


@pytest.mark.parametrize("kind", REFUSED)
def test_a_redirect_to_an_address_that_is_not_public_is_refused(public: Site, kind: str) -> None:
    plain = REFUSED[kind][0]
    named = Names(inside_test=[plain])
    literal = f"http://[{plain}]/" if ":" in plain else f"http://{plain}/"
    public.pages["/literal"] = Page(status=302, headers={"Location": literal})
    public.pages["/named"] = Page(status=302, headers={"Location": "http://inside.test/"})

    assert refusal(web(named), public.url("/literal")) == ErrorCode.URL_BLOCKED
    assert refusal(web(named), public.url("/named")) == ErrorCode.URL_BLOCKED
    assert named.asked[-1] == "inside.test"


@pytest.mark.parametrize("text", [REFUSED[kind][0] for kind in REFUSED])
def test_a_name_with_one_address_that_is_not_public_is_refused(public: Site, text: str) -> None:
    mixed = Names(mixed_test=[f"{PUBLIC} {text}"])

    assert refusal(web(mixed), public.url(host="mixed.test")) == ErrorCode.URL_BLOCKED
    assert public.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_public_place_is_followed(public: Site, status: int) -> None:
    public.pages["/old"] = Page(status=status, headers={"Location": "/"})

    assert web().get(public.url("/old"), max_bytes=5) == b"hello"


def test_an_endless_redirect_ends(public: Site) -> None:
    public.pages["/loop"] = Page(status=302, headers={"Location": "/loop"})

    assert refusal(web(), public.url("/loop")) == ErrorCode.INPUT_FETCH_FAILED
    assert len(public.asked) == 4


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "4000000"}], ids=["undeclared", "declared"])
def test_no_more_bytes_are_read_than_are_wanted(public: Site, headers: dict[str, str]) -> None:
    public.pages["/large"] = Page(body=bytes(4_000_000), chunked=not headers, headers=headers)

    with pytest.raises(FetchFailed) as refused:
        web().get(public.url("/large"), max_bytes=1000)

    assert refused.value.numbers == {"max_bytes": 1000}


@pytest.mark.parametrize("body", [b"", bytes(100)], ids=["headers", "body"])
def test_the_time_holds_however_slowly_a_host_sends(public: Site, body: bytes) -> None:
    public.pages["/slow"] = Page(body=body, drip_seconds=0.05)
    started = time.monotonic()

    assert refusal(web(seconds=0.4), public.url("/slow")) == ErrorCode.INPUT_FETCH_FAILED
    assert time.monotonic() - started < 2


def test_the_time_holds_for_the_resolver_too(public: Site) -> None:
    asleep = Event()

    def slow(host: str) -> Sequence[Address]:
        asleep.wait(3)
        return [ip_address(PUBLIC)]

    started = time.monotonic()
    assert refusal(web(slow, seconds=0.2), public.url(host="slow.test")) == ErrorCode.INPUT_FETCH_FAILED
    assert time.monotonic() - started < 2
    asleep.set()


def test_what_is_not_there_is_said(public: Site) -> None:
    with pytest.raises(FetchFailed, match="404") as missing:
        web().get(public.url("/none"), max_bytes=10)
    assert missing.value.numbers == {"answered": 404}
    with pytest.raises(FetchFailed, match="no address"):
        GuardedWeb(Policy()).get("https://nowhere.invalid/", max_bytes=10)


def test_proxies_of_the_environment_are_not_asked(public: Site, private: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, private.url())

    assert web().get(public.url(), max_bytes=5) == b"hello"
    assert private.connections == 0


def test_tls_verifies_the_name_and_not_the_address(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "name.test")
    client = web(
        Names(name_test=[PUBLIC], other_test=[PUBLIC]),
        http=False,
        ssl_context=ssl.create_default_context(cafile=certificate),
    )
    with site(PUBLIC, certificate=certificate) as secured:
        secured.pages["/"] = Page(body=b"hello")

        assert client.get(secured.url(host="name.test", scheme="https"), max_bytes=5) == b"hello"
        other = secured.url(host="other.test", scheme="https")
        assert refusal(client, other) == ErrorCode.INPUT_FETCH_FAILED
        assert len(secured.asked) == 1


def test_only_so_many_are_fetched_at_once(public: Site) -> None:
    released = Event()

    def slow(asked: object) -> Page:
        released.wait(5)
        return Page(body=b"late")

    public.pages["/late"] = slow
    client = web()
    fetching = [Thread(target=client.get, args=(public.url("/late"),), kwargs={"max_bytes": 10}) for _ in range(8)]
    for thread in fetching:
        thread.start()
    while len(public.asked) < 8:
        time.sleep(0.01)

    with pytest.raises(Unavailable, match="8 inputs"):
        client.get(public.url(), max_bytes=10)
    released.set()
    for thread in fetching:
        thread.join()
    assert client.get(public.url(), max_bytes=10) == b"hello"


def test_a_post_follows_no_redirect(public: Site) -> None:
    public.pages["/hook"] = Page(status=302, headers={"Location": "/", "Retry-After": "7"})

    answer = web().post(public.url("/hook"), body=b"{}", headers={"X-Test": "1"})

    assert (answer.status, answer.retry_after) == (302, "7")
    assert [(asked.method, asked.path, asked.body) for asked in public.asked] == [("POST", "/hook", b"{}")]
    assert public.asked[0].headers["X-Test"] == "1"
    assert refusal(web(), "http://10.0.0.1/") == ErrorCode.URL_BLOCKED
