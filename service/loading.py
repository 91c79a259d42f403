"""Reading the settings when the server starts, and saying in one line what is wrong with them."""

from pathlib import Path

from pydantic import ValidationError

from service.config import ENV_FILE, Settings


class ConfigError(Exception):
    """The start cannot go on with these settings. The message is one line for the person who starts it."""


def load_settings() -> Settings:
    """Read the settings.

    Raises:
        ConfigError: `.env` cannot be read, or a value is unusable, alone or together with others; names the
            variable, the problem and an example.
    """
    try:
        if ENV_FILE.exists():
            ENV_FILE.read_text(encoding="utf-8")
        settings = Settings()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f".env cannot be read ({reason}); mend it or take it away") from None
    except ValidationError as error:
        raise ConfigError(_first_problem(error)) from None
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if settings.auth_required and not settings.can_authenticate:
        raise ConfigError(
            "AUTH_REQUIRED: nobody could connect without anything to check tokens with; set AUTH_JWT_SECRETS or "
            "AUTH_JWKS_URL as well, or AUTH_REQUIRED=false"
        )
    records = Path(settings.call_records)
    if records.is_absolute() and (records.is_dir() or not records.parent.is_dir()):
        raise ConfigError("CALL_RECORDS: must be a file in a directory that is there; make it, or name another")
    if bool(settings.turn_urls) != bool(settings.turn_secret):
        raise ConfigError("TURN_URLS and TURN_SECRET: each is of use only with the other; set both or none")
    if bool(settings.authorize_url) != bool(settings.authorize_secret):
        raise ConfigError("AUTHORIZE_URL and AUTHORIZE_SECRET: each is of use only with the other; set both or none")


def _first_problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0])
    extra = Settings.model_fields[name].json_schema_extra
    example = extra["example"] if isinstance(extra, dict) else ""
    problem = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    problem = problem if "must" in problem else f"must be {problem}"
    return f"{name.upper()}: {problem}, for example {name.upper()}={example}"
