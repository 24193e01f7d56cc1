"""Knobs of an installation: what runs by itself and when, and where and how fast; part of no
fingerprint.
"""

from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import (
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from clustering_pipeline.settings.base import SettingsModel, combination_error

# The fields of a cron schedule, with cronsim's name, ours, and the least and greatest value.
CRON_FIELDS = {
    "minute": ("minute", 0, 59),
    "hour": ("hour", 0, 23),
    "day-of-month": ("day of month", 1, 31),
    "month": ("month", 1, 12),
    "day-of-week": ("day of week", 0, 7),
}
CRON_EXAMPLE = "for example `0 2 * * 1` for Monday at 02:00"


class Cron:
    """The minutes that a cron schedule names.

    As in cron, a restricted day of month and day of week are alternatives.
    """

    def __init__(self, text: str) -> None:
        """`text`: five fields; raises ValueError naming the field that cannot be read."""
        self._text = text
        parts = text.split()
        if len(parts) != len(CRON_FIELDS):
            raise ValueError(
                f"{text!r} has {len(parts)} fields; a cron schedule has five, {CRON_EXAMPLE}"
            )
        try:
            self._schedule = CronSim(text, datetime.min)
        except CronSimError as error:
            field = str(error).removeprefix("Bad ")
            part = parts[list(CRON_FIELDS).index(field)]
            name, lowest, highest = CRON_FIELDS[field]
            raise ValueError(
                f"{part!r} is no {name} of a cron schedule, which is from {lowest} to {highest}; "
                f"{CRON_EXAMPLE}"
            ) from error

    def matches(self, moment: datetime) -> bool:
        """Whether the schedule names the minute of `moment`, read in the moment's own time zone."""
        schedule = self._schedule
        in_hour = moment.minute in schedule.minutes and moment.hour in schedule.hours
        return in_hour and moment.month in schedule.months and schedule.match_day(moment.date())

    def after(self, moment: datetime) -> datetime:
        """Return the first minute after `moment` that the schedule names, on the clock of the
        moment's zone.
        """
        return next(CronSim(self._text, moment.replace(tzinfo=None))).replace(tzinfo=moment.tzinfo)


class RefreshSettings(SettingsModel):
    """When a category looks at its pictures again; part of no fingerprint."""

    model_config = ConfigDict(validate_default=True)

    enabled: bool = Field(
        True, description="false: the category is refreshed only when somebody asks for it."
    )
    cron: str = Field(
        "0 2 * * 1", description="Minute, hour, day of month, month, day of week: Monday at 02:00."
    )
    time_zone: str = Field(
        "Asia/Ho_Chi_Minh", description="IANA name of the zone that `cron` is read in."
    )
    stagger_minutes: int = Field(
        360,
        ge=0,
        le=1440,
        description="Minutes over which the categories of one cron are spread, each at its own.",
    )

    @field_validator("cron")
    @classmethod
    def _known_cron(cls, value: str) -> str:
        Cron(value)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(
                f"{value!r} is no time zone; an IANA name is expected, for example Asia/Ho_Chi_Minh"
            ) from error
        return value


class AutomationSettings(SettingsModel):
    """What the daemon does without being asked."""

    catalogue_folder: str | None = Field(
        None,
        description="Folder or fsspec URL that is watched for workbooks; `catalogues` below the "
        "Dagster home when unset.",
    )
    sync: bool = Field(
        False, description="true: the sync sensor keeps every category up to date by itself."
    )
    webhook_url: str | None = Field(
        None, description="Address that gets a Slack-format message when a run fails."
    )
    ui_url: str = Field(
        "http://127.0.0.1:3000", description="Address of the Dagster UI, for links in messages."
    )
    pages_url: str = Field(
        "http://127.0.0.1:8765",
        description="Address of the pages of `clustering-pipeline serve`, for links in the Dagster "
        "UI; `ui` serves them there.",
    )


class CheckSettings(SettingsModel):
    """Limits of the asset checks.

    Going beyond one warns, or errs where `severity` says so; it never stops the workbook.
    """

    detection_rate: float = Field(
        0.5, ge=0, le=1, description="Least share of pictures in which a product was found."
    )
    rejected_share: float = Field(
        0.2, ge=0, le=1, description="Largest share of crops rejected for their quality."
    )
    no_match_share: float = Field(
        0.8, ge=0, le=1, description="Largest share of listings that match nothing."
    )
    largest_cluster_share: float = Field(
        0.3, gt=0, le=1, description="Largest share of listings in one cluster."
    )
    cluster_count_jump: float = Field(
        0.3, gt=0, description="Largest change of the number of clusters against the run before."
    )
    fresh_for_days: float = Field(
        8, gt=0, description="Days after which a category that was not materialised is overdue."
    )
    severity: dict[str, str] = Field(
        default_factory=dict,
        description="warn or error per limit above; warn for those that are not named.",
    )

    @field_validator("severity")
    @classmethod
    def _known_severity(cls, value: dict[str, str]) -> dict[str, str]:
        limits = set(cls.model_fields) - {"severity"}
        for limit, severity in value.items():
            if limit not in limits:
                raise ValueError(f"{limit!r} is no limit; known are {', '.join(sorted(limits))}")
            if severity not in ("warn", "error"):
                raise ValueError(
                    f"{severity!r} is no severity of {limit}; warn or error is expected"
                )
        return value


class StorageSettings(SettingsModel):
    """Where pictures, manifests and cached results are kept."""

    root: str | None = Field(
        None, description="Folder or fsspec URL; `storage` below the Dagster home when unset."
    )
    database: SecretStr | None = Field(
        None,
        description="PostgreSQL URL of what several machines on one storage share: the register of "
        "cluster numbers, the journal of downloads, what people say and have looked at, what was "
        "delivered. `postgresql://USER@HOST/DATABASE`, the password best in `PGPASSWORD` or "
        "`~/.pgpass`. SQLite files below the Dagster home when unset.",
    )
    wait_seconds: float = Field(
        60,
        ge=0,
        description="With `storage.database`: how long a run waits at most for a category that "
        "another machine works on, before it ends and says which.",
    )
    corrections: SecretStr | None = Field(
        None,
        description="Older than `storage.database`, which takes its place: the PostgreSQL URL of "
        "what people say about clusters alone; all else stays in the home.",
    )

    @model_validator(mode="after")
    def _one_place_of_corrections(self) -> "StorageSettings":
        if self.database is not None and self.corrections is not None:
            raise combination_error(
                "storage.database holds what people say as well. Take storage.corrections away; "
                "what was said stays where it is when both name one database",
                "corrections",
                "database",
            )
        return self


class ComputeSettings(SettingsModel):
    """What the stages run on."""

    engine: Literal["local", "ray"] = Field(
        "local",
        description="local: processes on this machine; ray: the Ray cluster that `RAY_ADDRESS` "
        "names, or a Ray that is started on this machine (extra `ray`). The results are the same.",
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="Processes; all available cores, of all machines of a Ray cluster, when unset. "
        "Of one machine at most four for each core.",
    )
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto", description="Device of neural models; the best one present when auto."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto",
        description="Number format of neural models; on CUDA the short format that the model is "
        "safe in (fp16 for CLIP, bf16 for others), else fp32, when auto.",
    )
    compile_encoder: bool = Field(
        False,
        description="Have torch compile the neural encoder for the GPU: a minute at the start of "
        "each run, faster after it.",
    )
    models: str | None = Field(
        None, description="Folder of model files; `models` below the Dagster home when unset."
    )


class InstallationSections(SettingsModel):
    """The sections of checks, refreshes and what belongs to the whole installation."""

    checks: CheckSettings = Field(default_factory=CheckSettings)
    refresh: RefreshSettings = Field(default_factory=RefreshSettings)
    compute: ComputeSettings = Field(default_factory=ComputeSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    automation: AutomationSettings = Field(default_factory=AutomationSettings)
