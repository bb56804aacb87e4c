"""A node's own sockets: on every address of both families, and how machines know the addresses of others.

Belongs here: how a socket is made. Never: what is said on it.
"""

import errno
import os
import socket
from typing import Any

from lab.errors import ConfigError, PortTaken
from lab.wire.addresses import Address

_MAPPED = "::ffff:"
"""What IPv4 addresses begin with on a socket of both families (RFC 4291, 2.5.5.2); no machine ever sees it."""


def share(made: socket.socket) -> None:
    """Lets a port be listened on and connected from at once; every socket on it has to agree."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def plainly(error: OSError) -> str:
    """The system's own words; event loops wrap them in sentences of theirs."""
    return os.strerror(error.errno) if error.errno else str(error) or type(error).__name__


def bound(kind: int, port: int, shared: bool = False) -> socket.socket:
    """A TCP or UDP socket on a port of every own address, of both families where the kernel has both; `shared`: one
    that connections are opened from as well.

    Raises PortTaken where it is another's, ConfigError; port 0 takes any.
    """
    families = (socket.AF_INET6, socket.AF_INET) if _kernel_has_ipv6() else (socket.AF_INET,)
    made = socket.socket(families[0], kind)
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            share(made)
        if families[0] == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(("::" if families[0] == socket.AF_INET6 else "0.0.0.0", port))
    except OSError as error:
        made.close()
        name = "TCP" if kind == socket.SOCK_STREAM else "UDP"
        kind_of = PortTaken if error.errno == errno.EADDRINUSE else ConfigError
        raise kind_of(f"{name} port {port} cannot be opened: {plainly(error)}; stop what uses it") from None
    return made


def _kernel_has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def plain(address: tuple[Any, ...]) -> Address:
    """A socket's address as machines know it: IPv4 as IPv4, and no flow or zone."""
    host = str(address[0])
    return (host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host), int(address[1])


def mapped(address: Address) -> Address:
    """The other way: as a socket of both families takes it."""
    return address if ":" in address[0] else (_MAPPED + address[0], address[1])
