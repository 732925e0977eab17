"""What is said about a parameter beside its type: its name in the pipeline, and how SynchWeb's form shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

SUFFIX = "suffix"  # in a condition: the movies' suffix, which is no parameter


@dataclass(frozen=True)
class Pipeline:
    """How a parameter is called in the pipeline, its unit, and when it applies. What does not apply is not written.

    Args:
        only_if: the other parameters (by their names in the model) and the values that they must all have.
        when: the same in words.
    """

    key: str
    unit: str | None = None
    only_if: Mapping[str, bool | str] = field(default_factory=dict)
    when: str | None = None


@dataclass(frozen=True)
class Form:
    """How SynchWeb's form shows a parameter and what it takes.

    Key, unit, limits, default and condition are the parameter's own; here stands what the form has besides, or has
    otherwise.

    Args:
        type: as the form names it; ``None`` where only options or a pattern are checked.
        default: instead of the parameter's own.
        limits: instead of the parameter's own, lowest and highest.
        below, above: the parameter that must have the larger, or the smaller, value.
        only_if: the form's own switches that must be on as well.
        lacks: what of the parameter's own the form does not show.
    """

    label: str
    type: Literal["boolean", "integer", "real"] | None = None
    default: bool | None = None
    options: tuple[str, ...] | None = None
    display_options: tuple[str, ...] | None = None
    limits: tuple[float | None, float | None] | None = None
    below: str | None = None
    above: str | None = None
    pattern: Literal["filename"] | None = None
    only_if: Mapping[str, bool] = field(default_factory=dict)
    lacks: Literal["unit", "default"] | None = None
    description: tuple[str, ...] | None = None
