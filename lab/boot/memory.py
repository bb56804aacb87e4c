"""What a router or core has been told since it was made, kept over a restart as a real router keeps its settings.

Belongs here: one small JSON file. Never: what the settings mean.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path("/var/lib/lab/told.json")


def recall() -> dict[str, Any]:
    """The settings that were told last; empty where there are none, or where they cannot be read."""
    try:
        told = json.loads(FILE.read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def remember(told: Mapping[str, Any]) -> None:
    """Keep them in place of the former ones. Raises OSError."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    fresh = FILE.with_suffix(".new")
    fresh.write_text(json.dumps(dict(told)))
    fresh.replace(FILE)
