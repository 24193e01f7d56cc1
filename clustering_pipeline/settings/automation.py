"""Knobs of what runs by itself: the catalogue folder, the weekly refresh, the sync sensor, the failure message."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clustering_pipeline.settings.cron import Cron


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
