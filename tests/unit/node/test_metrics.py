"""What Prometheus reads of a node."""

import re

from lab.node.metrics import exposed
from lab.overlay.actions import LinkInfo
from lab.overlay.relay import UNBOUND_EACH
from lab.wire.framing import frame
from lab.wire.messages import Ping, encode
from tests.unit.overlay.fakenet import FakeNet, Router

LINE = re.compile(r'lab_[a-z_]+\{node="[^"]+"(,[a-z]+="(\\.|[^"\\])*")?\} -?\d+(\.\d+)?(e-?\d+)?')


def figures(text: str) -> dict[str, float]:
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


def net_with_a_client() -> FakeNet:
    net = FakeNet()
    net.authority()
    for number in (1, 2):
        net.supernode(number)
    net.relay(1)
    net.client("bob", "192.168.32.10", Router("203.0.113.32"))
    assert net.run(10, until=lambda: net.hosts["bob"].machine.hub.hub is not None)
    net.run(2)
    return net


def test_every_line_is_one_that_prometheus_reads_and_each_figure_says_what_it_is() -> None:
    net = net_with_a_client()
    for name in ("bob", "supernode-1", "relay-1", "authority"):
        text = exposed(name, [net.hosts[name].machine], {"ready": 1, "signed-in": 3})
        said = set()
        for line in text.splitlines():
            if line.startswith("#"):
                said.add(line.split()[2])
            else:
                assert LINE.fullmatch(line), line
                assert line.partition("{")[0] in said
        assert figures(text)[f'lab_events_total{{node="{name}",event="signed-in"}}'] == 3


def test_who_sits_where_and_what_was_refused_is_counted() -> None:
    net = net_with_a_client()
    hub = str(net.hosts["bob"].machine.hub.hub)
    machine = net.hosts[hub].machine
    shown = figures(exposed(hub, [machine], {}))
    assert shown[f'lab_clients{{node="{hub}"}}'] == 1
    assert shown[f'lab_supernodes{{node="{hub}"}}'] == 1
    (link,) = [link for link, seat in machine.sessions.items() if seat.name == "bob"]
    for _ in range(500):
        machine.link_data(link, frame(encode(Ping()), 4), net.now)
    shown = figures(exposed(hub, [machine], {}))
    assert shown[f'lab_turned_away_total{{node="{hub}",reason="too many messages in a short time"}}'] == 1


def test_whom_a_node_has_cut_off_is_counted_once_for_all_of_its_machines() -> None:
    net = net_with_a_client()
    client, relay = net.hosts["bob"].machine, net.hosts["relay-1"].machine
    for port in range(UNBOUND_EACH + 2):
        relay.accepted("relay", LinkInfo(("203.0.113.21", 443), ("198.51.100.66", 1024 + port)), net.now)
    client.turned_away("198.51.100.66", "a silent connection", net.now)
    relay.turned_away("198.51.100.66", "a silent connection", net.now)
    text = exposed("bob", [client, relay], {})
    shown = figures(text)
    assert shown['lab_turned_away_total{node="bob",reason="a silent connection"}'] == 2
    reason = "too many connections that have not bound of one address"
    assert shown[f'lab_turned_away_total{{node="bob",reason="{reason}"}}'] == 2
    assert shown['lab_unbound{node="bob"}'] == UNBOUND_EACH
    assert text.count("# TYPE lab_turned_away_total") == 1
