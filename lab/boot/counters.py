"""What core, routers and proxies have counted, as Prometheus reads it; asked for over the control socket.

Belongs here: names, help, and what the kernel says of interfaces. Never: counting, nor the format (lab.prometheus).
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.boot import cable
from lab.boot.wiring import Wiring
from lab.prometheus import Exposition

DEVICES = Path("/proc/net/dev")
SETTINGS = Path("/proc/sys/net/ipv4/conf")
CONNECTIONS = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_ESTABLISHED = "01"  # TCP_ESTABLISHED of linux/tcp_states.h


def of_router(
    wiring: Wiring,
    dropped: Mapping[str, int],
    numbers: Mapping[str, Mapping[str, int]],
    lines: Mapping[str, Any] | None,
) -> str:
    """`dropped`: packets by rule; `numbers`: flows and kept mappings by protocol; `lines`: what holds packets back
    here, as its status says it, None where nothing does."""
    assert wiring.lan is not None, "a router's wiring has a LAN side"
    sides = {wiring.wan.name: "wan", wiring.lan.name: "lan"}
    found = _begun(sides)
    found.counter("rule_dropped_packets", "Packets that a rule dropped since it was loaded.", dropped, "rule")
    found.gauge("flows", "Flows of its hosts that the kernel tracks.", numbers["flows"], "protocol")
    found.gauge("kept_mappings", "Mappings that outlive a flow.", numbers["kept"], "protocol")
    _links(found, lines)
    return found.text()


def of_core(wiring: Wiring, lines: Mapping[str, Any]) -> str:
    """`lines`: what holds packets back, as its status says it."""
    found = _begun({wiring.wan.name: "internet"})
    _links(found, lines)
    return found.text()


def of_proxy(port: int) -> str:
    """Of a proxy that listens on this port."""
    found = Exposition(socket.gethostname())
    # without the tunnels that every network namespace is born with
    _packets(found, {name: name for name, of in _devices().items() if name != "lo" and of["received packets"]})
    found.gauge("unplugged", "Whether its cables are out.", float(cable.unplugged()))
    found.gauge("proxied", "Connections of clients that are open.", _open_at(port))
    return found.text()


def _begun(sides: Mapping[str, str]) -> Exposition:
    found = Exposition(socket.gethostname())
    found.gauge("forwarding", "Whether it lets packets through between its networks.", float(_forwards(sides)))
    found.gauge("unplugged", "Whether its cables are out.", float(cable.unplugged()))
    _packets(found, sides)
    return found


def _packets(found: Exposition, sides: Mapping[str, str]) -> None:
    """`sides`: name of an interface -> what it is called in the figures."""
    devices = {side: devices[name] for devices in [_devices()] for name, side in sides.items() if name in devices}
    for name, what in (("received", "came in by"), ("sent", "went out by")):
        for unit in ("packets", "bytes"):
            values = {side: counted[f"{name} {unit}"] for side, counted in devices.items()}
            found.counter(f"{name}_{unit}", f"{unit.capitalize()} that {what} an interface.", values, "interface")


def _devices() -> dict[str, dict[str, int]]:
    """What the kernel has counted at each interface: two lines of heading, then 16 figures for each."""
    lines = (line.partition(":") for line in DEVICES.read_text().splitlines()[2:])
    figures = ((name.strip(), list(map(int, counted.split()))) for name, _, counted in lines)
    return {
        name: {"received bytes": of[0], "received packets": of[1], "sent bytes": of[8], "sent packets": of[9]}
        for name, of in figures
    }


def _forwards(sides: Mapping[str, str]) -> bool:
    files = [SETTINGS / name / "forwarding" for name in sides]
    return all(file.exists() and file.read_text().strip() == "1" for file in files)


def _open_at(port: int) -> int:
    """Established connections whose own end has this port."""
    rows = (line.split() for file in CONNECTIONS if file.exists() for line in file.read_text().splitlines()[1:])
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED for row in rows)


def _links(found: Exposition, lines: Mapping[str, Any] | None) -> None:
    if lines is None:
        return
    found.gauge(
        "links",
        "Access links that end here, by what holds their packets back.",
        {lines["by"]: len(lines["links"])},
        "by",
    )
    if "lost" not in lines:
        return  # netem has nothing to say of itself
    found.counter("reader_restarts", "Readers of the links that have ended and were replaced.", lines["restarts"])
    found.counter("reader_overruns", "Times that packets came faster than the reader took them.", lines["overruns"])
    found.gauge("packets_under_way", "Packets that are held back.", lines["under_way"])
    for what, why in (("lost", "that a line has lost"), ("overflowed", "for which a line's queue was too full")):
        values = {line: counted[what] for line, counted in lines["lost"].items()}
        found.counter(f"line_{what}_packets", f"Packets {why}.", values, "line")
