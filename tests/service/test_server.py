"""The server stops within moments and answers everyone first, also those who wait for a job."""

import signal
import socket
import time
from threading import Thread

import httpx2
import pytest

from service.server import make_server
from tests.service.harness import Harness


def test_a_stream_ends_when_the_server_stops(service: Harness) -> None:
    address = service.invert()["links"]["self"]
    headers = {"Authorization": service.client.headers["Authorization"]}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{address}/events"
        server = make_server(service.ports.settings)
        serving = Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        with httpx2.stream("GET", url, headers=headers, timeout=20) as answer:
            lines = answer.iter_lines()
            first = next(lines)
            server.handle_exit(signal.SIGTERM, None)
            rest = list(lines)  # a stream that is cut off raises here
        serving.join(timeout=10)

    assert not serving.is_alive()
    assert (first, rest[-1]) == ("event: state", "")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_who_waits_is_answered_when_the_server_stops(service: Harness, sign: signal.Signals) -> None:
    address = service.invert()["links"]["self"]
    headers = {"Authorization": service.client.headers["Authorization"]}
    answers: list[httpx2.Response] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{address}"
        server = make_server(service.ports.settings)
        serving = Thread(target=server.run, kwargs={"sockets": [listening]})
        serving.start()
        waiting = Thread(target=lambda: answers.append(httpx2.get(f"{url}?wait=60", headers=headers, timeout=70)))
        waiting.start()
        time.sleep(1.5)
        server.handle_exit(sign, None)
        serving.join(timeout=10)
        waiting.join(timeout=10)

    assert not serving.is_alive()
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].json()["state"] == "queued"
