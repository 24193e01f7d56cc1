"""Which picture is asked for next: limits per host, waits, and hosts that are set aside.

Bookkeeping on a given clock.
"""

import heapq
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import TypeAlias

from yarl import URL

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.answers import Failure, Refusal, Validators


class Breaker:
    """Sets a host aside after failures in a row, and says when it may be probed and when to stop
    hoping.

    All times are seconds of one monotonic clock.
    """

    __slots__ = ("_failures_in_a_row", "_probe_at", "_probe_wait", "_set_aside_at", "_settings")

    def __init__(self, settings: DownloadSettings) -> None:
        self._settings = settings
        self._failures_in_a_row = 0
        self._set_aside_at: float | None = None
        self._probe_at = 0.0
        self._probe_wait = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the host is set aside."""
        return self._set_aside_at is not None

    @property
    def probe_at(self) -> float:
        """When a host that is set aside may be asked again."""
        return self._probe_at

    def answered(self) -> bool:
        """Record a complete answer below 500; return whether it brings the host back."""
        was_open = self.is_open
        self._failures_in_a_row, self._set_aside_at = 0, None
        return was_open

    def failed(self, now: float) -> bool:
        """Record a failure that speaks against the host; return whether the host is set aside by
        it.
        """
        self._failures_in_a_row += 1
        if self.is_open:
            self.unsettled(now)
            return False
        if self._failures_in_a_row < self._settings.breaker_failures:
            return False
        self._set_aside_at, self._probe_wait = now, self._settings.breaker_probe_seconds
        self._plan_probe(now, now)
        return True

    def unsettled(self, now: float) -> None:
        """Record that an attempt at a host that is set aside ended without bringing it back."""
        if self._set_aside_at is not None and now >= self._probe_at:
            self._plan_probe(now, self._set_aside_at)

    def is_hopeless(self, now: float) -> bool:
        """Whether the host stayed silent for as long as a run waits for one."""
        return (
            self._set_aside_at is not None
            and now >= self._set_aside_at + self._settings.breaker_patience_seconds
        )

    def _plan_probe(self, now: float, set_aside_at: float) -> None:
        # The last probe falls on the end of the patience.
        last = set_aside_at + self._settings.breaker_patience_seconds
        self._probe_at = min(now + self._probe_wait, max(last, now))
        self._probe_wait *= 2


HostKey: TypeAlias = tuple[str, int]


@dataclass(slots=True, eq=False)
class Job:
    """One picture on its way: where it is asked for now, and what was tried.

    A catalogue has a million of them at once, so that the URL is kept as it is written: parsed ones
    take ten times as much memory.

    `seconds`: what is left of the picture's time when the job waits for its first attempt at a
    host; `deadline` replaces it from that attempt on.
    """

    key: str
    address: str
    seconds: float
    validators: Validators | None = None
    hops: int = 0
    attempts: int = 0
    deadline: float | None = None
    is_last_chance: bool = False
    last: Failure | None = None

    @property
    def url(self) -> URL:
        """What is asked for now."""
        return URL(self.address, encoded=True)

    @property
    def host(self) -> HostKey:
        """The host and port that the next request goes to."""
        url = self.url
        return url.raw_host or "", url.port or 0

    def renew(self, seconds: float) -> None:
        """Forget what was tried, for `seconds` more."""
        self.seconds, self.deadline, self.attempts = seconds, None, 0


class _Host:
    """The jobs of one host and port, and what is known of it."""

    __slots__ = (
        "_numbers",
        "active",
        "breaker",
        "is_announced",
        "last_failure",
        "next_start",
        "ready",
        "suspects",
        "waiting",
    )

    def __init__(self, settings: DownloadSettings) -> None:
        self.breaker = Breaker(settings)
        self.ready: deque[Job] = deque()
        self.waiting: list[tuple[float, int, Job]] = []
        # Failed while the host was failing: they get one more attempt if it comes back.
        self.suspects: list[Job] = []
        self.active = 0
        self.next_start = 0.0
        self.last_failure: Failure | None = None
        self.is_announced = False
        self._numbers = count()

    def wait(self, job: Job, until: float) -> None:
        """Keep a job that was tried until its next attempt."""
        heapq.heappush(self.waiting, (until, next(self._numbers), job))

    def next_at(self) -> float | None:
        """Return when a job may start as far as this host is concerned; None when there is none."""
        if not self.ready and not self.waiting:
            return None
        if self.breaker.is_open:
            return max(self.breaker.probe_at, self.next_start)
        return max(self.next_start, 0.0 if self.ready else self.waiting[0][0])

    def pop(self, now: float) -> Job:
        """Return the next job: one whose wait is over before a new one; new ones first when the
        host is probed.
        """
        is_due = bool(self.waiting) and self.waiting[0][0] <= now and not self.breaker.is_open
        if self.ready and not is_due:
            return self.ready.popleft()
        return heapq.heappop(self.waiting)[2]

    def drain(self) -> Iterator[Job]:
        """Take out every job that is not under way."""
        while self.ready:
            yield self.ready.popleft()
        while self.waiting:
            yield heapq.heappop(self.waiting)[2]

    def drain_suspects(self) -> list[Job]:
        """Take out the jobs that wait for a verdict on the host."""
        suspects, self.suspects = self.suspects, []
        return suspects


class Schedule:
    """Hands out jobs one attempt at a time and takes back what came of it.

    The circuit breaker: connection failures, time-outs and exhausted 5xx in a row set a host aside.
    It is then probed with one job at a time. A complete answer below 500 brings all of its jobs
    back, and those that failed meanwhile get one more attempt; without one in time, they are given
    up.
    """

    def __init__(self, settings: DownloadSettings) -> None:
        self._settings = settings
        # Spreads the attempts of many clients and rows; it changes no result.
        self._random = random.Random(0)
        self._hosts: dict[HostKey, _Host] = {}
        self._turns: deque[HostKey] = deque()
        self._timers: list[tuple[float, HostKey]] = []
        self.unfinished = 0
        self.hosts_set_aside = 0
        self._given_up: list[tuple[str, Failure]] = []

    def add(self, job: Job) -> None:
        """Put a new job at the end of its host's queue."""
        self.unfinished += 1
        self._enqueue(job)

    def take(self, now: float) -> Job | None:
        """Return a job to attempt at `now`, hosts in turn; None when all have to wait."""
        while self._timers and self._timers[0][0] <= now:
            self._announce(heapq.heappop(self._timers)[1])
        while self._turns:
            key = self._turns.popleft()
            self._hosts[key].is_announced = False
            job = self._take_from(key, now)
            if job:
                self._announce(key)
                return job
        return None

    def next_event(self) -> float | None:
        """Return when `take` may find a job although no attempt ended meanwhile."""
        return self._timers[0][0] if self._timers else None

    def take_given_up(self) -> list[tuple[str, Failure]]:
        """Return the keys and failures of the jobs that were given up since the last call."""
        given_up, self._given_up = self._given_up, []
        return given_up

    def done(self, job: Job) -> None:
        """Record a picture, or any other complete answer below 500 that ends the job."""
        host = self._release(job)
        self._bring_back(job.host, host)
        self.unfinished -= 1

    def redirected(self, job: Job, url: URL, now: float) -> None:
        """Send the job on to another address, where it queues again with what is left of its
        time.
        """
        host = self._release(job)
        self._bring_back(job.host, host)
        left = (job.deadline or now) - now
        job.address, job.hops, job.attempts, job.seconds, job.deadline = (
            str(url),
            job.hops + 1,
            0,
            left,
            None,
        )
        self._enqueue(job)

    def refused(self, job: Job, refusal: Refusal, now: float) -> None:
        """Record an attempt without a picture: it is repeated after a wait, or the job is given
        up.
        """
        host = self._release(job)
        wait = self._wait_before_retry(job, refusal, now)
        job.last = refusal.failure
        if refusal.answered:
            self._bring_back(job.host, host)
        else:
            self._count(host, refusal, is_exhausted=wait is None, now=now)
        if wait is not None:
            self._retry(job, host, refusal, now + wait)
        elif refusal.host_down and not job.is_last_chance:
            host.suspects.append(job)
        else:
            self._give_up(job)
        self._judge(job.host, host, now)

    def _enqueue(self, job: Job) -> None:
        host = self._hosts.get(job.host)
        if host is None:
            host = self._hosts[job.host] = _Host(self._settings)
        host.ready.append(job)
        self._announce(job.host)

    def _announce(self, key: HostKey) -> None:
        host = self._hosts[key]
        if not host.is_announced:
            host.is_announced = True
            self._turns.append(key)

    def _take_from(self, key: HostKey, now: float) -> Job | None:
        host = self._hosts[key]
        limit = 1 if host.breaker.is_open else self._settings.per_host_concurrency
        while host.active < limit and (at := host.next_at()) is not None:
            if at > now:
                heapq.heappush(self._timers, (at, key))
                return None
            job = host.pop(now)
            if job.deadline is None or job.deadline > now:
                return self._start(job, host, now)
            self._give_up(job)
            self._judge(key, host, now)
        return None

    def _start(self, job: Job, host: _Host, now: float) -> Job:
        if job.deadline is None:
            job.deadline = now + job.seconds
        job.attempts += 1
        host.active += 1
        if self._settings.requests_per_second_per_host:
            host.next_start = (
                max(host.next_start, now) + 1 / self._settings.requests_per_second_per_host
            )
        return job

    def _release(self, job: Job) -> _Host:
        host = self._hosts[job.host]
        host.active -= 1
        self._announce(job.host)
        return host

    def _wait_before_retry(self, job: Job, refusal: Refusal, now: float) -> float | None:
        """Return the seconds until the next attempt, None without one: exponential back-off, half
        of it random.
        """
        if not refusal.retryable or job.is_last_chance or job.attempts > self._settings.retries:
            return None
        longest = self._settings.backoff_seconds * 2 ** (job.attempts - 1)
        wait = max(refusal.retry_after or 0.0, longest * self._random.uniform(0.5, 1.0))
        return wait if now + wait < (job.deadline or now) else None

    def _retry(self, job: Job, host: _Host, refusal: Refusal, at: float) -> None:
        host.wait(job, at)
        if refusal.retry_after is not None:
            # The server speaks to the client, not of one picture.
            host.next_start = max(host.next_start, at)

    def _count(self, host: _Host, refusal: Refusal, *, is_exhausted: bool, now: float) -> None:
        is_server_error = refusal.failure.http_status is not None
        if refusal.host_down and (is_exhausted or not is_server_error):
            host.last_failure = refusal.failure
            self.hosts_set_aside += host.breaker.failed(now)
        else:
            host.breaker.unsettled(now)

    def _bring_back(self, key: HostKey, host: _Host) -> None:
        was_set_aside = host.breaker.answered()
        suspects = host.drain_suspects()
        if not was_set_aside:
            self._give_up(*suspects)
            return
        tried = [job for _, _, job in sorted(host.waiting)]
        host.waiting.clear()
        for job in suspects + tried:
            job.renew(self._settings.deadline_seconds)
            job.is_last_chance = True
            host.ready.append(job)
        self._announce(key)

    def _judge(self, key: HostKey, host: _Host, now: float) -> None:
        """Give up the jobs of a host that stays silent, and those that no other job can bring
        back.
        """
        if host.active:
            return
        if host.breaker.is_hopeless(now):
            for job in host.drain():
                job.last = job.last or _set_aside(key, host.last_failure)
                self._give_up(job)
        elif host.breaker.is_open and host.suspects and not host.ready and not host.waiting:
            probe = host.suspects.pop(0)
            probe.renew(self._settings.deadline_seconds)
            host.ready.append(probe)
        if not host.ready and not host.waiting:
            self._give_up(*host.drain_suspects())

    def _give_up(self, *jobs: Job) -> None:
        self.unfinished -= len(jobs)
        self._given_up.extend((job.key, job.last) for job in jobs if job.last)


def _set_aside(key: HostKey, last: Failure | None) -> Failure:
    assert last is not None
    sentence = (
        f"{key[0]} failed so often in a row that its other pictures were not asked for in "
        f"this run. {last.sentence}"
    )
    return replace(last, sentence=sentence)
