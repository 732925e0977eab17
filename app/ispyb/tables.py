"""The tables of ISPyB that we use. Columns are selected one by one: the package's models can be ahead of a server.

The names are ISPyB's own. We read and insert rows, change one comment, and use up one-time tokens; we never change a
table.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from ispyb.sqlalchemy import Base

metadata = Base.metadata


def _table(name: str) -> sa.Table:
    return metadata.tables[name]


AdminVar = _table("AdminVar")
AutoProcProgram = _table("AutoProcProgram")
AutoProcProgramAttachment = _table("AutoProcProgramAttachment")
BLSession = _table("BLSession")
CTF = _table("CTF")
CryoemInitialModel = _table("CryoemInitialModel")
DataCollection = _table("DataCollection")
DataCollectionComment = _table("DataCollectionComment")
DataCollectionFileAttachment = _table("DataCollectionFileAttachment")
DataCollectionGroup = _table("DataCollectionGroup")
MotionCorrection = _table("MotionCorrection")
Movie = _table("Movie")
ParticleClassification = _table("ParticleClassification")
ParticleClassificationGroup = _table("ParticleClassificationGroup")
ParticleClassificationHasCryoemInitialModel = _table("ParticleClassification_has_CryoemInitialModel")
ParticlePicker = _table("ParticlePicker")
Permission = _table("Permission")
Person = _table("Person")
ProcessingJob = _table("ProcessingJob")
ProcessingJobParameter = _table("ProcessingJobParameter")
Proposal = _table("Proposal")
SWOnceToken = _table("SW_onceToken")
SessionHasPerson = _table("Session_has_Person")
UserGroup = _table("UserGroup")
UserGroupHasPermission = _table("UserGroup_has_Permission")
UserGroupHasPerson = _table("UserGroup_has_Person")


def inserted_id(result: sa.Result[*tuple[Any, ...]]) -> int:
    """The primary key that the database gave to the row just inserted."""
    assert isinstance(result, sa.CursorResult)
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])
