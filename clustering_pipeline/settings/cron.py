"""Cron schedules of five fields: minute, hour, day of month, month, day of week."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day of month", 1, 31), ("month", 1, 12), ("day of week", 0, 7))
NAMES = {
    "month": ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    "day of week": ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
}
# Two leap years: 29 February comes within that.
DAYS_AHEAD = 8 * 366 + 1
EXAMPLE = "for example `0 2 * * 1` for Monday at 02:00"


@dataclass(frozen=True)
class Cron:
    """The minutes that a cron schedule names. As in cron, a restricted day of month and day of week are alternatives."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Return the schedule that `text` describes; raises ValueError naming the field that cannot be read."""
        parts = text.lower().split()
        if len(parts) != len(FIELDS):
            raise ValueError(f"{text!r} has {len(parts)} fields; a cron schedule has five, {EXAMPLE}")
        minutes, hours, days, months, weekdays = (_values(part, *field) for part, field in zip(parts, FIELDS, strict=True))
        restricted = not (parts[2].startswith("*") or parts[4].startswith("*"))
        return cls(minutes, hours, days, months, frozenset(day % 7 for day in weekdays), restricted)

    def matches(self, moment: datetime) -> bool:
        """Whether the schedule names the minute of `moment`, read in the moment's own time zone."""
        if moment.minute not in self.minutes or moment.hour not in self.hours or moment.month not in self.months:
            return False
        day, weekday = moment.day in self.days, moment.isoweekday() % 7 in self.weekdays
        return day or weekday if self.either_day else day and weekday

    def after(self, moment: datetime) -> datetime | None:
        """Return the first minute after `moment` that the schedule names, in the moment's zone; None in the next 8 years."""
        for ahead in range(DAYS_AHEAD):
            day = moment + timedelta(days=ahead)
            for hour, minute in product(sorted(self.hours), sorted(self.minutes)):
                candidate = day.replace(hour=hour, minute=minute, second=0, microsecond=0)
                if not self.matches(candidate):
                    break
                if candidate > moment:
                    return candidate
        return None


def _values(part: str, name: str, lowest: int, highest: int) -> frozenset[int]:
    values: set[int] = set()
    for piece in part.split(","):
        span, _, step = piece.partition("/")
        first, last = _span(span, name, lowest, highest, open_ended="/" in piece)
        if not (lowest <= first <= last <= highest) or ("/" in piece and not step.isdecimal()) or step == "0":
            raise ValueError(f"{piece!r} is no {name} of a cron schedule, which is from {lowest} to {highest}; {EXAMPLE}")
        values.update(range(first, last + 1, int(step or 1)))
    return frozenset(values)


def _span(span: str, name: str, lowest: int, highest: int, *, open_ended: bool) -> tuple[int, int]:
    if span == "*":
        return lowest, highest
    first, dash, last = span.partition("-")
    start = _number(first, name)
    if dash:
        return start, _number(last, name)
    return start, highest if open_ended else start


def _number(text: str, name: str) -> int:
    names = NAMES.get(name, ())
    if text in names:
        return names.index(text) + (1 if name == "month" else 0)
    # An impossible value is refused by the caller, together with the piece that it stands in.
    return int(text) if text.isascii() and text.isdecimal() else -1
