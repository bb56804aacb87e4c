"""From the container's root to an ordinary user with nothing left.

Belongs here: giving up, but for what a relay's deputy keeps. Never: taking.
"""

import ctypes
import os
from pathlib import Path

USER = 1000  # `lab` in the images
OWNED = (Path("/run/lab"), Path("/var/lib/lab"), Path("/trust"))  # control socket, keys, the authority's public key
NET_ADMIN = 12  # linux/capability.h
_SET_KEEPCAPS, _SET_NO_NEW_PRIVS, _BOUNDING_DROP, _AMBIENT, _AMBIENT_RAISE = 8, 38, 24, 47, 2  # linux/prctl.h
_CAPABILITY_VERSION_3 = 0x20080522  # linux/capability.h


def become_user(keep: tuple[int, ...] = ()) -> None:
    """Own the program's folders, then become user 1000 with no capability but those to keep, for ever.

    Raises OSError.
    """
    OWNED[0].mkdir(mode=0o755, exist_ok=True)
    for folder in OWNED:
        if folder.is_dir() and os.access(folder, os.W_OK):
            os.chown(folder, USER, USER)
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    _check(libc.prctl(_SET_KEEPCAPS, int(bool(keep)), 0, 0, 0))
    for capability in set(range(last + 1)) - set(keep):
        _check(libc.prctl(_BOUNDING_DROP, capability, 0, 0, 0))
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)  # empties the effective set, and the permitted one; the inheritable one stays
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    kept = sum(1 << capability for capability in keep)  # all of them below 32
    _check(libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept)))  # effective, permitted, inheritable
    for capability in keep:
        _check(libc.prctl(_AMBIENT, _AMBIENT_RAISE, capability, 0, 0))
    _check(libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    os.environ["HOME"] = str(OWNED[1])


def permitted(capability: int) -> bool:
    """Whether this process has it to give."""
    status = Path("/proc/self/status").read_text()
    held = next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:"))
    return bool(int(held, 16) >> capability & 1)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
