"""From the container's root to an ordinary user with nothing left.

Belongs here: giving up. Never: taking.
"""

import ctypes
import os
from pathlib import Path

USER = 1000  # `lab` in the images
OWNED = (Path("/run/lab"), Path("/var/lib/lab"), Path("/trust"))  # control socket, keys, the authority's public key
_SET_NO_NEW_PRIVS, _BOUNDING_DROP = 38, 24  # linux/prctl.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h


def become_user() -> None:
    """Own the program's folders, then become user 1000 without capabilities, for ever. Raises OSError."""
    OWNED[0].mkdir(mode=0o755, exist_ok=True)
    for folder in OWNED:
        if folder.is_dir() and os.access(folder, os.W_OK):
            os.chown(folder, USER, USER)
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _check(libc.prctl(_BOUNDING_DROP, capability, 0, 0, 0))
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)  # empties the permitted and effective sets; the inheritable one stays
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _check(libc.capset(header, (ctypes.c_uint32 * 6)()))
    _check(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    os.environ["HOME"] = str(OWNED[1])


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
