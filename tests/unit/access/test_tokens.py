"""SynchWeb's tokens: what counts, and what never does."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from pydantic import SecretStr

from app.access.tokens import TokenInvalid, issue, login_of
from tests.synchweb.replay import JWT_KEY, signed

KEY = SecretStr(JWT_KEY)
GOOD: dict[str, Any] = {"typ": "JWT", "alg": "HS512"}
ADA: dict[str, Any] = {"data": {"login": "ada"}}


def test_a_token_names_its_login() -> None:
    assert login_of(signed(GOOD, ADA, JWT_KEY), KEY) == "ada"


def test_a_token_that_we_issue_is_one_of_synchwebs() -> None:
    assert login_of(issue("ada", KEY, seconds=60), KEY) == "ada"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT", "alg": "none"},
        {"typ": "JWT", "alg": "None"},
        {"typ": "JWT", "alg": "HS256"},
        {"typ": "JWT", "alg": "HS384"},
        {"typ": "JWT", "alg": "RS512"},
        {"typ": "JWT", "alg": ""},
        {"typ": "JWT", "alg": "hs512"},
        {"typ": "JWT", "alg": ["HS512"]},
    ],
    ids=lambda header: str(header["alg"]),
)
def test_another_algorithm_is_refused_whatever_the_header_says(header: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        login_of(signed(header, ADA, JWT_KEY), KEY)


def test_the_signature_of_the_right_algorithm_under_another_name_is_refused() -> None:
    head, body, signature = signed(GOOD, ADA, JWT_KEY).split(".")
    for algorithm in ("none", "HS256"):
        other = base64.urlsafe_b64encode(json.dumps({"typ": "JWT", "alg": algorithm}).encode()).rstrip(b"=").decode()
        for ending in ("", signature):
            with pytest.raises(TokenInvalid):
                login_of(f"{other}.{body}.{ending}", KEY)
    assert head != other


@pytest.mark.parametrize("kid", ["../../../../dev/null", "/etc/hostname", "key' UNION SELECT 'x", "", 0, None, ["a"]])
def test_a_key_id_chooses_no_other_key(kid: Any) -> None:
    """The key an attacker would want to be used: that of the file, nothing, or the text itself."""
    for key in ("", "x", str(kid)):
        with pytest.raises(TokenInvalid):
            login_of(signed({**GOOD, "kid": kid, "jku": "http://127.0.0.1/", "jwk": {"k": ""}}, ADA, key), KEY)


@pytest.mark.parametrize("key", ["", "wrong", JWT_KEY + "=", JWT_KEY.lower(), "undecoded"])
def test_another_key_is_refused(key: str) -> None:
    key = base64.b64decode(JWT_KEY).decode() if key == "undecoded" else key

    with pytest.raises(TokenInvalid):
        login_of(signed(GOOD, ADA, key), KEY)


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -1},
        {"exp": 0},
        {"nbf": 60},
        {"iat": 60},
        {"nbf": 60, "exp": 3600},
        {"exp": "soon"},
        {"exp": None},
        {"nbf": "later"},
        {"iat": []},
        {"exp": 1e400},
    ],
    ids=str,
)
def test_a_token_out_of_its_time_is_refused_without_leeway(claims: dict[str, Any]) -> None:
    now = int(time.time())
    times = {name: now + value if type(value) is int else value for name, value in claims.items()}

    with pytest.raises(TokenInvalid):
        login_of(signed(GOOD, ADA | times, JWT_KEY), KEY)


@pytest.mark.parametrize(
    "claims",
    [{}, {"data": None}, {"data": "ada"}, {"data": {}}, {"data": {"login": None}}, {"data": {"login": ""}},
     {"data": {"login": 7}}, {"data": {"login": ["ada"]}}, {"login": "ada"}, {"sub": "ada"}],
    ids=str,
)  # fmt: skip
def test_a_token_that_names_nobody_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenInvalid):
        login_of(signed(GOOD, claims, JWT_KEY), KEY)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "a.b.c", "é.é.é", "\0.\0.\0", "null", "a" * 60_000, "." * 60_000, "e30.e30.",
     base64.urlsafe_b64encode(b"[" * 40_000).decode() + ".e30.x", "bnVsbA.bnVsbA.bnVsbA"],
    ids=lambda text: ascii(text[:12]),
)  # fmt: skip
def test_what_is_no_token_is_refused_and_breaks_nothing(text: str) -> None:
    with pytest.raises(TokenInvalid):
        login_of(text, KEY)


def test_further_claims_are_not_looked_at() -> None:
    claims = ADA | {"aud": "elsewhere", "iss": 5, "jti": 7, "sub": {"a": 1}}

    assert login_of(signed(GOOD, claims, JWT_KEY), KEY) == "ada"
