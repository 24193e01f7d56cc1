"""Fetching pictures concurrently, and one picture by its URL for a person who waits."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from yarl import URL

from clustering_pipeline.imaging import ImageError
from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.addresses import AddressGuard, UrlError, parse_url
from clustering_pipeline.stages.download.answers import (
    Answer,
    Content,
    Failure,
    FetchError,
    NotModified,
    Redirect,
    failure,
)
from clustering_pipeline.stages.download.journal import image_limits, picture_failure, verify
from clustering_pipeline.stages.download.schedule import Job, Schedule

if TYPE_CHECKING:
    from clustering_pipeline.stages.download.transport import Transport

Result = TypeVar("Result")


class Sink(Protocol):
    """Takes what came of each job; called in worker threads, in any order, once per job."""

    def content(self, key: str, content: Content) -> None:
        """Judge and keep a complete answer."""

    def unchanged(self, key: str) -> None:
        """Note that what is held is still right."""

    def failed(self, failures: list[tuple[str, Failure]]) -> None:
        """Note the jobs that ended without an answer to judge."""


@dataclass(slots=True)
class Traffic:
    """What went over the wire in one run: pictures asked for, requests made for them, bytes of
    answers.
    """

    pictures: int = 0
    requests: int = 0
    bytes: int = 0
    hosts_set_aside: int = 0


class Fetcher:
    """Fetches jobs as the schedule allows and hands every answer to the sink before its slot is
    free again.

    A kill can therefore lose at most the requests that were under way.
    """

    def __init__(self, settings: DownloadSettings, sink: Sink, workers: Executor) -> None:
        # aiohttp is slow to load, and whoever only asks what is due needs none of it.
        from clustering_pipeline.stages.download.transport import LargeBodies

        self._settings = settings
        self._sink = sink
        self._workers = workers
        self._schedule = Schedule(settings)
        self._large_bodies = LargeBodies()
        self._active = 0
        self.traffic = Traffic()

    async def run(self, jobs: Iterable[Job]) -> Traffic:
        """Fetch all jobs; raises what the sink raises."""
        from clustering_pipeline.stages.download.transport import Transport

        for job in jobs:
            self._schedule.add(job)
        self.traffic.pictures = self._schedule.unfinished
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        try:
            guard = AddressGuard(self._settings.allow_hosts)
            async with Transport(self._settings, guard) as transport, asyncio.TaskGroup() as tasks:
                await self._drive(transport, tasks)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from group
        self.traffic.hosts_set_aside = self._schedule.hosts_set_aside
        return self.traffic

    async def _drive(self, transport: "Transport", tasks: asyncio.TaskGroup) -> None:
        while True:
            self._changed.clear()
            while self._active < self._settings.concurrency and (
                job := self._schedule.take(self._loop.time())
            ):
                self._active += 1
                tasks.create_task(self._attempt(transport, job))
            if ended := self._schedule.take_given_up():
                await self._in_worker(self._sink.failed, ended)
            elif self._schedule.unfinished:
                await self._wait_for_change()
            else:
                return

    async def _wait_for_change(self) -> None:
        event = self._schedule.next_event() if self._active < self._settings.concurrency else None
        if event is None and not self._active:
            raise RuntimeError(f"{self._schedule.unfinished} pictures wait for nothing")
        try:
            async with asyncio.timeout_at(event):
                await self._changed.wait()
        except TimeoutError:
            # The time of the next event has come, which is a change as well.
            return

    async def _attempt(self, transport: "Transport", job: Job) -> None:
        seconds = min(self._settings.attempt_seconds, (job.deadline or 0.0) - self._loop.time())
        self.traffic.requests += 1
        async with self._large_bodies.visit() as large:
            answer = await transport.request(job.url, job.validators, seconds, large)
            await self._settle(job, answer)
        self._active -= 1
        self._changed.set()

    async def _settle(self, job: Job, answer: Answer) -> None:
        match answer:
            case Content():
                self.traffic.bytes += len(answer.body)
                await self._in_worker(self._sink.content, job.key, answer)
                self._schedule.done(job)
            case NotModified():
                await self._in_worker(self._sink.unchanged, job.key)
                self._schedule.done(job)
            case Redirect(url):
                await self._redirect(job, url)
            case refusal:
                self._schedule.refused(job, refusal, self._loop.time())

    async def _redirect(self, job: Job, url: URL) -> None:
        if job.hops < self._settings.max_redirects:
            self._schedule.redirected(job, url, self._loop.time())
            return
        sentence = (
            f"The address redirects more than {self._settings.max_redirects} times. Correct "
            f"the URL."
        )
        await self._in_worker(
            self._sink.failed, [(job.key, failure("too_many_redirects", sentence))]
        )
        self._schedule.done(job)

    async def _in_worker(self, function: Callable[..., None], *arguments: Any) -> None:
        await self._loop.run_in_executor(self._workers, function, *arguments)


def run_in_own_loop(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in a thread with an event loop of its own, whether or not the caller has one
    running.

    An interruption of the caller (Ctrl-C) cancels the coroutine, waits for its clean end and is
    raised again.
    """
    loop = asyncio.new_event_loop()
    task = loop.create_task(coroutine)
    with ThreadPoolExecutor(1, thread_name_prefix="download") as thread:
        running = thread.submit(_run_to_end, loop, task)
        try:
            return running.result()
        except BaseException:
            if not running.done():
                loop.call_soon_threadsafe(task.cancel)
            raise


def _run_to_end(loop: asyncio.AbstractEventLoop, task: "asyncio.Task[Result]") -> Result:
    try:
        return loop.run_until_complete(task)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class _RememberingSink:
    """Keeps the one answer in memory."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.failure: Failure | None = None

    def content(self, _key: str, content: Content) -> None:
        self.body = content.body

    def unchanged(self, _key: str) -> None:
        raise AssertionError("nothing is held that could be unchanged")

    def failed(self, failures: list[tuple[str, Failure]]) -> None:
        self.failure = failures[0][1]


def fetch_one(url: str, settings: DownloadSettings) -> bytes:
    """Return the bytes of the picture at `url`, which decode whole; raises FetchError with the kind
    and a sentence.

    Nothing is stored. A host that does not answer is not waited for beyond
    `settings.deadline_seconds`.
    """
    try:
        address = parse_url(url)
    except UrlError as error:
        raise FetchError(
            failure("invalid_url", f"The URL {error}. It needs the form https://host/path.")
        ) from error
    patient = settings.model_copy(update={"breaker_failures": settings.retries + 2})
    sink = _RememberingSink()
    with ThreadPoolExecutor(1) as worker:
        run_in_own_loop(
            Fetcher(patient, sink, worker).run([Job(url, str(address), settings.deadline_seconds)])
        )
    if sink.body is None:
        raise FetchError(sink.failure or failure("connect", "The picture could not be fetched."))
    try:
        verify(sink.body, image_limits(settings))
    except ImageError as error:
        raise FetchError(picture_failure(error)) from error
    return sink.body
