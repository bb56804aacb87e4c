"""The part of the reference lab that these tests need, without an engine: core and park's router as the image has them,
and the others as plain network namespaces. For a machine that is started for its kernel (virtual_machine.py).

Belongs here: namespaces, programs in them, their control sockets. Never: what is expected.
"""

import json
import os
import shlex
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from sending import Network, Stream

from lab.harness.changing import refused_above

STDOUT = 1
PARTS = Path("/run/links")
CORE = "203.0.113.1"
CORE6, PREFIX6 = "2001:db8:0:1::1", 64
SITES = {"park": "203.0.113.31", "home": "203.0.113.32", "flat": "203.0.113.33"}
# On the internet in a namespace of their own: with home's address bob, who needs no router to be pinged.
STATIONS = {"bob": SITES["home"], "carol": SITES["flat"], "relay-1": "203.0.113.21"}
ADDRESSES = {**STATIONS, "alice": "198.51.100.18"}


def ipv6_of(address: str) -> str:
    """The address of IPv6 beside one on the internet."""
    return f"2001:db8:0:1::{address.rpartition('.')[2]}"


CAPABILITIES = ("net_admin", "net_raw", "sys_chroot", "sys_nice")
"""Those of core in compose/base.yml."""
ENVIRONMENT = {
    "core": {
        "LAB_CORE": CORE,
        "LAB_ROUTES": f"198.51.100.16/28 via {SITES['park']}",
        "LAB_LINKS": "; ".join(f"{site} {address},{ipv6_of(address)} delay=10ms" for site, address in SITES.items()),
    },
    "router": {"LAB_CORE": CORE, "lab.site": "park", "lab.profile": "open", "lab.firewall": "none"},
}
SETTINGS = (
    "net.ipv4.ip_forward=0",
    "net.ipv4.conf.all.rp_filter=1",
    "net.ipv4.conf.all.send_redirects=0",
    "net.ipv6.conf.all.forwarding=1",
)
"""As compose/base.yml has them."""
PATIENCE_S = 60.0
# A node's /run and what it remembers are its own, as a container's are; the rest of the image is shared.
_NODE = """
mount --make-rprivate / && mkdir -p {image}/var/lib/lab &&
mount --bind {parts}/run {image}/run && mount --bind {parts}/kept {image}/var/lib/lab &&
mount -t proc proc {image}/proc && mount --bind /dev {image}/dev &&
exec chroot {image} setpriv --no-new-privs --bounding-set=-all,{capabilities} \
    env {environment} python3 -m lab.boot {role}
"""


class Namespaces(Network):
    """Core, park's router, and who is reached through them; `image`: the root of lab/router's files."""

    def __init__(self, image: Path) -> None:
        self._image = image
        self._programs: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Have it all; returns when core and the router are ready."""
        for name in ("internet", "core", "router", "alice", *STATIONS):
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
        _run("ip", "-n", "internet", "link", "add", "bridge", "type", "bridge")
        _run("ip", "-n", "internet", "link", "set", "bridge", "up")
        for name, address in {"core": CORE, "router": SITES["park"], **STATIONS}.items():
            _run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", name, "netns", "internet")
            _run("ip", "-n", "internet", "link", "set", name, "master", "bridge", "up")
            _run("ip", "-n", name, "address", "add", f"{address}/{32 if name in STATIONS else 24}", "dev", "eth0")
            _run("ip", "-n", name, "link", "set", "eth0", "up")
        for name, address in {"core": CORE, **STATIONS}.items():
            length = 128 if name in STATIONS else PREFIX6
            _run("ip", "-n", name, "address", "add", f"{ipv6_of(address)}/{length}", "dev", "eth0", "nodad")
        for name in STATIONS:
            for gateway in (CORE, CORE6):
                _run("ip", "-n", name, "route", "add", gateway, "dev", "eth0")
                _run("ip", "-n", name, "route", "add", "default", "via", gateway)
        _run("ip", "link", "add", "eth1", "netns", "router", "type", "veth", "peer", "name", "eth0", "netns", "alice")
        for name, device, address in (("router", "eth1", "198.51.100.17"), ("alice", "eth0", ADDRESSES["alice"])):
            _run("ip", "-n", name, "address", "add", f"{address}/28", "dev", device)
            _run("ip", "-n", name, "link", "set", device, "up")
        _run("ip", "-n", "alice", "route", "add", "default", "via", "198.51.100.17")
        for role in ("core", "router"):
            self._begin(role)

    def stop(self) -> None:
        for program in self._programs:
            program.terminate()
            program.wait(PATIENCE_S)

    def address(self, node: str) -> str:
        return ADDRESSES[node]

    def address6(self, node: str) -> str | None:
        return ipv6_of(STATIONS[node]) if node in STATIONS else None

    def run(self, node: str, *argv: str) -> Stream:
        return _Running(["ip", "netns", "exec", node, *argv])

    def inside(self, node: str, *argv: str) -> str:
        """By the image's tools: this machine may have none such."""
        return super().inside(node, "chroot", str(self._image), *argv)

    def order(self, order: str, **fields: Any) -> dict[str, Any]:
        return self._order("core", order, **fields)

    def set(self, site: str, direction: Any = None, toward: str | None = None, **link: str) -> None:
        """As lab.harness.changing has it: core's part, and its router's of an MTU."""
        which = "toward" if toward else direction or "both"
        said = self.order("link", site=site, direction=which, toward=toward, changes=link)
        if site == "park" and link.keys() & {"mtu", "blackhole"}:
            self._order("router", "mtu", mtu=refused_above(said["ways"]["up"]))

    def _begin(self, role: str) -> None:
        parts = PARTS / role
        for part in ("run", "kept"):
            (parts / part).mkdir(parents=True)
        # a shell lets no names with dots through
        told = {**_image_environment(), **ENVIRONMENT[role], "LAB_SEED": os.environ.get("LAB_SEED", "")}
        environment = shlex.join(f"{name}={value}" for name, value in told.items())
        capabilities = ",".join(f"+{name}" for name in CAPABILITIES)
        script = _NODE.format(
            parts=parts, image=self._image, capabilities=capabilities, environment=environment, role=role
        )
        for setting in SETTINGS:
            _run("ip", "netns", "exec", role, "sysctl", "-qw", setting)
        program = subprocess.Popen(
            ["ip", "netns", "exec", role, "unshare", "--mount", "sh", "-c", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._programs.append(program)
        assert program.stdout is not None
        line = json.loads(program.stdout.readline())
        assert line["event"] == "ready", line

    def _order(self, role: str, order: str, **fields: Any) -> dict[str, Any]:
        with socket.socket(socket.AF_UNIX) as talk:
            talk.connect(str(PARTS / role / "run/lab/control.sock"))
            talk.sendall(json.dumps({"order": order, **fields}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(talk.makefile().readline())
        assert answer["ok"], answer
        return answer


class _Running:
    """A program in a namespace, as the engine's streams are."""

    def __init__(self, argv: list[str]) -> None:
        self._program = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._program.kill()
        self._program.wait()
        for end in (self._program.stdin, self._program.stdout):
            assert end is not None
            end.close()

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        assert self._program.stdout is not None
        for line in self._program.stdout:
            yield STDOUT, line

    def close_stdin(self) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()


def _image_environment() -> Mapping[str, str]:
    """That of images/router/Dockerfile."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "PYTHONPATH": "/opt/lab/site", "PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)
