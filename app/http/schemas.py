"""What all native bodies have in common: ISPyB's camelCase, and lists with their total."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

T = TypeVar("T")

PREFIX = "/api/em/v1"  # of the native API
MAX_ID = 2**31 - 1  # ISPyB's INTEGER columns


class Body(BaseModel):
    """An answer."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)


class Request(BaseModel):
    """A request's body: a name that is not known is an error."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="forbid", validate_by_name=False)


class Page(Body, Generic[T]):
    """One page of a list."""

    total: int
    items: list[T]


JobId = Annotated[int, Path(ge=1, le=MAX_ID, description="ISPyB's processingJobId", examples=[6611642])]
Dcid = Annotated[int, Path(ge=1, le=MAX_ID, description="ISPyB's dataCollectionId", examples=[6018191])]
VisitText = Annotated[
    str, Path(max_length=32, description="proposal and visit number, such as cm28212-1", examples=["cm28212-1"])
]
Limit = Annotated[int, Query(ge=1, le=500, description="items on one page")]
PageNumber = Annotated[int, Query(ge=1, le=1_000_000, description="page, from 1")]
