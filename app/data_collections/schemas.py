"""Native bodies about data collections."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from app.http.schemas import Body, Request

Text = Annotated[str, Field(strict=True, min_length=1, max_length=255)]


class MoviesBody(Request):
    """Which movies: a directory, and either the acquisition software with a suffix or a template."""

    image_directory: Text = Field(
        description="relative to the visit's directory, or absolute below it", examples=["raw"]
    )
    acquisition_software: Text | None = Field(None, description="EPU or SerialEM; with imageSuffix", examples=["EPU"])
    image_suffix: Text | None = Field(None, description="tif, tiff, mrc or eer", examples=["tiff"])
    file_template: Text | None = Field(
        None,
        description="relative to imageDirectory, instead of the two; * and ? match within one level",
        examples=["Supervisor_*/GridSquare_*/Data/*.tiff"],
    )


class DataCollectionBody(Body):
    """A data collection as ISPyB has it."""

    data_collection_id: int = Field(examples=[6018191])
    visit: str = Field(examples=["cm28212-1"])
    image_directory: str | None
    file_template: str | None
    image_prefix: str | None
    image_suffix: str | None
    data_collection_number: int | None
    start_time: datetime | None
    end_time: datetime | None
    run_status: str | None
    comments: str | None
