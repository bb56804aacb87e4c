"""Calls that are under way hear of a client that is about to go to another site, and watch the way there beforehand.

A mover may be another process: each call listens on an abstract Unix socket that its folder names, until it is over.
Belongs here: telling, and waiting until all have said that they are ready. Never: captures.
"""

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path

PATIENCE = 5.0
"""Seconds that a mover waits for one call; starting a capture takes a tenth of one."""
_LONGEST = 4096


def _name(folder: Path) -> str:
    """Abstract names need no file and end with their process; a path may be too long for one (108 bytes)."""
    return "\0lab-call-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]


class Watch:
    """One call's ear, by the call's folder: `heard(node, site)` runs in a thread of its own before a client moves."""

    def __init__(self, folder: Path, heard: Callable[[str, str], None]) -> None:
        self._heard = heard
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(_name(folder))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, name=f"watch {folder.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Hear nothing more; returns when what was heard has been dealt with."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError, ValueError, KeyError):
                connection.settimeout(PATIENCE)
                said = json.loads(connection.recv(_LONGEST))
                self._heard(str(said["node"]), str(said["site"]))
                connection.sendall(b"ready")


def announce(calls: Path, node: str, site: str) -> int:
    """Tell every call under `calls` that a client is about to go to a site; returns how many were listening.

    Returns when each has said that it is ready, has ended, or has not answered within PATIENCE.
    """
    told = 0
    for folder in sorted(calls.glob("c*")) if calls.is_dir() else ():
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one, contextlib.suppress(OSError):
            one.settimeout(PATIENCE)
            one.connect(_name(folder))
            one.sendall(json.dumps({"node": node, "site": site}).encode())
            told += one.recv(16) == b"ready"
    return told
