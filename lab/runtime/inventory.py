"""What the engine says of itself: its version, where it stores, which images it has.

Belongs here: asking. Never: what is enough for the lab.
"""

from dataclasses import dataclass
from pathlib import Path

from lab.runtime.connection import Engine
from lab.runtime.features import ROUTER_IMAGE
from lab.runtime.mishaps import engine_errors


@dataclass(frozen=True)
class Inventory:
    """`storage` is a folder of the engine's machine. `router_image`: kernel features can be tried in a container."""

    version: str
    storage: Path
    router_image: bool


def inventory(engine: Engine) -> Inventory:
    """Ask; raises RuntimeUnavailable."""
    with engine_errors("say what it is"):
        said = engine.info()
        images = engine.api.images(ROUTER_IMAGE)
    return Inventory(str(said["ServerVersion"]), Path(str(said.get("DockerRootDir", "/"))), bool(images))
