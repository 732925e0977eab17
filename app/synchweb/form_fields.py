"""What a field of SynchWeb's forms is: how its schema tells it, and how what was posted is checked.

The rules are those of ``EM.php``. A field is looked at when it is required, when what it depends on holds, or when it
is optional and given; every other field is ignored, whatever the client sent. All bad fields are named at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from app.data_collections.rules import comments_misfit
from app.errors import FieldError, Invalid

Value = bool | Decimal | str
Required = bool | Literal["optional"] | Mapping[str, bool | str]

BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
# A decimal, with an exponent if need be; 40 digits are more than anything here can mean.
NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,2})?")
PATTERNS = {
    "filename": (
        re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_]{3,4}"),
        "must be a file name of letters, digits, '_' and '-', with an extension of 3 or 4 characters",
    ),
    # A line feed at the end is let through, as EM.php did: there is no such directory, and that is told on all three
    # fields that say together which movies are meant.
    "directory": (re.compile(r"[A-Za-z0-9_-]+\n?"), "may have letters, digits, '_' and '-' only"),
}


class FormInvalid(Invalid):
    """Some fields of a form are not valid; ``errors`` names each by its key in the form."""


@dataclass(frozen=True)
class Field:
    """One field of a form.

    Args:
        required: always, never (it is then never taken from a client), ``"optional"``, or if all the other fields
            named here have these values.
        description: further sentences.
        display: ``False`` if it is not on the screen, ``"notBlank"`` if it is only when it has a value.
        comment: a text of several lines for ISPyB's ``comments``.
    """

    key: str
    label: str | None = None
    unit: str | None = None
    required: Required = False
    description: tuple[str, ...] | None = None
    default: bool | str | None = None
    options: tuple[str, ...] | None = None
    display_options: tuple[str, ...] | None = None
    pattern: Literal["filename", "directory"] | None = None
    type: Literal["boolean", "integer", "real"] | None = None
    minimum: float | None = None
    maximum: float | None = None
    less_than: str | None = None
    greater_than: str | None = None
    display: Literal[False, "notBlank"] | None = None
    comment: bool = False

    def schema(self) -> dict[str, Any]:
        """What the frontend is told of it."""
        told: dict[str, Any] = {
            "label": self.label,
            "unit": self.unit,
            "extraDescription": self.description,
            "default": self.default,
            "required": self.required,
            "options": self.options,
            "displayOptions": self.display_options,
            "pattern": self.pattern,
            "display": self.display,
            "minValue": self.minimum,
            "maxValue": self.maximum,
            "lessThan": self.less_than,
            "greaterThan": self.greater_than,
            "type": self.type,
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in told.items()
            if value is not None
        }


def schema(fields: Sequence[Field]) -> dict[str, dict[str, Any]]:
    """A form, its fields in the order on the screen."""
    return {field.key: field.schema() for field in fields}


def check(fields: Sequence[Field], posted: Mapping[str, object], known: Mapping[str, str]) -> dict[str, Value]:
    """The values of all fields that are looked at.

    Args:
        known: values that the service knows, whatever the client says of them.

    Raises:
        FormInvalid: naming every field that is wrong.
    """
    form = _Posted({field.key: field for field in fields}, {**posted, **known})
    values: dict[str, Value] = {}
    errors = []
    for field in fields:
        if not form.looks_at(field):
            continue
        try:
            values[field.key] = form.read(field)
        except ValueError as error:
            errors.append(FieldError(field.key, str(error)))
    if errors:
        raise FormInvalid(
            "Some fields are not valid. Nothing was changed; correct them and send the form again.", errors=errors
        )
    return values


@dataclass(frozen=True)
class _Posted:
    fields: Mapping[str, Field]
    values: Mapping[str, object]

    def looks_at(self, field: Field) -> bool:
        if field.required == "optional":
            return self.values.get(field.key) not in (None, "")
        if isinstance(field.required, bool):
            return field.required
        return all(self._is(other, value) for other, value in field.required.items())

    def _is(self, key: str, wanted: bool | str) -> bool:
        value = self.values.get(key)
        if self.fields[key].type == "boolean":  # what cannot be read counts as false
            return (read_boolean(value) or False) is wanted
        return value == wanted

    def read(self, field: Field) -> Value:
        value = self.values.get(field.key)
        if value is None or value == "":
            raise ValueError("is required")
        if field.type == "boolean":
            if (answer := read_boolean(value)) is None:
                raise ValueError("must be true or false")
            return answer
        if field.options is not None:
            value = _option(field, value)
        if field.type is None:
            return _text(field, value)
        number = read_number(value)
        if number is None:
            raise ValueError("must be a number, such as 0.831")
        if field.type == "integer" and number != number.to_integral_value():
            raise ValueError("must be a whole number")
        self._require_within(field, number)
        return number

    def _require_within(self, field: Field, number: Decimal) -> None:
        unit = f" {field.unit}" if field.unit else ""
        if field.minimum is not None and number < Decimal(str(field.minimum)):
            raise ValueError(f"must be at least {field.minimum}{unit}")
        if field.maximum is not None and number > Decimal(str(field.maximum)):
            raise ValueError(f"must be at most {field.maximum}{unit}")
        # One that is missing or unreadable counts as 0, as in EM.php, so that both fields of a pair are marked.
        if field.less_than is not None and number >= (read_number(self.values.get(field.less_than)) or 0):
            raise ValueError(f"must be less than {self.fields[field.less_than].label}")
        if field.greater_than is not None and number <= (read_number(self.values.get(field.greater_than)) or 0):
            raise ValueError(f"must be greater than {self.fields[field.greater_than].label}")


def read_boolean(value: object) -> bool | None:
    """``true``, ``"true"``, ``"1"``, 1 and their opposites; nothing else is one."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return {1: True, 0: False}.get(value)
    return BOOLEANS.get(value) if isinstance(value, str) else None


def read_number(value: object) -> Decimal | None:
    """A JSON number, or the text of a plain decimal with spaces around it at most."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(str(value)) if math.isfinite(value) else None
    if isinstance(value, str) and NUMBER.fullmatch(text := value.strip(" ")):
        return Decimal(text)
    return None


def _option(field: Field, value: object) -> str:
    """The option that was chosen. Options are texts; the number 300 chooses "300"."""
    assert field.options is not None
    if isinstance(value, str):
        chosen = value if value in field.options else None
    else:
        number = read_number(value)
        chosen = next(
            (option for option in field.options if number is not None and read_number(option) == number), None
        )
    if chosen is None:
        unit = f" {field.unit}" if field.unit else ""
        one_of = "" if len(field.options) == 1 else "one of "
        raise ValueError(f"must be {one_of}{', '.join(field.options)}{unit}")
    return chosen


def _text(field: Field, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text")
    if field.pattern is not None:
        pattern, message = PATTERNS[field.pattern]
        if not pattern.fullmatch(value):
            raise ValueError(message)
    if field.comment and (reason := comments_misfit(value)):
        raise ValueError(reason)
    return value
