"""The proxy that breaks the way to the object store."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.chaos.proxy import FaultProxy
from tests.servers.site import Page, site

BODY = b"0123456789" * 1000


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """Before a server that has one page."""
    with site() as served:
        served.pages["/"] = Page(body=BODY)
        port = urlsplit(served.url("/")).port
        assert port is not None
        with FaultProxy(port, seed=0) as passing:
            yield passing


def test_a_calm_proxy_passes_everything(proxy: FaultProxy) -> None:
    answers = [_get(proxy) for _ in range(5)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, BODY)] * 5
    assert (proxy.refused, proxy.cut) == (0, 0)


def test_a_storm_refuses_requests(proxy: FaultProxy) -> None:
    proxy.errors = 1.0

    answers = [_get(proxy) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503] * 3
    assert proxy.refused == 3


def test_a_storm_cuts_data(proxy: FaultProxy) -> None:
    proxy.cuts = 1.0

    with pytest.raises(httpx.TransportError):
        _get(proxy)
    assert proxy.cut > 0


def test_a_storm_passes(proxy: FaultProxy) -> None:
    proxy.errors = 1.0
    _get(proxy)
    proxy.errors = 0.0

    assert _get(proxy).content == BODY


def _get(proxy: FaultProxy) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{proxy.port}/", timeout=5)
