"""Conversations between the two ends that a router takes for real ones: UDP, and TCP whose every segment is crafted.

Belongs here: opening them, and packets on them. Never: what is measured with them.
"""

from dataclasses import dataclass

from lab.certify import asking, ends
from lab.certify.asking import Patience, Shot
from lab.certify.ends import End, Endpoint, Spec


@dataclass(frozen=True)
class Udp:
    """`outer`: how the internet sees `inner` when it talks to `remote`."""

    inside: End
    outside: End
    inner: Endpoint
    remote: Endpoint
    outer: Endpoint

    def up(self) -> Shot:
        """A new packet from the inside."""
        return asking.udp(self.inside, self.inner, self.outside, self.remote)

    def down(self) -> Shot:
        """A new packet from the internet."""
        return asking.udp(self.outside, self.remote, self.inside, self.outer)

    def packet(self, upward: bool) -> Spec:
        """A packet's description without a token."""
        ways = (self.inner, self.remote) if upward else (self.remote, self.outer)
        return {"proto": "udp", **asking.between(*ways)}


@dataclass(frozen=True)
class Tcp:
    """Every segment has the first sequence number after the handshake: a retransmission, to whoever watches.

    So no window is ever left and no acknowledgement is needed. `tls`: the payload is a TLS record.
    """

    inside: End
    outside: End
    inner: Endpoint
    remote: Endpoint
    outer: Endpoint
    inner_seq: int
    remote_seq: int
    tls: bool = True

    def up(self) -> Shot:
        """A new segment from the inside."""
        return self._shot(True)

    def down(self) -> Shot:
        """A new segment from the internet."""
        return self._shot(False)

    def packet(self, upward: bool) -> Spec:
        """A segment's description without a token."""
        ways = (self.inner, self.remote) if upward else (self.remote, self.outer)
        own, others = (self.inner_seq, self.remote_seq) if upward else (self.remote_seq, self.inner_seq)
        return {
            "proto": "tcp",
            **asking.between(*ways),
            "flags": "PA",
            "seq": own + 1,
            "ack": others + 1,
            "tls": self.tls,
        }

    def _shot(self, upward: bool) -> Shot:
        text = asking.new_token()
        sender, receiver = (self.inside, self.outside) if upward else (self.outside, self.inside)
        return Shot(sender, {**self.packet(upward), "token": text}, receiver, ends.token(text))


Conversation = Udp | Tcp


def open_udp(inside: End, outside: End, inner: Endpoint, remote: Endpoint, patience: Patience) -> Udp | None:
    """Write to `remote` until it was heard there; None where it never was."""
    shot = asking.udp(inside, inner, outside, remote)
    seen = asking.ask([shot], patience)[shot.key]
    return Udp(inside, outside, inner, remote, seen[0].source) if seen else None


def open_tcp(
    inside: End, outside: End, inner: Endpoint, remote: Endpoint, patience: Patience, tls: bool = True
) -> Tcp | None:
    """A three-way handshake and, with `tls`, a first record; None where any of it did not pass."""
    shot = asking.syn(inside, inner, outside, remote)
    seen = asking.ask([shot], patience)[shot.key]
    return accept_tcp(inside, outside, shot, seen[0].source, patience, tls) if seen else None


def accept_tcp(
    inside: End, outside: End, syn: Shot, outer: Endpoint, patience: Patience, tls: bool = True
) -> Tcp | None:
    """Answer a SYN of the inside that was seen, and acknowledge the answer."""
    inner = Endpoint(str(syn.packet["src"]), int(syn.packet["sport"]))
    remote = Endpoint(str(syn.packet["dst"]), int(syn.packet["dport"]))
    first, second = int(syn.packet["seq"]), asking.new_seq()
    answer = {"proto": "tcp", **asking.between(remote, outer), "flags": "SA", "seq": second, "ack": first + 1}
    shot = Shot(outside, answer, inside, ends.syn_ack(second))
    if not asking.ask([shot], patience)[shot.key]:
        return None
    acknowledgement = {
        "proto": "tcp", **asking.between(inner, remote), "flags": "A", "seq": first + 1, "ack": second + 1,
    }  # fmt: skip
    for _ in range(patience.tries):  # one is enough; what is lost of them, the first segment makes up for
        inside.send([acknowledgement])
    talk = Tcp(inside, outside, inner, remote, outer, first, second, tls)
    # The inside speaks first, as in TLS: a firewall that wants that lets nothing in before.
    hello = talk.up()
    return talk if not tls or asking.ask([hello], patience)[hello.key] else None
