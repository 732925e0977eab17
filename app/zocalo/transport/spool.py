"""The demo's broker: a folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from app.zocalo.transport.base import TransportError


class SpoolTransport:
    """The demo's broker: a folder. A message is a file that appears whole, and the file is its receipt."""

    patience = 1.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sequence = 0

    def connect(self) -> bool:
        """Make sure that the folder is there."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TransportError(f"cannot create {self._folder} ({error.strerror})", written=False) from error
        return False

    def send(self, body: str, headers: dict[str, str]) -> None:
        """Write the message under another name, then rename it: whoever reads the folder sees all or nothing."""
        message_id = headers["synchweb.message.id"]
        draft = self._folder / f".{message_id}"
        try:
            with draft.open("w") as file:
                json.dump({"body": json.loads(body), "headers": headers}, file)
                file.flush()
                os.fsync(file.fileno())
            self._sequence += 1
            draft.rename(self._folder / f"{os.stat(draft).st_mtime_ns:020d}-{self._sequence:06d}-{message_id}.json")
        except OSError as error:
            raise TransportError(f"cannot write to {self._folder} ({error.strerror})", written=True) from error

    def close(self) -> None:
        """Nothing to let go of."""
