"""Makes the supernode of this container hostile: Python imports a module of this name before it runs a program.

`/tmp/attack` names what it does; without that file it is an honest one.
"""

import os
import sys
from pathlib import Path

ORDER = Path("/tmp/attack")


def ordered() -> str:
    """What it is told to do at the moment."""
    try:
        return ORDER.read_text().strip()
    except OSError:
        return ""


if "lab.node" in sys.orig_argv:
    import attacks

    import lab.overlay.supernode

    attacks.Hostile.attack = staticmethod(ordered)
    attacks.Hostile.nobody = os.environ["LAB_CORE"].rpartition(".")[0] + ".199"
    lab.overlay.supernode.Supernode = attacks.Hostile  # type: ignore[misc]
