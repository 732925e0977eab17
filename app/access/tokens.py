"""SynchWeb's tokens: JWTs signed with the key that both sides hold."""

from __future__ import annotations

import logging
import time
import uuid
import warnings

import jwt
from pydantic import SecretStr

from app.errors import NotAuthenticated

log = logging.getLogger(__name__)

ALGORITHM = "HS512"  # the only one, whatever a token's own header says

# Further claims of SynchWeb's (`jti`, `iss`) are not checked there either. No leeway: both clocks are the facility's.
# How long the key is, is SynchWeb's to decide; the settings refuse one that could be guessed.
warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)

OPTIONS = {
    "verify_exp": True,
    "verify_nbf": True,
    "verify_iat": True,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


class TokenInvalid(NotAuthenticated):
    """There is no token, or one that does not count (any more)."""


def login_of(token: str, key: SecretStr) -> str:
    """The login that a token was given to.

    Raises:
        TokenInvalid: it is not signed with this key, out of its time, or names nobody.
    """
    try:
        claims = jwt.decode(token, key.get_secret_value(), algorithms=[ALGORITHM], options=OPTIONS)  # type: ignore[arg-type]
    except jwt.ExpiredSignatureError as error:
        log.info("a token was refused: it has expired")
        raise TokenInvalid("Your session has expired. Log in again.") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        # For who sets the service up; whoever sent it learns no more than that it is not valid.
        log.info("a token was refused: %s (is EM_AUTH__JWT_KEY SynchWeb's $jwt_key?)", error)
        raise TokenInvalid("This token is not valid. Log in again.") from error
    data = claims.get("data")
    login = data.get("login") if isinstance(data, dict) else None
    if not isinstance(login, str) or not login:
        log.info("a token was refused: it names no login")
        raise TokenInvalid("This token names nobody. Log in again.")
    return login


def issue(login: str, key: SecretStr, *, seconds: float) -> str:
    """A token as SynchWeb would issue it, for scripts of the facility and for tests."""
    now = int(time.time())
    claims = {
        "iat": now,
        "nbf": now,
        "exp": now + int(seconds),
        "jti": str(uuid.uuid4()),
        "iss": "synchweb-em",
        "data": {"login": login},
    }
    return jwt.encode(claims, key.get_secret_value(), algorithm=ALGORITHM)
