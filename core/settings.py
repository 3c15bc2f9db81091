"""Every setting of API, worker and command line; environment variables of the same names set them."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self, final

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


@final
class Settings(BaseSettings):
    """With nothing set the service is embedded: SQLite, a folder and a broker without a server, all in DATA_DIR."""

    model_config = SettingsConfigDict(frozen=True)

    data_dir: Path = Field(Path("data"), description="Where the embedded service keeps database, objects and messages.")
    database_url: str | None = Field(
        None, description="postgresql://… for a shared database; unset: SQLite inside DATA_DIR."
    )
    redis_url: SecretStr | None = Field(
        None, description="redis://… for wake-ups between machines; unset: files inside DATA_DIR."
    )
    s3_bucket: str | None = Field(None, description="Bucket for objects; unset: a folder inside DATA_DIR.")
    s3_endpoint_url: str | None = Field(None, description="Address of an S3 server that is not Amazon's.")
    s3_region: str = Field("us-east-1", description="Region of the bucket.")
    s3_access_key_id: str | None = Field(None, description="Unset: boto3's own search for credentials.")
    s3_secret_access_key: SecretStr | None = Field(None, description="Belongs to S3_ACCESS_KEY_ID.")

    model: str = Field(
        "pocket", description="The packaged model, a folder in the diffusers layout, or the id of one on a hub."
    )
    image_encoder: str | None = Field(
        None, description="CLIP whose image features feed the mapping network; unset: the model's own `clip` folder."
    )
    clip_model: str | None = Field(
        None, description="CLIP that scores edits, a folder or a hub's id; unset: a model's own `clip` folder, or none."
    )
    dino_model: str | None = Field(
        None, description="DINO that measures structure, as facebook/dino-vitb8; unset: as with CLIP_MODEL."
    )
    lpips_weights: Path | None = Field(
        None, description="Folder with the weights of LPIPS; unset: the judge's for the packaged model, else none."
    )
    slots: Annotated[int, Field(ge=1, le=256)] = Field(2, description="Jobs one worker runs at once, in one batch.")

    lease_seconds: Seconds = Field(60, description="A worker silent for so long has lost its jobs.")
    heartbeat_seconds: Seconds = Field(2, description="How often leases are extended and cancellations read.")
    sweep_seconds: Seconds = Field(15, description="How often lost leases, deadlines and wake-ups are looked for.")
    stall_seconds: Seconds = Field(
        600, description="A job without a finished timestep for so long is given up; longer than the slowest one."
    )
    checkpoint_seconds: Annotated[float, Field(ge=0)] = Field(
        0, description="Least time between two checkpoints of an inversion; 0: one at every timestep."
    )
    edit_checkpoint_seconds: Annotated[float, Field(ge=0)] = Field(
        5, description="The same of an edit, whose timesteps take less time than keeping them."
    )
    max_attempts: Annotated[int, Field(ge=1, le=20)] = Field(
        3, description="Lost attempts before a job is POISON, those aside that left a checkpoint."
    )
    retention_days: Annotated[float, Field(gt=0)] = Field(30, description="How long artifacts are kept.")
    requests_per_minute: Annotated[int, Field(ge=1)] = Field(6000, description="Of one tenant, unless it has its own.")
    max_unfinished_jobs: Annotated[int, Field(ge=1)] = Field(
        10_000, description="Of one tenant, batches aside, unless it has its own."
    )
    compute_seconds_per_day: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Of one tenant, unless it has its own; unset: as many as there are."
    )
    outbound_seconds: Seconds = Field(20, description="The most a URL of a caller's may take, fetched or called.")
    outbound_http: bool = Field(False, description="Also http:// for URLs of callers; without it https:// alone.")
    outbound_networks: str | None = Field(
        None, description="Networks with commas that URLs of callers may lead to besides public addresses: 10.1.0.0/16."
    )
    content_check: str | None = Field(
        None, description="`package.module:name` that sees every edited picture and may withhold it; unset: none does."
    )
    provenance_mark: str | None = Field(
        None, description="`package.module:name` that marks edited pictures, as core.provenance:mark; unset: no mark."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")
    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(
        32 * 2**20 + 2**16, description="Largest request body: an image of 32 MiB and the form around it."
    )

    @field_validator("outbound_networks")
    @classmethod
    def _are_networks(cls, given: str | None) -> str | None:
        _networks(given)
        return given

    max_batch_bytes: Annotated[int, Field(ge=1024)] = Field(
        200 * 2**20, description="Largest batch sent as lines of JSON; it lies on disk while it is read."
    )

    @model_validator(mode="after")
    def _beats_within_the_lease(self) -> Self:
        # Two beats may be lost to a slow database before the lease is.
        if self.lease_seconds < 3 * self.heartbeat_seconds:
            raise ValueError("LEASE_SECONDS must be at least three times HEARTBEAT_SECONDS")
        return self

    @property
    def embedded(self) -> bool:
        """True when all state lives in DATA_DIR, for one worker on this machine."""
        return self.database_url is None

    @property
    def database(self) -> str:
        """The database's address, wherever it is."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'stylediffusion.db'}"

    @property
    def opened_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """What OUTBOUND_NETWORKS names."""
        return _networks(self.outbound_networks)


def _networks(given: str | None) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(part.strip()) for part in (given or "").split(",") if part.strip())
