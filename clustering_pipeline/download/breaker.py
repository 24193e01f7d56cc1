"""Whether a host may be asked: the circuit breaker."""

from clustering_pipeline.settings.download import DownloadSettings


class Breaker:
    """Sets a host aside after failures in a row, and says when it may be probed and when to stop hoping.

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
    def is_suspicious(self) -> bool:
        """Whether the last thing heard of the host was a failure."""
        return self._failures_in_a_row > 0

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
        """Record a failure that speaks against the host; return whether the host is set aside by it."""
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
        return self._set_aside_at is not None and now >= self._set_aside_at + self._settings.breaker_patience_seconds

    def _plan_probe(self, now: float, set_aside_at: float) -> None:
        # The last probe falls on the end of the patience.
        last = set_aside_at + self._settings.breaker_patience_seconds
        self._probe_at = min(now + self._probe_wait, max(last, now))
        self._probe_wait *= 2
