"""What can go wrong, in families. Nothing here knows of HTTP.

EMError
├── NotAuthenticated  nobody knows who is asking
├── NotFound          what was named does not exist, or is not for this person to see
├── Forbidden         it exists, but this person may not do that to it
├── Conflict          the state of things does not allow it now
├── Invalid           the request itself is wrong; ``errors`` names each field
│   ├── TooLarge      ... because it is too big to be read
│   └── BehindTheEnd  ... because a file has no such part
└── Unavailable       something that we depend on does not answer; try again
SettingsError         the service cannot start like this (not an EMError: nobody is asking yet)

Leaves live beside the code that raises them. A leaf's docstring is its meaning, its ``detail`` the
sentence that a person reads, and ``context`` what a program may want to know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One field of a request that is wrong, named as the client wrote it (``parameters.pixelSize``)."""

    field: str
    message: str


class EMError(Exception):
    """Something that a caller should be told."""

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = (), **context: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.context = context

    @classmethod
    def kind(cls) -> str:
        """The stable name of this kind of error: its class in kebab-case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


class NotAuthenticated(EMError):
    """Nobody knows who is asking: there is no token, or one that does not count."""


class NotFound(EMError):
    """What was named does not exist, or this person may not see it.

    Attributes:
        hidden: it exists. Only SynchWeb is told so, as ``EM.php`` did; to the native API both are one.
    """

    hidden = False


class Forbidden(EMError):
    """This person may not do that."""


class Conflict(EMError):
    """The present state of things does not allow it."""


class Invalid(EMError):
    """The request is wrong."""


class TooLarge(Invalid):
    """The request's body is too big to be read."""


class BehindTheEnd(Invalid):
    """A part of a file was asked for that it does not have; ``context["fileSize"]`` is its size in bytes."""


class Unavailable(EMError):
    """Something that the service depends on does not answer; nothing was changed; try again."""


class SettingsError(Exception):
    """The settings do not let the service start: one sentence for each thing that is wrong."""

    def __init__(self, *sentences: str) -> None:
        super().__init__("\n".join(sentences))
        self.sentences = sentences
