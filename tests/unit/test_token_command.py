"""``synchweb-em token``: for the facility's scripts and for trying the demo."""

from __future__ import annotations

import time

import jwt
import pytest
from pydantic import SecretStr

from app.access import tokens
from tests.support import commands

KEY = "k" * 64


def test_the_token_is_one_that_the_service_accepts() -> None:
    ended = commands.run({"EM_AUTH__JWT_KEY": KEY}, "token", "rsx12345")

    assert (ended.code, ended.err) == (0, [])
    assert tokens.login_of(ended.out.removesuffix("\n"), SecretStr(KEY)) == "rsx12345"


@pytest.mark.parametrize(("options", "hours"), [((), 1), (("--hours", "12"), 12)])
def test_it_counts_for_as_long_as_asked_and_an_hour_unless_told(options: tuple[str, ...], hours: int) -> None:
    ended = commands.run({"EM_AUTH__JWT_KEY": KEY}, "token", "rsx12345", *options)

    claims = jwt.decode(ended.out.strip(), KEY, algorithms=["HS512"])
    assert claims["exp"] == pytest.approx(time.time() + hours * 3600, abs=30)


def test_without_the_key_it_is_refused_with_a_sentence() -> None:
    ended = commands.run({}, "token", "rsx12345")

    assert (ended.code, ended.out) == (78, "")
    assert ended.err == ["EM_AUTH__JWT_KEY is not set: a token is signed with SynchWeb's $jwt_key."]


@pytest.mark.parametrize(
    "words", [(), ("",), ("rsx12345 ",), ("rsx12345", "--hours", "0"), ("rsx12345", "--hours", "169")]
)
def test_what_makes_no_token_is_a_usage_error(words: tuple[str, ...]) -> None:
    ended = commands.run({"EM_AUTH__JWT_KEY": KEY}, "token", *words)

    assert (ended.code, ended.out) == (64, "")


def test_its_help_says_how_long_a_token_counts() -> None:
    assert "(default 1)" in commands.run({}, "token", "--help").out
