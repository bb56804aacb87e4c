"""What Prometheus reads of a router, of core and of a proxy; the kernel's files are the test's own."""

import json
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

import pytest

from lab.boot import attach, counters, mappings, router, rules, shaping
from lab.boot.core import Core
from lab.boot.forwarding import answer
from lab.boot.lines import Lines
from lab.boot.proxying import PORT, Proxy
from lab.boot.router import Router
from lab.boot.shaping import Shaping
from lab.boot.wiring import Interface, Wiring
from tests.unit.node.test_metrics import LINE, figures

WAN = Interface(2, "eth7", IPv4Interface("203.0.113.32/24"))
WIRING = Wiring(WAN, Interface(3, "eth2", IPv4Interface("192.168.32.1/24")), (), ())
ENVIRON = {"lab.site": "home", "lab.profile": "linux", "lab.firewall": "none"}
DEVICES = """\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier comp
 tunl0:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0    0
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0    0
  eth7:    5000      50    0    0    0     0          0         0     6000      60    0    0    0     0       0    0
  eth2:    7000      70    0    0    0     0          0         0     8000      80    0    0    0     0       0    0
"""
CONNECTIONS = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0C38 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0328A8C0:0C38 0A28A8C0:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2
   2: 0328A8C0:9C41 0B0071CB:01BB 01 00000000:00000000 00:00000000 00000000     0        0 3
"""
READER = {
    "under_way": 4,
    "overruns": 1,
    "restarts": 2,
    "lost": {"home up": {"lost": 3, "overflowed": 5}},
}


class Kernel:
    """Holds the packets of links back."""

    by = "nfqueue"

    def __init__(self, said: dict[str, Any]) -> None:
        self.said = said

    def apply(self, *_: object, **__: object) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return self.said


@pytest.fixture(autouse=True)
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The kernel's files: two interfaces, both of which forward."""
    (tmp_path / "dev").write_text(DEVICES)
    (tmp_path / "tcp").write_text(CONNECTIONS)
    monkeypatch.setattr(counters, "DEVICES", tmp_path / "dev")
    monkeypatch.setattr(counters, "SETTINGS", tmp_path)
    monkeypatch.setattr(counters, "CONNECTIONS", (tmp_path / "tcp", tmp_path / "tcp6"))
    monkeypatch.setattr(counters.socket, "gethostname", lambda: "n")
    for name in ("eth7", "eth2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "forwarding").write_text("1\n")
    return tmp_path


def told(orders: Any) -> dict[str, float]:
    """What a station says to the order, line by line as Prometheus reads it."""
    said = answer(json.dumps({"order": "metrics"}).encode(), orders)
    assert said["ok"], said
    for line in said["text"].splitlines():
        assert line.startswith("#") or LINE.fullmatch(line), line
    return figures(said["text"])


def begun(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Router:
    monkeypatch.setattr(attach, "hold", lambda plan: None)
    monkeypatch.setattr(attach, "forward", lambda plan: None)
    monkeypatch.setattr(router.rules, "load", lambda rules: None)
    monkeypatch.setattr(router.rules, "forget", lambda: None)
    monkeypatch.setattr(router.mtu, "set_up", lambda interface, size: None)
    monkeypatch.setattr(rules, "dropped", lambda: {"INPUT's policy": 12, 'FORWARD -m comment "x" -j DROP': 0})
    flows = [{"protocol": "udp"}, {"protocol": "udp"}, {"protocol": "tcp"}]
    monkeypatch.setattr(mappings, "_flows", lambda sides: iter(flows))
    monkeypatch.setattr(mappings, "_kept", lambda: iter(flows[:1]))
    return Router.begin(WIRING, {**ENVIRON, **environ})


def test_a_router_tells_what_it_dropped_remembers_and_passed_on(monkeypatch: pytest.MonkeyPatch, proc: Path) -> None:
    here = begun(monkeypatch)
    found = told(here.orders)
    assert found['lab_rule_dropped_packets_total{node="n",rule="INPUT\'s policy"}'] == 12
    assert found['lab_rule_dropped_packets_total{node="n",rule="FORWARD -m comment \\"x\\" -j DROP"}'] == 0
    assert found['lab_flows{node="n",protocol="udp"}'] == 2
    assert found['lab_flows{node="n",protocol="tcp"}'] == 1
    assert found['lab_kept_mappings{node="n",protocol="udp"}'] == 1
    assert found['lab_kept_mappings{node="n",protocol="tcp"}'] == 0
    assert found['lab_received_packets_total{node="n",interface="wan"}'] == 50
    assert found['lab_sent_packets_total{node="n",interface="wan"}'] == 60
    assert found['lab_received_bytes_total{node="n",interface="lan"}'] == 7000
    assert found['lab_sent_bytes_total{node="n",interface="lan"}'] == 8000
    assert found['lab_forwarding{node="n"}'] == 1
    assert not any("links" in name or "line" in name for name in found), "nothing holds packets back here"
    (proc / "eth2" / "forwarding").write_text("0\n")
    assert told(here.orders)['lab_forwarding{node="n"}'] == 0


def test_a_router_at_which_a_line_ends_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lines, "_started", Kernel({"priority": "normal", **READER}))
    monkeypatch.setattr(Lines, "started", True)
    here = begun(monkeypatch, LAB_LINKS="home 203.0.113.32 delay=10ms")
    assert told(here.orders)['lab_line_lost_packets_total{node="n",line="home up"}'] == 3


@pytest.mark.parametrize("said", [READER, {}])
def test_core_tells_of_its_links(monkeypatch: pytest.MonkeyPatch, said: dict[str, Any]) -> None:
    kernel = Kernel(said)
    monkeypatch.setattr(shaping, "_means", lambda seed, interface: kernel)
    links = Shaping.of_core({"LAB_LINKS": "home 203.0.113.32 delay=10ms", "LAB_SEED": "7"}, interface=2)
    links.start()
    found = told(Core(Wiring(WAN, None, (), ()), links).orders)
    assert found['lab_links{node="n",by="nfqueue"}'] == 1
    assert found['lab_received_packets_total{node="n",interface="internet"}'] == 50
    assert found['lab_forwarding{node="n"}'] == 1
    assert found.get('lab_reader_restarts_total{node="n"}') == said.get("restarts")
    assert found.get('lab_reader_overruns_total{node="n"}') == said.get("overruns")
    assert found.get('lab_packets_under_way{node="n"}') == said.get("under_way")
    assert found.get('lab_line_overflowed_packets_total{node="n",line="home up"}') == (5 if said else None)


def test_a_proxy_tells_its_packets_and_its_connections() -> None:
    found = told(Proxy.orders.fget(object()))  # type: ignore[attr-defined]
    assert PORT == 0x0C38
    assert found['lab_proxied{node="n"}'] == 1
    assert found['lab_sent_packets_total{node="n",interface="eth2"}'] == 80
    assert not any('"lo"' in name or "tunl0" in name for name in found)
