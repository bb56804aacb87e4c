"""What the firewall lets out: ICMP, UDP and TCP to STUN's port and others, TLS and others on 443.

Belongs here: outgoing packets of each kind. Never: what comes in unasked (mapping.py, opening.py).
"""

from dataclasses import replace

from lab.certify import asking, conversation, ends
from lab.certify.asking import Shot, ask
from lab.certify.bench import ELSEWHERE, PRIMARY, Bench
from lab.certify.conversation import Tcp
from lab.certify.findings import TCP_TO, UDP_TO, Reach

HTTPS, HTTP = 443, 80
CONNECTED, REFUSED = "2", "4"
"""What the status of an answer to CONNECT begins with (RFC 9110, 9.3.6 and 15.5); who says another thing has tried."""
PROXY_TRIES = 3
"""How often a proxy is asked that does not answer at all within five seconds."""


def reach(bench: Bench) -> Reach:
    """Send one of each kind; a silence is timed, for nothing is known yet to pass."""
    inside, outside = bench.inside, bench.outside
    udp = {port: asking.udp(inside, bench.fresh(), outside, bench.to(0, port)) for port in (PRIMARY, *UDP_TO)}
    tcp = {
        port: asking.syn(inside, bench.over_tcp().fresh(), outside, bench.to(0, port))
        for port in (HTTPS, HTTP, PRIMARY, *TCP_TO)
    }
    echo = _echo(bench, "echo", bench.inner[0], bench.remote[0], up=True)
    seen = ask([*udp.values(), echo, *tcp.values()], bench.patience)
    answered = False
    if seen[echo.key]:
        back = _echo(bench, "echo-reply", bench.remote[0], seen[echo.key][0].source.address, up=False)
        back.packet["number"] = seen[echo.key][0].seq
        answered = bool(ask([back], bench.patience)[back.key])
    found = Reach(
        udp=bool(seen[udp[PRIMARY].key]),
        icmp=answered,
        tcp_443=bool(seen[tcp[HTTPS].key]),
        tcp_80=bool(seen[tcp[HTTP].key]),
        tcp_other=bool(seen[tcp[PRIMARY].key]),
        udp_to={port: bool(seen[udp[port].key]) for port in UDP_TO},
        tcp_to={port: bool(seen[tcp[port].key]) for port in TCP_TO},
    )
    return _payloads(bench, found) if found.tcp_443 else found


def _payloads(bench: Bench, found: Reach) -> Reach:
    """The same connection twice: one begins like TLS, the other like nothing of the kind."""
    sides, bench = (bench.inside, bench.outside), bench.over_tcp()
    tls = conversation.open_tcp(*sides, bench.fresh(), bench.to(0, HTTPS), bench.patience)
    plain = conversation.open_tcp(*sides, bench.fresh(), bench.to(0, HTTPS), bench.patience, tls=False)
    if tls is None or plain is None:
        return replace(found, tls_443=False, plain_443=False)
    passes = passing(tls, bench)
    guard = tls.up if passes else None
    shot = plain.up()
    return replace(found, tls_443=passes, plain_443=bool(ask([shot], bench.patience, guard)[shot.key]))


def proxied_elsewhere(bench: Bench, proxy: tuple[str, int], address: str) -> bool | None:
    """Whether a proxy that serves also CONNECTs to a port that it is not for, where somebody listens; None where it
    neither does nor refuses."""
    for _ in range(PROXY_TRIES):
        said = bench.inside.order("connect", arguments=[*proxy, address, ELSEWHERE, 0])["said"]
        if said:
            status = said.partition(" ")[2][:1]
            return True if status == CONNECTED else False if status == REFUSED else None
    return None


def passing(talk: Tcp, bench: Bench) -> bool:
    """Whether a conversation's packets get through both ways."""
    up = talk.up()
    if not ask([up], bench.patience)[up.key]:
        return False
    down = talk.down()
    return bool(ask([down], bench.patience)[down.key])


def _echo(bench: Bench, proto: str, source: str, to: str, up: bool) -> Shot:
    text = asking.new_token()
    packet = {"proto": proto, "src": source, "dst": to, "number": bench.ports.take(), "token": text}
    sender, receiver = (bench.inside, bench.outside) if up else (bench.outside, bench.inside)
    return Shot(sender, packet, receiver, ends.token(text))
