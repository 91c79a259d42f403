"""Every setting once: its name, unit, default, limits and effect.

Settings come from the environment and from a file `.env` in the working directory; the environment wins.
`docs/configuration.md` is generated from this module; `service.loading` reads them.
"""

import enum
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.values import check_origin, check_redis_url, check_url, rate_of, split

ENV_FILE = Path(".env")


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
    USERS = "users"


MIN_SECRET_BYTES = 32
"""As long as what HMAC-SHA256 gives (RFC 7518, section 3.2). Shorter ones can be found by trying."""

_ICE_HOST = r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:\d{1,5})?(\?transport=(udp|tcp))?"
"""What stands after the scheme of a STUN or TURN URL (RFC 7064, RFC 7065)."""


def _setting(
    default: object, description: str, example: str, *, unit: Unit | None = None, secret: bool = False, **limits: float
) -> Any:  # noqa: ANN401 - pydantic's own form of a field
    extra: dict[str, Any] = {"example": example}
    if unit is not None:
        extra["unit"] = unit.value
    numbers: dict[str, Any] = dict(limits)
    return Field(default=default, description=description, json_schema_extra=extra, repr=not secret, **numbers)


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
    auth_required: bool | None = _setting(
        None,
        "Whether a socket needs a token. Not set: as soon as there is a secret or a key set to check it with. With "
        "`false` a token is checked where one is sent, and whoever sends none may join as anybody: for the time in "
        "which clients learn to send one. With `true` and nothing to check with, the server does not start.",
        "false",
    )
    auth_jwt_secrets: str = _setting(
        "",
        "The secret that tokens are signed with (HS256), or several separated by commas, all of them good: the old "
        "and the new one during a rotation. At least 32 bytes each.",
        "replace-me-with-what-openssl-rand-hex-32-gives",
        secret=True,
    )
    auth_jwks_url: str = _setting(
        "",
        "Where the issuer of tokens publishes its public keys as a JWK Set (RS256, ES256, EdDSA). Fetched when a key "
        "is missing and every ten minutes while tokens come; keys that are known stay in use when it cannot be.",
        "https://login.example.com/.well-known/jwks.json",
    )
    auth_issuer: str = _setting(
        "", "What `iss` of a token must be. Empty: anything. Set it.", "https://login.example.com"
    )
    auth_audience: str = _setting(
        "",
        "What `aud` of a token must be or contain. Empty: tokens must have none. Set it, so that a token for another "
        "of your services is no good here.",
        "signalling",
    )
    auth_user_claim: str = _setting("sub", "The claim of a token that holds the user id.", "sub")
    auth_leeway_s: float = _setting(
        30.0,
        "How far the clocks of the issuer and of this server may differ: added to the end of a token and taken from "
        "its beginning.",
        "30",
        unit=Unit.SECONDS,
        ge=0,
        le=300,
    )
    auth_expiry_grace_s: float = _setting(
        30.0,
        "How long a connection stays after its token has run out, for `auth:refresh` to bring a fresh one. Then it is "
        "closed with the code 4001.",
        "30",
        unit=Unit.SECONDS,
        ge=0,
        le=3600,
    )
    admin_token: str = _setting(
        "",
        "The token of the admin API, at least 32 bytes, sent as `Authorization: Bearer <token>`. Whoever has it can "
        "end any call and send any user away. Empty: there is no admin API.",
        "a-long-random-text-of-at-least-32-characters",
        secret=True,
    )
    admin_host: str = _setting(
        "127.0.0.1",
        "The address that the admin API is served on, in plain http. Keep it off the public network.",
        "10.0.0.7",
    )
    admin_port: int = _setting(
        9465, "The port of the admin API. 0 switches it off.", "9465", unit=Unit.PORT, ge=0, le=65535
    )
    authorize_url: str = _setting(
        "",
        "Where your backend says whether one user may call another: asked before every call, signed with "
        "`AUTHORIZE_SECRET`. Empty: everybody may call everybody.",
        "https://backend.example.com/may-call",
    )
    authorize_secret: str = _setting(
        "",
        "The secret that requests to `AUTHORIZE_URL` are signed with (HMAC-SHA256), at least 32 bytes.",
        "and-replace-me-with-what-openssl-rand-hex-32-gives",
        secret=True,
    )
    authorize_timeout_s: float = _setting(
        1.0, "How long the backend has for its answer. The caller waits.", "1", unit=Unit.SECONDS, ge=0.05, le=10
    )
    authorize_cache_s: float = _setting(
        10.0,
        "How long an answer of the backend is good for. A user who has been blocked can call for as long. 0: every "
        "call asks.",
        "10",
        unit=Unit.SECONDS,
        ge=0,
        le=3600,
    )
    authorize_on_failure: Literal["allow", "deny"] = _setting(
        "deny", "What happens to calls while the backend gives no answer: `allow` or `deny`.", "allow"
    )
    hide_presence: bool = _setting(
        False,
        "Whether users look offline to those who may not call them, in `user:status` and in the answer to a call, "
        "and to sockets that have not joined.",
        "true",
    )
    max_watched: int = _setting(
        256, "How many users a socket may watch; each costs 0.1 to 0.5 kB.", "256", unit=Unit.USERS, ge=1, le=10_000
    )
    stun_urls: str = _setting(
        "",
        "The STUN servers that clients are told of, separated by commas. Empty: none, and only clients in one network "
        "find each other, unless there is a TURN server, which is one too.",
        "stun:stun.example.com:3478",
    )
    turn_urls: str = _setting(
        "",
        "The TURN servers that clients are told of, separated by commas. With authentication on, only users with a "
        "token are.",
        "turn:turn.example.com:3478?transport=udp,turns:turn.example.com:5349?transport=tcp",
    )
    turn_secret: str = _setting(
        "",
        "The secret that is shared with the TURN servers (`static-auth-secret` of coturn), at least 32 bytes. Of "
        "several, separated by commas, the first makes passwords; the others are for the TURN servers, which accept "
        "all of them during a rotation.",
        "replace-me-too-with-what-openssl-rand-hex-32-gives",
        secret=True,
    )
    turn_ttl_s: int = _setting(
        600,
        "How long a password for the TURN servers opens a relay. One that is open stays so after that.",
        "600",
        unit=Unit.SECONDS,
        ge=60,
        le=86_400,
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
        10.0,
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
    limit_connects: str = _setting(
        "3000/10s",
        "How many connections one address may open in a time; more are answered 429 with Retry-After. 0 is no limit. "
        "Behind a proxy, set TRUSTED_PROXIES first: else all clients have one address.",
        "30/1s",
    )
    limit_events: str = _setting(
        "250/1s",
        "How many events one user may send in a time, over all his connections, or a socket that speaks for nobody; "
        "more are refused with `rate_limited`, and who goes on is disconnected with the code 4029. 0 is no limit.",
        "500/1s",
    )
    limit_events_per_address: str = _setting(
        "0",
        "The same for all connections of one address. 0 is no limit: thousands of phones can share an address.",
        "2000/1s",
    )
    limit_lookups: str = _setting(
        "5000/1m",
        "How many users one user may ask about in a time, with `user:status` (one) or `user:watch` (each that it "
        "names); more are refused with `rate_limited`. 0 is no limit.",
        "1000/1m",
    )
    limit_call_initiate: str = _setting(
        "60/1m",
        "How many calls one user may place in a time, and half as many to one callee; more are refused with "
        "`rate_limited`. 0 is no limit.",
        "10/1m",
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
        "How long a stop may take at the most. Clients are let go over half of it at the most, so that not all come to "
        "the other nodes at once; set it to a 100th of the clients of a node, if that is more.",
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
        secret=True,
    )
    redis_key_prefix: str = _setting(
        "signalling:", "What all keys in Redis begin with. Nodes with the same one share their users.", "staging:"
    )
    node_id: str = _setting(
        "", "What this node is called in Redis, before random letters, for people who look there.", "eu-west-1a"
    )
    node_lease_s: float = _setting(
        10.0,
        "After how long without a sign of life a node is taken for dead, its users for offline, its calls for lost.",
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
    call_records: str = _setting(
        "off",
        "Where one JSON line for each ended call goes: `off`, `stdout`, or the path of a file to append to.",
        "/var/log/signalling-calls.jsonl",
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
            check_origin(origin.strip())
        return value

    @field_validator("call_records")
    @classmethod
    def _records(cls, value: str) -> str:
        if value in ("off", "stdout") or Path(value).is_absolute():
            return value
        raise ValueError("must be off, stdout or a path from the root")

    @field_validator("redis_url")
    @classmethod
    def _redis(cls, value: str) -> str:
        if value:
            check_redis_url(value)
        return value

    @field_validator("node_id")
    @classmethod
    def _node(cls, value: str) -> str:
        if re.fullmatch(r"[A-Za-z0-9_.-]{0,64}", value):
            return value
        raise ValueError("must be at most 64 letters, digits, dots, dashes or underscores")

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value

    @field_validator("auth_jwks_url", "authorize_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value:
            check_url(value)
        return value

    @field_validator("stun_urls", "turn_urls")
    @classmethod
    def _ice_urls(cls, value: str, info: ValidationInfo) -> str:
        kind = str(info.field_name).removesuffix("_urls")
        if not all(re.fullmatch(rf"{kind}s?:{_ICE_HOST}", url) for url in split(value)):
            raise ValueError(f"each URL must be {kind}: or {kind}s:, a host, and at most a port and a transport")
        return value

    @field_validator("auth_jwt_secrets", "turn_secret", "authorize_secret", "admin_token")
    @classmethod
    def _secrets(cls, value: str) -> str:
        if value and any(len(secret.strip().encode()) < MIN_SECRET_BYTES for secret in value.split(",")):
            raise ValueError(f"each secret must have at least {MIN_SECRET_BYTES} bytes")
        return value

    @field_validator(
        "limit_connects", "limit_events", "limit_events_per_address", "limit_lookups", "limit_call_initiate"
    )
    @classmethod
    def _limit(cls, value: str) -> str:
        rate_of(value)
        return value

    @property
    def client_urls(self) -> tuple[str, ...]:
        """The origins of `CLIENT_URL`, each as a browser sends it."""
        return tuple(origin.strip().rstrip("/") for origin in self.client_url.split(","))

    @property
    def has_admin(self) -> bool:
        """Whether there is an admin API."""
        return bool(self.admin_token and self.admin_port)

    @property
    def can_authenticate(self) -> bool:
        """Whether there is anything to check a token with."""
        return bool(split(self.auth_jwt_secrets) or self.auth_jwks_url)
