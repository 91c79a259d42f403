import pytest

from service.transport.origins import PREFLIGHT_AGE_S, Origins

APP, OTHER = "https://app.example", "http://localhost:3000"
EVIL = "https://evil.example"
ASKING = {"access-control-request-headers": "content-type,x-other"}
METHODS = "GET, POST, OPTIONS"


def test_with_a_star_everybody_is_welcome_and_nobody_has_credentials() -> None:
    origins = Origins(["*"])
    for origin in (APP, EVIL, "null"):
        assert origins.welcomes(origin)
        assert origins.headers(origin) == {"access-control-allow-origin": "*"}


def test_a_star_among_others_is_a_star() -> None:
    assert Origins([APP, "*"]).headers(EVIL) == {"access-control-allow-origin": "*"}


@pytest.mark.parametrize("origin", [APP, OTHER])
def test_who_is_listed_is_welcome_by_name(origin: str) -> None:
    origins = Origins([APP, OTHER])
    assert origins.welcomes(origin)
    assert origins.headers(origin) == {
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "vary": "Origin",
    }


@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", "", "https://app.example.evil.example", "http://app.example", f"{APP}:8443", f"{APP}/", "*"],
)
def test_who_is_not_listed_is_not_welcome_and_told_nothing(origin: str) -> None:
    origins = Origins([APP, OTHER])
    assert not origins.welcomes(origin)
    assert origins.headers(origin) == {}
    assert origins.preflight(origin, ASKING) == {}


@pytest.mark.parametrize("allowed", [["*"], [APP]])
def test_programs_send_no_origin_and_need_no_headers(allowed: list[str]) -> None:
    origins = Origins(allowed)
    assert origins.welcomes(None)
    assert origins.headers(None) == {}
    assert origins.preflight(None, ASKING) == {}


@pytest.mark.parametrize("allowed", [["*"], [APP]])
def test_a_preflight_is_told_the_methods_the_headers_it_asked_for_and_how_long_it_holds(allowed: list[str]) -> None:
    origins = Origins(allowed)
    told = {"access-control-allow-methods": METHODS, "access-control-max-age": PREFLIGHT_AGE_S}
    assert origins.preflight(APP, {}) == {**origins.headers(APP), **told}
    asked = {"access-control-allow-headers": "content-type,x-other"}
    assert origins.preflight(APP, ASKING) == {**origins.headers(APP), **told, **asked}
