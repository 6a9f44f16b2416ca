"""A TCP proxy between a client and a server, with the faults that a network has."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

CHUNK_BYTES = 2**16
HELD_CHUNKS = 256
PATIENCE_SECONDS = 60.0


class Proxy:
    """Forwards bytes from a port of its own to `target`. The attributes may be changed at any time.

    Attributes:
        target: the server's port on this machine; connections made from now on go there.
        latency: seconds by which replies come later.
        passes_requests, passes_replies: whether bytes of that direction get through; else they are dropped silently.
        lost: replies lost by `lose_reply` so far.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.latency = 0.0
        self.passes_requests = True
        self.passes_replies = True
        self.lost = 0
        self.port = 0
        self._marker: bytes | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.listen()

    def lose_reply(self, marker: bytes) -> None:
        """Forward the next request that holds `marker`; when its reply is there, cut the connection instead."""
        self._marker = marker

    def cut(self) -> None:
        """Close the connections there are; clients may connect again."""
        self._wait(self._cut())

    def refuse(self) -> None:
        """Close the connections there are and refuse others, until `listen`."""
        self._wait(self._refuse())

    def listen(self) -> None:
        """Take connections, always on the same port."""
        self._wait(self._listen())

    def close(self) -> None:
        """End everything."""
        self.refuse()
        self._wait(self._cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_SECONDS)
        self._loop.close()

    def _wait(self, work: Coroutine[None, None, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._cut()

    async def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _cancel(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # a proxy that is closed cancels this, and asyncio would complain of a server that does not end by itself
        with suppress(asyncio.CancelledError):
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        writer.transport.set_write_buffer_limits(0)  # what is drained is sent
        self._open |= {writer, to_there}
        cuts = asyncio.Event()
        ways = [
            asyncio.ensure_future(self._requests(reader, to_there, cuts)),
            asyncio.ensure_future(self._replies(there, writer, cuts)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in (writer, to_there):
                self._open.discard(end)
                end.transport.abort()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cuts: asyncio.Event
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            if self._marker is not None and self._marker in data:
                self._marker = None
                cuts.set()
            if self.passes_requests:
                writer.write(data)
                await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, cuts: asyncio.Event) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_CHUNKS)
        sender = asyncio.ensure_future(self._send_late(held, writer))
        try:
            while data := await reader.read(CHUNK_BYTES):
                if cuts.is_set():
                    self.lost += 1
                    return
                if self.passes_replies:
                    await held.put((self._loop.time() + self.latency, data))
            await held.join()  # a server that has said everything may close before its client has read it
        finally:
            sender.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await sender

    async def _send_late(self, held: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due, data = await held.get()
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            writer.write(data)
            await writer.drain()
            held.task_done()


@contextmanager
def proxied(target: int) -> Iterator[Proxy]:
    """A proxy in front of a port of this machine."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
