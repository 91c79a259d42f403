from pathlib import Path

import pytest

from service.config import Settings
from service.domain.budget import UNLIMITED, Rate
from service.loading import ConfigError, load_settings
from service.values import rate_of


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path


def test_the_defaults_are_the_originals() -> None:
    settings = load_settings()
    assert (settings.port, settings.client_url, settings.client_urls) == (8001, "*", ("*",))
    assert (settings.ring_timeout_s, settings.reconnect_grace_s) == (30.0, 10.0)


def test_the_environment_wins_over_the_file(empty_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_directory / ".env").write_text("PORT=9001\nRING_TIMEOUT_S=12.5\nSOMEBODY_ELSES=1\n")
    monkeypatch.setenv("PORT", "9002")
    settings = load_settings()
    assert (settings.port, settings.ring_timeout_s) == (9002, 12.5)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "")
    assert load_settings().port == 8001


def test_several_origins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_URL", "https://a.example, http://localhost:3000/")
    assert load_settings().client_urls == ("https://a.example", "http://localhost:3000")


def test_the_log_level_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    assert load_settings().log_level == "warning"


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PORT", "http", "PORT: must be a valid integer, unable to parse string as an integer, for example PORT=8001"),
        ("PORT", "70000", "PORT: must be less than or equal to 65535, for example PORT=8001"),
        (
            "REDIS_URL",
            "http://redis",
            (
                "REDIS_URL: must start with redis://, rediss:// or redis+sentinel://, for example "
                "REDIS_URL=redis://:password@redis:6379/0"
            ),
        ),
        (
            "NODE_ID",
            "a b",
            "NODE_ID: must be at most 64 letters, digits, dots, dashes or underscores, for example NODE_ID=eu-west-1a",
        ),
        ("PORT", "0", "PORT: must be greater than or equal to 1, for example PORT=8001"),
        ("RING_TIMEOUT_S", "0", "RING_TIMEOUT_S: must be greater than 0, for example RING_TIMEOUT_S=30"),
        ("RING_TIMEOUT_S", "nan", "RING_TIMEOUT_S: must be less than or equal to 3600, for example RING_TIMEOUT_S=30"),
        (
            "LOG_LEVEL",
            "loud",
            "LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error', for example LOG_LEVEL=info",
        ),
        (
            "CLIENT_URL",
            "example.com",
            (
                "CLIENT_URL: each origin must be * or a scheme and a host without a path, "
                "for example CLIENT_URL=https://app.example.com"
            ),
        ),
        (
            "CLIENT_URL",
            "https://example.com/app",
            (
                "CLIENT_URL: each origin must be * or a scheme and a host without a path, "
                "for example CLIENT_URL=https://app.example.com"
            ),
        ),
    ],
)
def test_nonsense_is_one_line_that_names_the_variable_the_problem_and_an_example(
    name: str, value: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load_settings()
    assert str(error.value) == complaint


SECRET = "a secret of more than thirty-two bytes"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("AUTH_JWT_SECRETS", "x" * 31, "each secret must have at least 32 bytes"),
        ("AUTH_JWT_SECRETS", f"{SECRET},short", "each secret must have at least 32 bytes"),
        ("AUTH_JWT_SECRETS", ",", "each secret must have at least 32 bytes"),
        ("AUTH_JWKS_URL", "login.example.com/jwks.json", "must be a URL that starts with http:// or https://"),
        ("AUTH_JWKS_URL", "file:///etc/passwd", "must be a URL that starts with http:// or https://"),
        ("AUTH_JWKS_URL", "https://", "must be a URL that starts with http:// or https://"),
        ("AUTH_JWKS_URL", "https://login.example.com/a b", "must be a URL that starts with http:// or https://"),
        ("AUTH_JWKS_URL", "https://[::1/jwks.json", "must be a URL"),
        ("AUTH_JWKS_URL", "https://login.example.com:70000/", "must be a URL"),
        ("AUTH_JWKS_URL", "https://me:pass@example.com/", "must be a URL without user name, password and fragment"),
        ("AUTH_JWKS_URL", "https://example.com/#keys", "must be a URL without user name, password and fragment"),
        ("AUTH_LEEWAY_S", "301", "must be less than or equal to 300"),
        (
            "STUN_URLS",
            "stun.example.com",
            "each URL must be stun: or stuns:, a host, and at most a port and a transport",
        ),
        (
            "STUN_URLS",
            "turn:example.com",
            "each URL must be stun: or stuns:, a host, and at most a port and a transport",
        ),
        (
            "TURN_URLS",
            "turn:a.example,https://b.example",
            "each URL must be turn: or turns:, a host, and at most a port",
        ),
        ("TURN_URLS", "turn:me@example.com", "each URL must be turn: or turns:, a host, and at most a port"),
        (
            "TURN_URLS",
            "turn:example.com?transport=sctp",
            "each URL must be turn: or turns:, a host, and at most a port",
        ),
        ("TURN_SECRET", "short", "each secret must have at least 32 bytes"),
        ("AUTHORIZE_URL", "backend", "must be a URL that starts with http:// or https://"),
        ("AUTHORIZE_SECRET", "short", "each secret must have at least 32 bytes"),
        ("AUTHORIZE_TIMEOUT_S", "0", "must be greater than or equal to 0.05"),
        ("AUTHORIZE_ON_FAILURE", "maybe", "must be 'allow' or 'deny'"),
        ("TURN_TTL_S", "59", "must be greater than or equal to 60"),
        ("AUTH_REQUIRED", "perhaps", "must be a valid boolean, unable to interpret input"),
    ],
)
def test_trust_that_makes_no_sense(name: str, value: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        load_settings()
    assert str(error.value).startswith(f"{name}: {problem}")
    assert f", for example {name}=" in str(error.value)


def test_tokens_that_nothing_can_check_may_not_be_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_REQUIRED", "true")
    with pytest.raises(ConfigError, match=r"^AUTH_REQUIRED: .*; set AUTH_JWT_SECRETS or AUTH_JWKS_URL as well, or "):
        load_settings()
    for name, value in (("AUTH_JWT_SECRETS", SECRET), ("AUTH_JWKS_URL", "https://login.example.com/jwks.json")):
        with monkeypatch.context() as one:
            one.setenv(name, value)
            assert load_settings().can_authenticate


@pytest.mark.parametrize(
    ("name", "value", "pair"),
    [
        ("TURN_URLS", "turn:turn.example.com", "TURN_URLS and TURN_SECRET"),
        ("TURN_SECRET", SECRET, "TURN_URLS and TURN_SECRET"),
        ("AUTHORIZE_URL", "https://backend.example.com/", "AUTHORIZE_URL and AUTHORIZE_SECRET"),
        ("AUTHORIZE_SECRET", SECRET, "AUTHORIZE_URL and AUTHORIZE_SECRET"),
    ],
)
def test_what_shares_a_secret_needs_it_and_the_other_way_round(
    name: str, value: str, pair: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=rf"^{pair}: .*; set both or none$"):
        load_settings()


@pytest.mark.parametrize("url", ["turn:192.0.2.1", "turns:[2001:db8::1]:5349?transport=tcp", "turn:a-b.example:3478"])
def test_turn_urls_of_every_form(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURN_URLS", f"{url}, turn:turn.example.com")
    monkeypatch.setenv("TURN_SECRET", SECRET)
    assert load_settings().turn_urls.startswith(url)


@pytest.mark.parametrize("name", ["AUTH_JWT_SECRETS", "TURN_SECRET", "AUTHORIZE_SECRET"])
def test_secrets_are_shown_nowhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURN_URLS", "turn:turn.example.com")
    monkeypatch.setenv("TURN_SECRET", SECRET)
    monkeypatch.setenv("AUTHORIZE_URL", "https://backend.example.com/")
    monkeypatch.setenv("AUTHORIZE_SECRET", SECRET)
    monkeypatch.setenv(name, SECRET)
    assert SECRET not in repr(load_settings())
    monkeypatch.setenv(name, f"{SECRET},short")
    with pytest.raises(ConfigError) as error:
        load_settings()
    assert SECRET not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("limit", "rate"),
    [
        ("30/1s", Rate(30, 1.0)),
        ("10/m", Rate(10, 60.0)),
        ("5/2h", Rate(5, 7200.0)),
        ("3000/10s", Rate(3000, 10.0)),
        (" 1/s ", Rate(1, 1.0)),
        ("999999999/999999h", Rate(999_999_999, 999_999 * 3600.0)),
        ("0", UNLIMITED),
        (" 0 ", UNLIMITED),
    ],
)
def test_limits_are_a_count_in_a_period(limit: str, rate: Rate) -> None:
    assert rate_of(limit) == rate


@pytest.mark.parametrize("limit", ["0/1s", "0/h", "00/m"])
def test_a_count_of_nothing_is_no_limit_whatever_the_period(limit: str) -> None:
    assert rate_of(limit).number == UNLIMITED.number


BAD_LIMITS = [
    "", "30", "/s", "30/", "30/1", "30/0s", "30/00s", "30/000h", "-1/s", "30/-1s", "1.5/s", "30/1.5s", "30/1d", "30/1S",
    "30 / 1 s", "30/1s/2", "1000000000/s", "1/1000000s", "\u0663/s", "1_0/s", "nan/s", "00", "none",
]  # fmt: skip


@pytest.mark.parametrize("limit", BAD_LIMITS, ids=ascii)
def test_what_is_no_limit(limit: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a count and a period in s, m or h, or 0 for no limit$"):
        rate_of(limit)


@pytest.mark.parametrize("limit", ["30", "30/0s", "30/00s", "many"])
def test_a_limit_that_makes_no_sense_is_told_with_an_example(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIMIT_CONNECTS", limit)
    with pytest.raises(ConfigError) as error:
        load_settings()
    rule = "must be a count and a period in s, m or h, or 0 for no limit"
    assert str(error.value) == f"LIMIT_CONNECTS: {rule}, for example LIMIT_CONNECTS=30/1s"


def test_a_file_that_is_not_text(empty_directory: Path) -> None:
    (empty_directory / ".env").write_bytes(b"PORT=\xff\xfe")
    with pytest.raises(ConfigError, match=r"^\.env cannot be read \(it is not UTF-8 text\); mend it or take it away$"):
        load_settings()


def test_a_file_that_cannot_be_read(empty_directory: Path) -> None:
    (empty_directory / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"^\.env cannot be read \(Is a directory\); mend it or take it away$"):
        load_settings()


def test_every_setting_has_an_effect_and_an_example_that_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, field in Settings.model_fields.items():
        assert (field.description or "").endswith(".")
        assert isinstance(field.json_schema_extra, dict)
        monkeypatch.setenv(name.upper(), str(field.json_schema_extra["example"]))
    load_settings()


@pytest.mark.parametrize("place", ["nowhere/calls.jsonl", "."])
def test_call_records_need_a_directory(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL_RECORDS", str(tmp_path / place))
    with pytest.raises(ConfigError, match="CALL_RECORDS: must be a file in a directory that is there"):
        load_settings()
    monkeypatch.setenv("CALL_RECORDS", str(tmp_path / "calls.jsonl"))
    assert load_settings().call_records.endswith("calls.jsonl")
