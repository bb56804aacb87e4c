"""Ports that the site's router is asked for by PCP, and by NAT-PMP where it is older (RFC 6887, appendix A).

A few lines over lab.wire.pcp, for there is no library to take: the two on PyPI for NAT-PMP rest since 2021 and 2023,
and none speaks PCP. Belongs here: the socket, and asking again. Never: bytes, nor when a port is asked for.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator

from lab.errors import ProtocolError
from lab.node.gateways import Given, NoGateway
from lab.node.netlink import way_to
from lab.wire import pcp
from lab.wire.pcp import Answer, Kind

ANYCAST = "192.0.0.9"
"""A PCP server's anycast address (RFC 7723): whoever is asked on the way to it is the router that could know."""
TRIES = (0.25, 0.5, 1.0)
"""Seconds that each try waits for an answer: RFC 6886, 3.1 begins with 250 ms and doubles. It would go on for a minute;
a router on the LAN that has not answered in two seconds has none."""


class Pcp:
    """The router on the way out, whichever that is when it is asked. Every method waits for it."""

    def __init__(self, port: int = pcp.PORT, router: Callable[[], str] = lambda: way_to(ANYCAST).gateway) -> None:
        self.port, self.router = port, router
        self.nonces: dict[int, bytes] = {}

    def find(self) -> None:
        """There is nothing to look for: the first question is the one for a port."""

    def map(self, port: int, lifetime: int) -> Given:
        """An outer address that leads to a UDP port of this host. Raises NoGateway."""
        nonce = self.nonces.setdefault(port, os.urandom(pcp.NONCE_SIZE))
        with self._asking() as router:
            source = router.getsockname()[0]
            answer = self._ask(router, pcp.pcp_map(nonce, source, port, port, lifetime), port, nonce)
            if answer.kind is Kind.MAPPED:
                return Given(answer.outer, answer.lifetime)
            del self.nonces[port]  # an older router: NAT-PMP has none
            where = self._ask(router, pcp.natpmp_external())
            answer = self._ask(router, pcp.natpmp_map(port, port, lifetime), port)
            if answer.kind is not Kind.MAPPED or where.kind is not Kind.ADDRESS:
                raise NoGateway("the router answers to NAT-PMP as if it were another version of it")
            return Given((where.outer[0], answer.outer[1]), answer.lifetime)

    def unmap(self, port: int, outer: int) -> None:
        """Give the outer port of a port back; a router that is gone keeps it until its time is over."""
        with contextlib.suppress(NoGateway), self._asking() as router:
            nonce = self.nonces.pop(port, None)
            if nonce is not None:
                self._ask(router, pcp.pcp_map(nonce, router.getsockname()[0], port, 0, 0), port, nonce)
            else:
                self._ask(router, pcp.natpmp_map(port, 0, 0), port)  # RFC 6886, 3.4

    @contextlib.contextmanager
    def _asking(self) -> Iterator[socket.socket]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as router:
            try:
                router.connect((self.router(), self.port))  # answers of others do not count (RFC 6887, 8.3)
                yield router
            except OSError as error:
                raise NoGateway(f"no router can be asked: {error.strerror}") from None

    def _ask(self, router: socket.socket, question: bytes, port: int = 0, nonce: bytes = b"") -> Answer:
        """The answer to one question, which is repeated; one that is about another port is not it. Raises NoGateway."""
        for seconds in TRIES:
            with contextlib.suppress(ConnectionRefusedError):  # of the try before: perhaps it has only just begun
                router.send(question)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                router.settimeout(left)
                try:
                    answer = pcp.parse(router.recv(pcp.LONGEST + 1))
                except (TimeoutError, ProtocolError):
                    continue
                except ConnectionRefusedError:
                    raise NoGateway("the router speaks neither PCP nor NAT-PMP") from None
                if answer.kind is Kind.REFUSED:
                    raise NoGateway(f"the router gives no port: {answer.reason}", heard=True)
                if answer.kind is Kind.OTHER_VERSION or (answer.inner, answer.nonce) == (port, nonce):
                    return answer
        raise NoGateway("no router answers to PCP or NAT-PMP")
