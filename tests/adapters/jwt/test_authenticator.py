"""Tokens that are good, that were good, that will be good, and that somebody has tampered with."""

import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from service.adapters.jwt.authenticator import MAX_TOKEN_CHARS, Claims, JwtAuthenticator
from service.adapters.jwt.keys import RemoteKeys
from service.adapters.memory.clock import ManualClock
from service.domain.ids import UserId
from service.errors import AuthenticationError, TokenExpiredError, TokenInvalidError, TokenNotYetValidError
from service.ports import Identity
from tests.adapters.jwt.tokens import (
    AUDIENCE,
    ISSUER,
    NEW_SECRET,
    OLD_SECRET,
    USER,
    claims,
    forged,
    issuer_key,
    key_set,
    pem,
    secret_token,
)
from tests.support.backend import Backend, answer_with, http, running_backend

LEEWAY_S = 60


def authenticator(
    *secrets: str,
    backend: Backend | None = None,
    required: bool = True,
    issuer: str | None = ISSUER,
    audience: str | None = AUDIENCE,
    user: str = "sub",
) -> JwtAuthenticator:
    return JwtAuthenticator(
        secrets=secrets,
        keys=RemoteKeys(backend.url, ManualClock().now) if backend else None,
        claims=Claims(issuer=issuer, audience=audience, leeway_s=LEEWAY_S, user=user),
        required=required,
    )


async def judged(judge: JwtAuthenticator, token: object) -> Identity | type[AuthenticationError]:
    """Who the token makes its bearer, or why nobody."""
    try:
        return await judge.authenticate({"token": token})
    except AuthenticationError as refusal:
        return type(refusal)


# --- Good tokens -------------------------------------------------------------------------------------------


async def test_a_good_token_names_the_user_and_its_end() -> None:
    ends = int(time.time()) + 300
    identity = await authenticator(NEW_SECRET).authenticate({"token": secret_token(exp=ends)})
    assert identity == Identity(user=UserId(USER), expires_at_s=ends + LEEWAY_S)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_token_signed_with_a_key_of_the_issuer(algorithm: str) -> None:
    key = issuer_key(algorithm, "k1")
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(key)))
        identity = await authenticator(backend=backend).authenticate({"token": key.token()})
    assert identity.user == USER


async def test_during_rotation_both_secrets_are_good_and_after_it_one() -> None:
    tokens = [secret_token(OLD_SECRET), secret_token(NEW_SECRET)]
    both, only_new = authenticator(OLD_SECRET, NEW_SECRET), authenticator(NEW_SECRET)
    assert [(await both.authenticate({"token": token})).user for token in tokens] == [USER, USER]
    assert await judged(only_new, tokens[0]) is TokenInvalidError
    assert (await only_new.authenticate({"token": tokens[1]})).user == USER


async def test_secrets_and_keys_are_good_side_by_side() -> None:
    key = issuer_key("ES256", "k1")
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(key)))
        judge = authenticator(NEW_SECRET, backend=backend)
        for token in (key.token(), secret_token()):
            assert (await judge.authenticate({"token": token})).user == USER


async def test_the_user_may_stand_in_another_claim() -> None:
    judge = authenticator(NEW_SECRET, user="uid")
    assert (await judge.authenticate({"token": secret_token(uid="user-2")})).user == "user-2"


async def test_one_of_several_audiences() -> None:
    token = secret_token(aud=["other", AUDIENCE])
    assert (await authenticator(NEW_SECRET).authenticate({"token": token})).user == USER


async def test_without_issuer_and_audience_a_token_may_leave_them_out() -> None:
    judge = authenticator(NEW_SECRET, issuer=None, audience=None)
    assert (await judge.authenticate({"token": secret_token(iss=None, aud=None)})).user == USER


async def test_without_an_audience_a_token_for_somebody_else_is_refused() -> None:
    judge = authenticator(NEW_SECRET, issuer=None, audience=None)
    assert await judged(judge, secret_token()) is TokenInvalidError


# --- No token ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credentials", [None, {}, {"token": None}, [], "a.b.c", 5, {"Token": "a.b.c"}])
async def test_no_token_is_told_apart_from_a_bad_one(credentials: object) -> None:
    with pytest.raises(AuthenticationError) as refusal:
        await authenticator(NEW_SECRET).authenticate(credentials)
    assert type(refusal.value) is AuthenticationError
    assert await authenticator(NEW_SECRET, required=False).authenticate(credentials) == Identity()


async def test_a_bad_token_is_refused_where_none_is_required() -> None:
    assert await judged(authenticator(NEW_SECRET, required=False), "a.b.c") is TokenInvalidError


# --- Time --------------------------------------------------------------------------------------------------


async def test_the_leeway_at_both_edges() -> None:
    judge = authenticator(NEW_SECRET)
    now = int(time.time())  # the judge's own clock is at this or later, by less than the seconds that are spared below
    assert await judged(judge, secret_token(exp=now - LEEWAY_S)) is TokenExpiredError
    assert isinstance(await judged(judge, secret_token(exp=now - LEEWAY_S + 30)), Identity)
    for claim in ("nbf", "iat"):
        assert isinstance(await judged(judge, secret_token(NEW_SECRET, **{claim: now + LEEWAY_S})), Identity)
        assert await judged(judge, secret_token(NEW_SECRET, **{claim: now + LEEWAY_S + 30})) is TokenNotYetValidError


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["soon", [], {}, float("nan"), float("inf")])
async def test_a_time_that_is_none(claim: str, value: object) -> None:
    assert await judged(authenticator(NEW_SECRET), secret_token(NEW_SECRET, **{claim: value})) is TokenInvalidError


async def test_an_end_beyond_all_numbers() -> None:
    token = secret_token(exp=10**400)
    assert await judged(authenticator(NEW_SECRET), token) is TokenInvalidError


async def test_a_token_without_an_end_is_refused() -> None:
    assert await judged(authenticator(NEW_SECRET), secret_token(exp=None)) is TokenInvalidError


# --- Claims ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"iss": f"{ISSUER}/"},
        {"aud": "other"},
        {"aud": None},
        {"aud": []},
        {"aud": {AUDIENCE: True}},
        {"aud": [5]},
        {"aud": f"{AUDIENCE}2"},
        {"sub": None},
        {"sub": ""},
        {"sub": 5},
        {"sub": [USER]},
        {"sub": "x" * 129},
        {"sub": "\ud800"},
    ],
    ids=str,
)
async def test_claims_of_somebody_else_or_of_nobody(changes: dict[str, Any]) -> None:
    assert await judged(authenticator(NEW_SECRET), secret_token(**changes)) is TokenInvalidError


async def test_the_longest_user_id_is_good() -> None:
    identity = await authenticator(NEW_SECRET).authenticate({"token": secret_token(sub="x" * 128)})
    assert identity.user == "x" * 128


@pytest.mark.parametrize("value", [None, "", 5, True, [USER], "x" * 129])
async def test_another_user_claim_is_held_to_the_same(value: object) -> None:
    judge = authenticator(NEW_SECRET, user="uid")
    assert await judged(judge, secret_token(uid=value)) is TokenInvalidError


# --- Forgeries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "None", "NONE", "nOnE", "", None, 5, [], ["HS256"], "HS256 "])
@pytest.mark.parametrize("with_signature", [False, True])
async def test_no_algorithm_is_no_signature(name: object, *, with_signature: bool) -> None:
    token = forged({"alg": name, "typ": "JWT"}, claims(), NEW_SECRET.encode())
    if not with_signature:
        token = token.rsplit(".", 1)[0] + "."
    assert await judged(authenticator(NEW_SECRET), token) is TokenInvalidError


@pytest.mark.parametrize("name", ["HS384", "HS512"])
async def test_the_secret_with_another_algorithm(name: str) -> None:
    token = forged({"alg": name}, claims(), NEW_SECRET.encode(), f"sha{name[2:]}")
    assert await judged(authenticator(NEW_SECRET), token) is TokenInvalidError


@pytest.mark.parametrize("kid", ["k1", None])
async def test_the_public_key_as_a_shared_secret(kid: str | None) -> None:
    key = issuer_key("RS256", "k1")
    der = key.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    spellings = [pem(key.private), pem(key.private).strip(), der, json.dumps(key.public).encode(), key_set(key)]
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(key)))
        for judge in (authenticator(backend=backend), authenticator(NEW_SECRET, backend=backend)):
            assert isinstance(await judged(judge, key.token()), Identity)
            for secret in spellings:
                header = {"alg": "HS256"} | ({"kid": kid} if kid else {})
                assert await judged(judge, forged(header, claims(), secret)) is TokenInvalidError


@pytest.mark.parametrize("claimed", ["ES256", "EdDSA", "PS256", "RS384", "RS512", "ES384", "ES256K", "HS256", "none"])
async def test_a_key_verifies_nothing_but_its_own_algorithm(claimed: str) -> None:
    key = issuer_key("RS256", "k1")
    header, payload, signature = key.token().split(".")
    lie = base64url_encode(json.dumps({"alg": claimed, "kid": "k1"}).encode()).decode()
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(key)))
        judge = authenticator(NEW_SECRET, backend=backend)
        assert isinstance(await judged(judge, f"{header}.{payload}.{signature}"), Identity)
        assert await judged(judge, f"{lie}.{payload}.{signature}") is TokenInvalidError


@pytest.mark.parametrize("name", ["none", "PS256", "HS512", "", None, 5])
async def test_an_algorithm_that_no_key_has_troubles_nobody(name: object) -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(issuer_key("RS256", "k1"))))
        token = forged({"alg": name, "kid": "k1"}, claims())
        assert await judged(authenticator(backend=backend), token) is TokenInvalidError
        assert backend.asked == []


async def test_a_key_signs_in_the_name_of_another_key() -> None:
    known, thiefs = issuer_key("RS256", "k1"), issuer_key("RS256", "thief")
    token = jwt.encode(claims(), thiefs.private, "RS256", {"kid": "k1"})
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(known)))
        assert await judged(authenticator(backend=backend), token) is TokenInvalidError


async def test_keys_and_addresses_of_keys_in_a_header_are_not_looked_at() -> None:
    known, thiefs = issuer_key("RS256", "k1"), issuer_key("RS256", "thief")
    async with running_backend() as theirs, running_backend() as ours:
        theirs.answer = answer_with(http(key_set({**thiefs.public, "kid": "k1"}, thiefs)))
        ours.answer = answer_with(http(key_set(known)))
        judge = authenticator(NEW_SECRET, backend=ours)
        for injected in (
            {"jwk": thiefs.public},
            {"jku": theirs.url},
            {"x5u": theirs.url},
            {"x5c": ["MIIB"]},
            {"jku": theirs.url, "kid": "k1"},
            {"jku": theirs.url, "kid": "thief"},
            {"kid": theirs.url},
        ):
            token = jwt.encode(claims(), thiefs.private, "RS256", {"kid": "k1", **injected})
            with pytest.raises(AuthenticationError):
                await judge.authenticate({"token": token})
            symmetric = forged({"alg": "HS256", **injected}, claims(), b"")
            assert await judged(judge, symmetric) is TokenInvalidError
        assert theirs.asked == []


@pytest.mark.parametrize(
    "kid",
    [
        "/dev/null",
        "../../../../etc/passwd",
        "' UNION SELECT 'x' --",
        "http://127.0.0.1:1/",
        "$(id)",
        "\x00",
        "k1\x00",
        "",
        "K1",
        "x" * 4000,
    ],
)
async def test_a_key_id_is_a_name_and_nothing_else(kid: str) -> None:
    key = issuer_key("RS256", "k1")
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(key)))
        judge = authenticator(NEW_SECRET, backend=backend)
        for token in (
            jwt.encode(claims(), key.private, "RS256", {"kid": kid}),
            forged({"alg": "HS256", "kid": kid}, claims(), b""),
        ):
            assert await judged(judge, token) is TokenInvalidError


@pytest.mark.parametrize("kid", [5, True, [], {}, ["k1"], None])
async def test_a_key_id_that_is_no_text(kid: object) -> None:
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(issuer_key("RS256", "k1"))))
        token = forged({"alg": "RS256", "kid": kid}, claims())
        assert await judged(authenticator(backend=backend), token) is TokenInvalidError
        assert backend.asked == []


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256", "crit": ["exp"], "exp": 5},
        {"alg": "HS256", "crit": []},
        {"alg": "HS256", "b64": False, "crit": ["b64"]},
        {},
        [],
        "HS256",
        None,
        b"{",
        b"\xff\xfe",
        b"[" * 5000,
        b'{"alg":' + b"[" * 5000,
    ],
    ids=repr,
)
async def test_headers_that_cannot_be_followed(header: object) -> None:
    token = forged(header, claims(), NEW_SECRET.encode())
    assert await judged(authenticator(NEW_SECRET), token) is TokenInvalidError


@pytest.mark.parametrize("payload", [b"", b"{", b"[" * 5000, b"null", [], "text", b"\xff", b'{"exp":' + b"9" * 4301])
async def test_a_signed_payload_that_holds_no_claims(payload: object) -> None:
    token = forged({"alg": "HS256"}, payload, NEW_SECRET.encode())
    assert await judged(authenticator(NEW_SECRET), token) is TokenInvalidError


async def test_one_changed_character_is_noticed_wherever_it_stands() -> None:
    judge, token = authenticator(NEW_SECRET), secret_token()
    assert isinstance(await judged(judge, token), Identity)
    for place, was in enumerate(token):
        changed = token[:place] + ("A" if was != "A" else "B") + token[place + 1 :]
        with pytest.raises(AuthenticationError):
            await judge.authenticate({"token": changed})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
HEADER_NAMES = st.sampled_from(["alg", "typ", "kid", "crit", "b64", "jwk", "jku", "cty", "zip"])
CLAIM_NAMES = st.sampled_from(["sub", "iss", "aud", "exp", "nbf", "iat", "jti"])


@given(header=st.dictionaries(HEADER_NAMES, JSON), said=st.dictionaries(CLAIM_NAMES, JSON))
async def test_whatever_is_signed_is_judged(header: dict[str, Any], said: dict[str, Any]) -> None:
    token = forged({"alg": "HS256", **header}, {**claims(), **said}, NEW_SECRET.encode())
    verdict = await judged(authenticator(NEW_SECRET), token)
    if isinstance(verdict, Identity):
        assert verdict.user == {"sub": USER, **said}["sub"]


async def test_a_short_key_of_the_issuer_is_not_trusted() -> None:
    private = rsa.generate_private_key(65537, 1024)  # noqa: S505 - this is what is refused
    entry = {**jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "short"}
    entry.pop("key_ops", None)
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = jwt.encode(claims(), private, "RS256", {"kid": "short"})
    async with running_backend() as backend:
        backend.answer = answer_with(http(key_set(entry)))
        assert await judged(authenticator(backend=backend), token) is TokenInvalidError


@pytest.mark.parametrize(
    "token",
    [
        5,
        True,
        [],
        {},
        b"a.b.c",
        ["a.b.c"],
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        "not a token",
        "\ud800.\ud800.\ud800",
        "é.é.é",
        "\x00",
    ],
    ids=repr,
)
async def test_garbage(token: object) -> None:
    assert await judged(authenticator(NEW_SECRET), token) is TokenInvalidError


async def test_a_token_that_is_too_long_is_refused_unread() -> None:
    judge = authenticator(NEW_SECRET)
    room = MAX_TOKEN_CHARS - len(secret_token(pad="")) - 8
    longest = secret_token(pad="x" * (room * 3 // 4))
    assert MAX_TOKEN_CHARS - 16 < len(longest) <= MAX_TOKEN_CHARS
    assert isinstance(await judged(judge, longest), Identity)
    too_long = secret_token(pad="x" * MAX_TOKEN_CHARS)
    assert await judged(judge, too_long) is TokenInvalidError
    assert await judged(judge, "x" * 10_000_000) is TokenInvalidError
