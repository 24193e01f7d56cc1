"""Knobs of an installation: what runs by itself and when, and where and how fast; part of no fingerprint."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

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


class RefreshSettings(BaseModel):
    """When a category looks at its pictures again; part of no fingerprint."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    enabled: bool = Field(True, description="false: the category is refreshed only when somebody asks for it.")
    cron: str = Field("0 2 * * 1", description="Minute, hour, day of month, month, day of week: Monday at 02:00.")
    time_zone: str = Field("Asia/Ho_Chi_Minh", description="IANA name of the zone that `cron` is read in.")
    stagger_minutes: int = Field(
        360, ge=0, le=1440, description="Minutes over which the categories of one cron are spread, each at its own."
    )

    @field_validator("cron")
    @classmethod
    def _known_cron(cls, value: str) -> str:
        Cron.parse(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{value!r} is no time zone; an IANA name is expected, for example Asia/Ho_Chi_Minh") from error
        return value


class AutomationSettings(BaseModel):
    """What the daemon does without being asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    catalogue_folder: str | None = Field(
        None, description="Folder or fsspec URL that is watched for workbooks; `catalogues` below the Dagster home when unset."
    )
    sync: bool = Field(False, description="true: the sync sensor keeps every category up to date by itself.")
    webhook_url: str | None = Field(None, description="Address that gets a Slack-format message when a run fails.")
    ui_url: str = Field("http://127.0.0.1:3000", description="Address of the Dagster UI, for links in messages.")
    pages_url: str = Field(
        "http://127.0.0.1:8765",
        description="Address of the pages of `clustering-pipeline serve`, for links in the Dagster UI; `ui` serves them there.",
    )


class CheckSettings(BaseModel):
    """Limits of the asset checks. Going beyond one warns, or errs where `severity` says so; it never stops the workbook."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    detection_rate: float = Field(0.5, ge=0, le=1, description="Least share of pictures in which a product was found.")
    rejected_share: float = Field(0.2, ge=0, le=1, description="Largest share of crops rejected for their quality.")
    no_match_share: float = Field(0.8, ge=0, le=1, description="Largest share of listings that match nothing.")
    largest_cluster_share: float = Field(0.3, gt=0, le=1, description="Largest share of listings in one cluster.")
    cluster_count_jump: float = Field(0.3, gt=0, description="Largest change of the number of clusters against the run before.")
    fresh_for_days: float = Field(8, gt=0, description="Days after which a category that was not materialised is overdue.")
    severity: dict[str, str] = Field(
        default_factory=dict, description="warn or error per limit above; warn for those that are not named."
    )

    @field_validator("severity")
    @classmethod
    def _known_severity(cls, value: dict[str, str]) -> dict[str, str]:
        limits = set(cls.model_fields) - {"severity"}
        for limit, severity in value.items():
            if limit not in limits:
                raise ValueError(f"{limit!r} is no limit; known are {', '.join(sorted(limits))}")
            if severity not in ("warn", "error"):
                raise ValueError(f"{severity!r} is no severity of {limit}; warn or error is expected")
        return value


class StorageSettings(BaseModel):
    """Where pictures, manifests and cached results are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: str | None = Field(None, description="Folder or fsspec URL; `storage` below the Dagster home when unset.")
    corrections: SecretStr | None = Field(
        None,
        description="PostgreSQL URL of what people say about clusters, for several machines to share: "
        "`postgresql://USER@HOST/DATABASE`, the password best in `PGPASSWORD` or `~/.pgpass`. "
        "SQLite files below the Dagster home when unset.",
    )


class ComputeSettings(BaseModel):
    """What the stages run on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Literal["local"] = Field("local", description="local: processes on this machine.")
    workers: int | None = Field(None, ge=1, description="Processes; all available cores when unset.")
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto", description="Device of neural models; the best one present when auto."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto", description="Number format of neural models; bf16 or fp16 on CUDA, else fp32, when auto."
    )
    models: str | None = Field(None, description="Folder of model files; `models` below the Dagster home when unset.")
