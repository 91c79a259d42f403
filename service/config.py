"""Every setting once: its name, unit, default, limits and effect.

Settings come from the environment and from a file `.env` in the working directory; the environment wins.
`docs/configuration.md` is generated from this module.
"""

import enum
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.domain.budget import UNLIMITED, Rate

ENV_FILE = Path(".env")
_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,6})(s|m|h)")
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class ConfigError(Exception):
    """The start cannot go on with these settings. The message is one line for the person who starts it."""


class Unit(enum.StrEnum):
    """What a number counts."""

    SECONDS = "seconds"
    BYTES = "bytes"
    EVENTS = "events"
    PORT = "port"
    RATIO = "ratio"
    CONNECTIONS = "connections"
    PACKETS = "packets"
    PROXIES = "proxies"


def _rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.strip() == "0":
        return UNLIMITED
    found = _RATE.fullmatch(value.strip())
    if found is None or found[2] == "0":
        raise ValueError("must be a count and a period in s, m or h, or 0 for no limit")
    return Rate(int(found[1]), float(found[2] or 1) * _PERIODS[found[3]])


Limit = Annotated[Rate, BeforeValidator(_rate)]
"""A setting of the form `30/1s`."""


def _setting(default: object, description: str, example: str, *, unit: Unit | None = None, **limits: float) -> Any:  # noqa: ANN401 - pydantic's own form of a field
    extra: dict[str, Any] = {"example": example}
    if unit is not None:
        extra["unit"] = unit.value
    numbers: dict[str, Any] = dict(limits)
    return Field(default=default, description=description, json_schema_extra=extra, **numbers)


class Settings(BaseSettings):
    """What whoever runs the server can choose."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True, env_ignore_empty=True
    )

    host: str = _setting("0.0.0.0", "The address to listen on.", "127.0.0.1")  # noqa: S104 - as the original does
    port: int = _setting(8001, "The port to listen on.", "8001", unit=Unit.PORT, ge=1, le=65535)
    client_url: str = _setting(
        "*",
        "The origin of the web client, or several separated by commas, for CORS. `*` lets every site connect: fine for "
        "development, not for production.",
        "https://app.example.com",
    )
    ring_timeout_s: float = _setting(
        30.0,
        "How long a call rings. Then both parties get `call:rejected` with the code `no_answer`.",
        "30",
        unit=Unit.SECONDS,
        gt=0,
        le=3600,
    )
    reconnect_grace_s: float = _setting(
        0.0,
        "How long a party whose connection was lost (without a goodbye) may stay away before its call ends. 0 ends the "
        "call at once, as the original server does.",
        "10",
        unit=Unit.SECONDS,
        ge=0,
        le=300,
    )
    ping_interval_s: float = _setting(
        25.0, "How often a client is asked for a sign of life.", "25", unit=Unit.SECONDS, ge=0.1, le=300
    )
    ping_timeout_s: float = _setting(
        20.0,
        "How long a client has to give it. A silent client is offline after interval plus timeout at the latest.",
        "20",
        unit=Unit.SECONDS,
        ge=0.1,
        le=300,
    )
    max_message_bytes: int = _setting(
        262_144,
        "The largest message that is accepted from a client. A description with many tracks can exceed 100 kB. "
        "A larger one closes the connection.",
        "262144",
        unit=Unit.BYTES,
        ge=1024,
        le=16_777_216,
    )
    max_outgoing_bytes: int = _setting(
        1_048_576,
        "How much may wait in the server for a client that reads slowly, beside what the system buffers. More closes "
        "the connection with the code 4008.",
        "1048576",
        unit=Unit.BYTES,
        ge=65_536,
        le=67_108_864,
    )
    max_packets_per_payload: int = _setting(
        256,
        "How many packets one POST of a client on polling may hold. More close the connection.",
        "256",
        unit=Unit.PACKETS,
        ge=16,
        le=10_000,
    )
    join_timeout_s: float = _setting(
        10.0,
        "How long a new connection may stay without a user, until its `user:join` has succeeded. Then it is closed. "
        "0 lets it stay.",
        "10",
        unit=Unit.SECONDS,
        ge=0,
        le=3600,
    )
    upgrade_timeout_s: float = _setting(
        10.0,
        "How long a client has to complete its upgrade from polling to a websocket. Then it stays on polling.",
        "10",
        unit=Unit.SECONDS,
        ge=0.1,
        le=300,
    )
    limit_connects: Limit = _setting(
        Rate(3000, 10.0),
        "How many connections one address may open in a time; more are answered 429 with Retry-After. 0 is no limit. "
        "Behind a proxy, set TRUSTED_PROXIES first: else all clients have one address.",
        "30/1s",
    )
    max_connections: int = _setting(
        50_000,
        "How many connections the node holds; more are answered 503 with Retry-After. 0 is no limit.",
        "50000",
        unit=Unit.CONNECTIONS,
        ge=0,
        le=10_000_000,
    )
    max_connections_per_address: int = _setting(
        0,
        "How many of them one address may have; more are answered 429 with Retry-After. 0 is no limit: thousands of "
        "phones can share an address.",
        "100",
        unit=Unit.CONNECTIONS,
        ge=0,
        le=10_000_000,
    )
    trusted_proxies: int = _setting(
        0,
        "How many proxies of yours a request passes before it is here. That many entries of X-Forwarded-For are "
        "believed, counted from its end. 0 takes the address of the connection.",
        "1",
        unit=Unit.PROXIES,
        ge=0,
        le=16,
    )
    tls_cert_file: Path | None = _setting(
        None,
        "The certificate chain (PEM) to serve https with. Both TLS settings or none. SIGHUP reads the files again.",
        "/etc/ssl/fullchain.pem",
    )
    tls_key_file: Path | None = _setting(None, "The key of that certificate (PEM).", "/etc/ssl/privkey.pem")
    event_backlog: int = _setting(
        256,
        "How many events of one socket may wait for earlier ones of it. More are refused with `backlog_full`.",
        "256",
        unit=Unit.EVENTS,
        ge=1,
        le=100_000,
    )
    shutdown_timeout_s: float = _setting(
        10.0,
        "How long a stop may take at the most: the time for clients to be told and to close.",
        "10",
        unit=Unit.SECONDS,
        ge=0.1,
        le=300,
    )
    redis_url: str = _setting(
        "",
        "The Redis (7 or later) or Valkey (8 or later) that several nodes share their users over. Empty: this node is "
        "alone. `rediss://` for TLS, `redis+sentinel://host:26379,host:26379/service` for Sentinel.",
        "redis://:password@redis:6379/0",
    )
    redis_key_prefix: str = _setting(
        "signalling:",
        "What all keys in Redis begin with. Nodes with the same prefix share their users; nobody else may use it.",
        "staging:",
    )
    node_id: str = _setting(
        "",
        "What this node is called in Redis, before some random letters of its own. Only for people who look there.",
        "eu-west-1a",
    )
    node_lease_s: float = _setting(
        10.0,
        "How long after its last sign of life a node is taken for dead. Then its users are offline and its calls end, "
        "or wait for the party as RECONNECT_GRACE_S says.",
        "10",
        unit=Unit.SECONDS,
        ge=1,
        le=300,
    )
    demo_page: bool = _setting(True, "Whether to serve the demo page at `/`.", "false")
    metrics_host: str = _setting(
        "127.0.0.1",
        "The address that `/metrics` is served on. Keep it off the public network.",
        "0.0.0.0",  # noqa: S104 - an example for containers
    )
    metrics_port: int = _setting(
        9464,
        "The port that `/metrics` and `/healthz` are served on, by a thread of its own. 0 switches them off.",
        "9464",
        unit=Unit.PORT,
        ge=0,
        le=65535,
    )
    otel_exporter_otlp_endpoint: str = _setting(
        "",
        "Where traces go, as OTLP over HTTP. Empty: no traces. The other `OTEL_*` variables of OpenTelemetry work too, "
        "from the environment.",
        "http://localhost:4318",
    )
    trace_ratio: float = _setting(
        0.1,
        "The share of calls that are traced though nothing was wrong. Slow calls and those that failed through the "
        "server or the network are traced anyway.",
        "0.1",
        unit=Unit.RATIO,
        ge=0,
        le=1,
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "The least severe log lines to write: `debug`, `info`, `warning` or `error`.", "info"
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("client_url")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in value.split(","):
            _check_origin(origin.strip())
        return value

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://")):
            raise ValueError("must start with redis://, rediss:// or redis+sentinel://")
        return value

    @field_validator("node_id")
    @classmethod
    def _node(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{0,64}", value):
            raise ValueError("must be at most 64 letters, digits, dots, dashes or underscores")
        return value

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @model_validator(mode="after")
    def _both_files(self) -> Self:
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS_CERT_FILE and TLS_KEY_FILE must both be set, or neither")
        return self

    @property
    def client_urls(self) -> tuple[str, ...]:
        """The origins of `CLIENT_URL`, each as a browser sends it."""
        return tuple(origin.strip().rstrip("/") for origin in self.client_url.split(","))


def _check_origin(origin: str) -> None:
    scheme, separator, rest = origin.partition("://")
    host = rest.rstrip("/")
    if origin != "*" and not (scheme in ("http", "https") and separator and host and "/" not in host):
        raise ValueError("each origin must be * or a scheme and a host without a path")


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigError: `.env` cannot be read, or a value is unusable; names the variable, the problem and an example.
    """
    try:
        if ENV_FILE.exists():
            ENV_FILE.read_text(encoding="utf-8")
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f".env cannot be read ({reason}); mend it or take it away") from None
    except ValidationError as error:
        raise ConfigError(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    extra = Settings.model_fields[name].json_schema_extra
    example = extra["example"] if isinstance(extra, dict) else ""
    problem = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    problem = problem if "must" in problem else f"must be {problem}"
    return f"{name.upper()}: {problem}, for example {name.upper()}={example}"
