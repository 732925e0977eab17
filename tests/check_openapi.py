"""Fails when openapi.json is not what the code says. Part of ``make check``."""

import json
import sys
from pathlib import Path

from app.main import create_app
from app.settings import Settings

COMMITTED = Path(__file__).parent.parent / "openapi.json"


def main() -> int:
    """Compare the two."""
    current = create_app(Settings()).openapi()
    if COMMITTED.exists() and json.loads(COMMITTED.read_text()) == json.loads(json.dumps(current)):
        return 0
    sys.stderr.write("openapi.json is stale: run 'make openapi' and look at what changed before you commit it.\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
