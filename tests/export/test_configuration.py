"""`docs/configuration.md` and `.env.example`: every setting, and values that the server takes."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, Field

from service.config import Settings
from service.export.configuration import (
    configuration_reference,
    env_example,
    limits_text,
    raw_default,
    type_text,
    variable,
)
from tests.export.markdown import blocks, dead_links, rows, sections

TEXT = configuration_reference()
SECTIONS = sections(TEXT, 3)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(variable(name), raising=False)


def read_env(folder: Path, text: str) -> Settings:
    """The settings that a `.env` file comes to."""
    path = folder / ".env"
    path.write_text(text, encoding="utf-8")
    return Settings(_env_file=path)  # type: ignore[call-arg]


def test_every_link_leads_somewhere() -> None:
    assert dead_links(TEXT) == set()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_overview_and_has_a_section(name: str) -> None:
    field = Settings.model_fields[name]
    row = next(row for row in rows(TEXT) if row[0].startswith(f"[{variable(name)}]"))
    assert row[3] in (f"`{raw_default(field)}`", "not set")
    section = SECTIONS[variable(name)]
    assert str(field.description) in section
    for fact in filter(None, (row[1], row[2], row[4])):
        assert f": {fact}\n" in section


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_example_is_a_value_that_the_server_takes(name: str, tmp_path: Path) -> None:
    (example,) = blocks(SECTIONS[variable(name)], "sh")
    assert example.startswith(f"{variable(name)}=")
    read_env(tmp_path, example)


def test_the_copied_env_file_names_every_setting_and_changes_none(tmp_path: Path) -> None:
    text = env_example()
    assert read_env(tmp_path, text) == Settings(_env_file=None)  # type: ignore[call-arg]
    named = [line.split("=", 1)[0] for line in text.splitlines() if line and not line.startswith("#")]
    assert named == [variable(name) for name in Settings.model_fields]


def test_a_changed_line_of_the_copied_env_file_counts(tmp_path: Path) -> None:
    assert read_env(tmp_path, env_example().replace("PORT=8001", "PORT=9001")).port == 9001


class Sample(BaseModel):
    """One field of every kind that a setting may have."""

    url: str | None = None
    level: Literal["low", "high"] = "low"
    share: float = Field(0.25, gt=0, lt=1)
    count: int = Field(3, ge=1)
    names: tuple[str, ...] = ()
    secret: str = Field("", min_length=0, max_length=8)


def test_types_limits_and_defaults_are_said_in_words() -> None:
    said = {
        name: (type_text(field), limits_text(field), raw_default(field)) for name, field in Sample.model_fields.items()
    }
    assert said == {
        "url": ("text", "", ""),
        "level": ("`low`, `high`", "", "low"),
        "share": ("number", "more than 0, less than 1", "0.25"),
        "count": ("whole number", "at least 1", "3"),
        "names": ("text", "", "[]"),
        "secret": ("text", "at least 0 characters, at most 8 characters", ""),
    }
