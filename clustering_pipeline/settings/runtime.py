"""Knobs that say where and how fast, never what: part of no fingerprint."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


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

    engine: str = Field("local", description="local: processes on this machine.")
    workers: int | None = Field(None, ge=1, description="Processes; all available cores when unset.")
    device: Literal["auto", "cuda", "mps", "cpu"] = Field(
        "auto", description="Device of neural models; the best one present when auto."
    )
    precision: Literal["auto", "bf16", "fp16", "fp32"] = Field(
        "auto", description="Number format of neural models; bf16 or fp16 on CUDA, else fp32, when auto."
    )
    models: str | None = Field(None, description="Folder of model files; `models` below the Dagster home when unset.")
