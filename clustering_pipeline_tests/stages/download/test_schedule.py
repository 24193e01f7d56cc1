import heapq
from itertools import count, pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from yarl import URL

from clustering_pipeline.settings import DownloadSettings
from clustering_pipeline.stages.download.answers import Refusal, failure, status_failure
from clustering_pipeline.stages.download.schedule import Job, Schedule

REFUSED = Refusal(failure("connect", "refused"), retryable=True, host_down=True)
TIMEOUT = Refusal(failure("timeout", "silent"), retryable=True, host_down=True)
FAULT = Refusal(status_failure(503, "shop"), retryable=True, host_down=True)
MISSING = Refusal(status_failure(404, "shop"), answered=True)
CUT = Refusal(failure("truncated", "cut"), retryable=True)
PICTURE = "picture"


class World:
    """Runs a schedule on a clock of its own; `answer(job, now)` gives what an attempt comes to and
    how long it takes.
    """

    def __init__(self, answer, concurrency=64, **options):
        self.settings = DownloadSettings(**options)
        self.schedule = Schedule(self.settings)
        self.answer, self.concurrency = answer, concurrency
        self.now, self.attempts, self.fetched, self.failed = 0.0, [], [], {}

    def run(self, *urls):
        for url in urls:
            self.schedule.add(Job(url, url, self.settings.deadline_seconds))
        under_way, number = [], count()
        while True:
            while len(under_way) < self.concurrency and (job := self.schedule.take(self.now)):
                self.attempts.append((self.now, job.key))
                result, seconds = self.answer(job, self.now)
                heapq.heappush(under_way, (self.now + seconds, next(number), job, result))
            self._collect()
            if not self.schedule.unfinished:
                assert not under_way
                return self
            self._step(under_way)

    def _step(self, under_way):
        event = self.schedule.next_event()
        if under_way and (
            event is None or len(under_way) == self.concurrency or under_way[0][0] <= event
        ):
            self.now, _, job, result = heapq.heappop(under_way)
            self._end(job, result)
        else:
            assert event is not None, "jobs wait for nothing"
            assert event >= self.now
            self.now = event

    def _end(self, job, result):
        if result == PICTURE:
            self.fetched.append(job.key)
            self.schedule.done(job)
        elif isinstance(result, URL):
            self.schedule.redirected(job, result, self.now)
        else:
            self.schedule.refused(job, result, self.now)

    def _collect(self):
        for key, failed in self.schedule.take_given_up():
            assert key not in self.failed
            self.failed[key] = failed.kind


def urls(number, host="shop"):
    return [f"http://{host}/{n}" for n in range(number)]


def test_every_job_is_attempted_once_when_all_is_well():
    world = World(lambda job, now: (PICTURE, 1.0)).run(*urls(50))
    assert sorted(world.fetched) == sorted(urls(50))
    assert len(world.attempts) == 50


def test_hosts_take_turns():
    world = World(lambda job, now: (PICTURE, 1.0), concurrency=2).run(
        *urls(100, "large"), *urls(2, "small")
    )
    assert {f"http://small/{n}" for n in range(2)} <= set(world.fetched[:4])


def test_a_host_gets_no_more_requests_at_once_than_allowed():
    world = World(lambda job, now: (PICTURE, 1.0), per_host_concurrency=3).run(*urls(30))
    assert (
        max(sum(at <= start < at + 1.0 for at, _ in world.attempts) for start, _ in world.attempts)
        == 3
    )


def test_requests_to_a_host_are_spaced_by_its_rate():
    world = World(lambda job, now: (PICTURE, 0.01), requests_per_second_per_host=4).run(
        *urls(9), *urls(9, "other")
    )
    assert world.now == pytest.approx(2.0, abs=0.1)


def test_back_off_doubles_and_ends_after_the_retries():
    world = World(lambda job, now: (FAULT, 0.0), backoff_seconds=1.0, retries=3).run(
        "http://shop/1"
    )
    times = [at for at, _ in world.attempts]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) == 3
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waits))
    assert world.failed == {"http://shop/1": "server_error"}


@pytest.mark.parametrize(
    "refusal",
    [REFUSED, TIMEOUT, FAULT, CUT, Refusal(status_failure(429, "shop"), True, answered=True)],
)
def test_a_picture_that_comes_at_the_second_attempt_counts(refusal):
    world = World(lambda job, now: (refusal if job.attempts == 1 else PICTURE, 0.1)).run(
        "http://shop/1"
    )
    assert world.fetched == ["http://shop/1"]


def test_settled_answers_are_not_repeated():
    assert len(World(lambda job, now: (MISSING, 0.1)).run("http://shop/1").attempts) == 1


def test_retry_after_is_obeyed_by_the_whole_host():
    busy = Refusal(status_failure(429, "shop"), retryable=True, retry_after=7.0, answered=True)
    world = World(lambda job, now: (busy if now < 5 else PICTURE, 0.1), per_host_concurrency=1).run(
        *urls(3)
    )
    assert [at for at, _ in world.attempts if 0 < at < 7] == []
    assert len(world.fetched) == 3


def test_a_retry_after_beyond_the_deadline_ends_the_picture():
    busy = Refusal(status_failure(503, "shop"), retryable=True, retry_after=3600.0, host_down=True)
    world = World(lambda job, now: (busy, 0.1)).run("http://shop/1")
    assert world.failed == {"http://shop/1": "server_error"}
    assert world.now < 1


def test_the_deadline_ends_the_attempts_at_a_silent_host():
    world = World(lambda job, now: (TIMEOUT, 25.0), deadline_seconds=60).run("http://shop/1")
    assert world.failed == {"http://shop/1": "timeout"}
    assert world.now <= 60 + 25


def test_a_dead_host_is_set_aside_and_given_up():
    world = World(
        lambda job, now: (REFUSED, 0.01), breaker_failures=5, breaker_patience_seconds=30
    ).run(*urls(1000))
    assert set(world.failed.values()) == {"connect"}
    assert len(world.failed) == 1000
    assert len(world.attempts) < 40
    assert 30 <= world.now < 40
    assert world.schedule.hosts_set_aside == 1


def test_a_dead_host_holds_nobody_up():
    world = World(
        lambda job, now: (REFUSED, 0.01) if job.url.host == "dead" else (PICTURE, 0.5),
        concurrency=4,
        per_host_concurrency=2,
    ).run(*urls(100, "dead"), *urls(40, "shop"))
    assert len(world.fetched) == 40


@pytest.mark.parametrize("refusal", [REFUSED, TIMEOUT, FAULT])
def test_a_host_that_comes_back_loses_no_row(refusal):
    world = World(lambda job, now: (refusal if now < 12 else PICTURE, 0.3)).run(*urls(200))
    assert world.failed == {}
    assert len(world.fetched) == 200
    assert world.schedule.hosts_set_aside == 1


def test_a_few_rows_of_a_host_that_comes_back_are_probed_until_it_does():
    world = World(
        lambda job, now: (REFUSED if now < 12 else PICTURE, 0.01), breaker_failures=3
    ).run(*urls(2))
    assert sorted(world.fetched) == urls(2)


def test_answers_below_500_keep_a_host_in_use():
    def answer(job, now):
        number = int(job.url.path[1:])
        return (MISSING if number % 3 == 0 else REFUSED, 0.01)

    world = World(answer, per_host_concurrency=1, retries=0, breaker_failures=3).run(*urls(90))
    assert world.schedule.hosts_set_aside == 0
    assert len(world.attempts) == 90


def test_5xx_counts_against_a_host_only_when_the_retries_are_exhausted():
    world = World(
        lambda job, now: (FAULT if job.attempts < 3 else PICTURE, 0.01), breaker_failures=2
    ).run(*urls(50))
    assert world.schedule.hosts_set_aside == 0
    assert len(world.fetched) == 50


def test_a_redirect_queues_at_its_new_host_with_the_time_that_is_left():
    def answer(job, now):
        return (
            (URL(f"http://pictures{job.url.path}"), 50.0)
            if job.url.host == "shop"
            else (TIMEOUT, 9.0)
        )

    world = World(answer, deadline_seconds=60).run("http://shop/1")
    assert world.failed == {"http://shop/1": "timeout"}
    assert world.now < 80


outcomes = st.sampled_from([PICTURE, PICTURE, REFUSED, TIMEOUT, FAULT, MISSING, CUT, "redirect"])


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    script=st.lists(st.tuples(outcomes, st.floats(0.001, 40)), min_size=1, max_size=60),
    hosts=st.integers(1, 4),
    number=st.integers(1, 40),
    per_host=st.integers(1, 4),
    breaker=st.integers(1, 6),
    rate=st.none() | st.floats(0.5, 50),
)
def test_every_job_ends_exactly_once_whatever_happens(
    script, hosts, number, per_host, breaker, rate
):
    turn = count()

    def answer(job, now):
        result, seconds = script[next(turn) % len(script)]
        if result == "redirect":
            result = URL(f"http://host{job.hops}/{job.key[-1]}") if job.hops < 5 else MISSING
        return result, seconds

    world = World(
        answer,
        concurrency=8,
        per_host_concurrency=per_host,
        breaker_failures=breaker,
        requests_per_second_per_host=rate,
    ).run(*(f"http://host{n % hosts}/{n}" for n in range(number)))
    assert len(world.fetched) + len(world.failed) == number
    assert not set(world.fetched) & set(world.failed)
