"""A small proxy in front of the object store that answers with errors and cuts connections when told to."""

import asyncio
from contextlib import suppress
from random import Random
from threading import Event, Thread
from typing import Self, final

_METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
_BUSY = b"<Error><Code>ServiceUnavailable</Code><Message>Reduce your request rate.</Message></Error>"
_REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(_BUSY), _BUSY)
)
_CHUNK_BYTES = 65_536


@final
class FaultProxy:
    """Passes TCP on to a port of this machine.

    While `errors` is above 0, that share of requests is answered with 503; while `cuts` is, that share of pieces of
    data, in either direction, is passed on by half before both connections break.
    """

    def __init__(self, target: int, *, seed: int) -> None:
        self._target = target
        self._random = Random(seed)
        self._loop = asyncio.new_event_loop()
        self._started = Event()
        self._thread = Thread(target=self._run, name="proxy", daemon=True)
        self.errors = 0.0
        self.cuts = 0.0
        self.refused = 0
        self.cut = 0
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        passing = [
            asyncio.create_task(self._pass(reader, upstream[1], back=writer)),
            asyncio.create_task(self._pass(upstream[0], writer)),
        ]
        with suppress(asyncio.CancelledError):
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        for task in passing:
            task.cancel()
        for end in (writer, upstream[1]):
            end.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: asyncio.StreamWriter | None = None
    ) -> None:
        """Returns when the connection is over; `back` leads to the caller, where the data are his requests."""
        with suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(_CHUNK_BYTES):
                if back is not None and data.startswith(_METHODS) and self._random.random() < self.errors:
                    self.refused += 1
                    back.write(_REFUSAL)
                    await back.drain()
                    return
                if self._random.random() < self.cuts:
                    self.cut += 1
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    return
                writer.write(data)
                await writer.drain()
