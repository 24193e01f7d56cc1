"""A loopback HTTP server that answers, or misbehaves, as each path was told to."""

import asyncio
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Request:
    """One request as it arrived, `at` seconds of the server's monotonic clock."""

    path: str
    headers: dict
    at: float


@dataclass
class Server:
    """Answers by path; an answer is bytes, or a coroutine function of (request, writer) that writes
    what it likes.
    """

    answers: dict = field(default_factory=dict)
    requests: list = field(default_factory=list)
    default: object = None
    port: int = 0
    busy: int = 0
    busiest: int = 0
    tls: object = None

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def url(self, path):
        return f"{'https' if self.tls else 'http'}://{self.host}{path}"

    def serve(self, path, answer):
        self.answers[path] = answer
        return self.url(path)

    def counts(self):
        return Counter(request.path for request in self.requests)

    async def handle(self, reader, writer):
        try:
            while request := await self._read(reader):
                self.requests.append(request)
                answer = self.answers.get(request.path, self.default)
                self.busy += 1
                self.busiest = max(self.busiest, self.busy)
                try:
                    await self._answer(answer, request, writer)
                finally:
                    self.busy -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, answer, request, writer):
        answer = reply(404, b"") if answer is None else answer
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(request, writer)

    async def _read(self, reader):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        return Request(first.split(" ")[1], headers, asyncio.get_running_loop().time())


def reply(status=200, body=b"", content_type="image/jpeg", length=None, **headers):
    """The bytes of a complete answer; header names have underscores for hyphens."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def in_turn(*answers):
    """Answer with each of `answers` once, then with the last."""
    rest = list(answers)

    async def answer(request, writer):
        now = rest.pop(0) if len(rest) > 1 else rest[0]
        if isinstance(now, bytes):
            writer.write(now)
            await writer.drain()
        else:
            await now(request, writer)

    return answer


def cut(content):
    """Send `content` and break off."""

    async def answer(request, writer):
        writer.write(content)
        await writer.drain()
        raise ConnectionError("cut by the test")

    return answer


def chunked(content):
    """A complete answer in two chunks."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    parts = content[:100], content[100:]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


async def silence(request, writer):
    """Never answer."""
    await asyncio.sleep(3_600)


def drip(head, piece, seconds):
    """Send `head`, then `piece` again and again with pauses."""

    async def answer(request, writer):
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(seconds)

    return answer


@contextmanager
def running(tls=None, **options):
    """A server on a free loopback port, in a thread of its own."""
    server = Server(tls=tls, **options)
    loop = asyncio.new_event_loop()
    listener = loop.run_until_complete(
        asyncio.start_server(server.handle, "127.0.0.1", server.port, ssl=tls, backlog=1024)
    )
    server.port = listener.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_close(listener), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(listener):
    listener.close()
    current = asyncio.current_task()
    while tasks := [task for task in asyncio.all_tasks() if task is not current]:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
