"""Events at run time: each has taken effect when its command returns, is stamped, and is undone by `lab up`."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab.errors import ConfigError, NotNow, RuntimeUnavailable
from lab.harness import Lab, standing
from lab.harness.changing import SiteChange
from lab.harness.status import NodeStatus
from lab.runtime.exec import run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.timeout(180)


def path(lab: Lab, caller: str, callee: str) -> str:
    """The path of a short call that the packets prove."""
    report = lab.call(caller, callee, seconds=2)
    assert report.holds(), report
    assert report.observed is not None
    return f"{report.observed.kind}/{report.observed.transport}"


def node(lab: Lab, name: str) -> NodeStatus:
    return next(one for one in lab.status().nodes if one.name == name)


def test_another_profile_is_another_path_and_up_brings_the_file_s_back(lab: Lab) -> None:
    assert path(lab, "bob", "carol") == "punched/udp"
    lab.set("home", SiteChange(profile="symmetric"))
    assert (node(lab, "bob").profile, node(lab, "home-router").profile) == ("symmetric", "symmetric")
    lab.settle()
    assert path(lab, "bob", "carol") == "relayed/udp"
    lab.up()
    assert node(lab, "bob").profile == "linux"
    assert path(lab, "bob", "carol") == "punched/udp"


def test_another_firewall_forgets_what_the_former_one_let_through(lab: Lab) -> None:
    assert path(lab, "bob", "alice") == "direct/udp"
    lab.set("home", SiteChange(firewall="udp-blocked"))
    lab.settle()
    assert path(lab, "bob", "alice") == "direct/tcp"


def test_a_delay_is_in_both_directions_until_it_is_taken_away(lab: Lab) -> None:
    lab.set("home", SiteChange(link={"delay": "60ms"}))
    report = lab.call("bob", "alice", seconds=2)
    assert report.holds("direct/udp"), report
    assert report.media["bob"].rtt_ms == pytest.approx(2 * (60 + 10), rel=0.2), "park's own link has 10 ms"
    lab.set("home", SiteChange(link={"delay": "0ms"}, direction="up"))
    report = lab.call("bob", "alice", seconds=2)
    assert report.media["bob"].rtt_ms == pytest.approx(60 + 20, rel=0.2)


def test_delay_toward_one_site_leaves_the_others_alone(lab: Lab) -> None:
    lab.set("home", SiteChange(link={"delay": "100ms"}, toward="park"))
    slow, fast = lab.call("bob", "alice", seconds=2), lab.call("bob", "frank", seconds=2)
    assert slow.media["bob"].rtt_ms == pytest.approx(40 + 100, rel=0.2)
    assert fast.media["bob"].rtt_ms == pytest.approx(40, rel=0.3)


def test_a_renewed_address_is_the_one_that_packets_have(lab: Lab) -> None:
    before, after = lab.renew("home", "203.0.113.99")
    assert (before, after) == ("203.0.113.32", "203.0.113.99")
    lab.settle()
    assert path(lab, "bob", "frank") == "punched/udp"
    lab.restart("home-router")
    assert lab.renew("home")[0] == "203.0.113.99", "a router keeps its addresses over a restart"
    assert lab.renew("home", "203.0.113.32")[1] == "203.0.113.32", "nobody else is given what the file gives"


def machine_of(lab: Lab, address: str) -> str | None:
    """The MAC address that core knows of who has this address; None where it would ask."""
    table = run(lab.engine, lab.running_world().running("core").id, ["cat", "/proc/net/arp"]).stdout.decode()
    return next((line.split()[3] for line in table.splitlines() if line.split()[0] == address), None)


def test_an_address_that_another_router_had_a_moment_ago_is_the_next_one_s_at_once(lab: Lab) -> None:
    lab.renew("home", "203.0.113.98")
    lab.settle()
    assert path(lab, "bob", "alice") == "direct/udp"
    former = machine_of(lab, "203.0.113.98")
    assert former is not None
    lab.renew("home")
    lab.renew("office", "203.0.113.98")
    assert machine_of(lab, "203.0.113.98") != former
    lab.settle()
    assert path(lab, "carol", "alice") == "direct/udp"


def test_a_client_that_was_moved_and_killed_is_home_again_after_an_up(lab: Lab) -> None:
    lab.move("bob", "office")
    lab.kill("bob")
    lab.up(ROOT / "compose" / "reference.yml")
    assert node(lab, "bob").site == "home"
    assert path(lab, "bob", "alice") == "direct/udp"


def test_a_router_keeps_its_settings_over_a_restart_and_loses_its_mappings(lab: Lab) -> None:
    lab.set("home", SiteChange(profile="full-cone", axes="udp-timeout=33"))
    lab.restart("home-router")
    assert node(lab, "home-router").profile == "full-cone"
    lab.settle()
    assert path(lab, "bob", "frank") == "punched/udp"


SPOILT = """
import os
from pathlib import Path
import msgspec
os.setgid(1000)  # the client's files are its user's, and nobody has the capability to pass over that
os.setuid(1000)
file = Path("/var/lib/lab/contacts")
known = msgspec.msgpack.decode(file.read_bytes(), type=dict[str, bytes])
file.write_bytes(msgspec.msgpack.encode({**known, "frank": bytes(32)}))
"""


def test_a_contact_that_has_another_key_than_before_is_pointed_out_once(lab: Lab) -> None:
    """Bob remembers a key of frank's that frank has not: as if the authority had given the name to somebody else."""
    assert lab.call("bob", "frank", seconds=1).keys_changed == ()
    done = run(lab.engine, lab.running_world().running("bob").id, ["/usr/bin/python3", "-c", SPOILT])
    assert done.status == 0, done.stderr
    lab.restart("bob")
    report = lab.call("bob", "frank", seconds=1)
    assert report.holds(), report
    (told,) = report.keys_changed
    assert (told.node, told.contact, told.before) == ("bob", "frank", "00" * 32)
    assert json.loads((report.evidence / "report.json").read_text())["keys_changed"] == [vars(told)]
    assert lab.call("bob", "frank", seconds=1).keys_changed == (), "the new one is remembered"


def routes(lab: Lab) -> str:
    """Those of home-router, with what is known of each."""
    return run(lab.engine, lab.running_world().running("home-router").id, ["ip", "route"]).stdout.decode()


def test_an_mtu_outlasts_a_replug_and_up_takes_it_away(lab: Lab) -> None:
    lab.set("home", SiteChange(link={"mtu": "1400"}))
    assert "mtu lock 1400" in routes(lab)
    lab.unplug("home-router")
    lab.plug("home-router")
    assert "mtu lock 1400" in routes(lab)
    link = node(lab, "home-router").link
    assert link is not None and "mtu=1400" in link["up"] and "mtu=1400" in link["down"]
    lab.up()
    assert "mtu" not in routes(lab)


def test_up_restores_no_router_whose_line_has_the_mtu_of_its_link(lab: Lab) -> None:
    """Restoring a router costs its mappings, and the MTU is the link's: as in a file that gives one."""
    lab.set("home", SiteChange(link={"mtu": "1400"}))
    undone: list[str] = []
    lab.up(say=undone.append)
    assert "links are as in the file" in undone and not any(word.startswith("home is") for word in undone), undone


def test_what_concerns_a_node_that_is_stopped_changes_no_other(lab: Lab) -> None:
    lab.kill("home-router")
    links = standing.core(lab.engine, lab.running_world())["shaping"]["links"]
    with pytest.raises(NotNow, match="home-router is stopped"):
        lab.set("home", SiteChange(link={"mtu": "1400"}))
    assert standing.core(lab.engine, lab.running_world())["shaping"]["links"] == links
    lab.start("home-router")
    lab.kill("core")
    routers = standing.routers(lab.engine, lab.running_world())
    with pytest.raises(NotNow, match="core is stopped"):
        lab.set("home", SiteChange(profile="symmetric", link={"delay": "50ms"}))
    with pytest.raises(NotNow, match="core is stopped"):
        lab.renew("home")
    assert standing.routers(lab.engine, lab.running_world()) == routers
    lab.start("core")


def test_links_hold_over_a_restart_of_core(lab: Lab) -> None:
    seed = node(lab, "core").seed
    lab.set("home", SiteChange(link={"delay": "70ms"}))
    lab.restart("core")
    lab.settle()
    assert node(lab, "core").seed == seed is not None
    assert lab.call("bob", "alice", seconds=2).seed == seed
    assert [line["seed"] for line in lab.timeline.read() if line["event"] == "up" and "error" not in line][-1] == seed
    assert lab.call("bob", "alice", seconds=2).media["bob"].rtt_ms == pytest.approx(160, rel=0.2)


def test_forgotten_mappings_are_made_anew(lab: Lab) -> None:
    lab.forget("home")
    lab.settle()
    assert path(lab, "bob", "frank") == "punched/udp"


def test_an_unplugged_client_is_away_and_comes_back_by_itself(lab: Lab) -> None:
    assert lab.unplug("bob")
    assert not lab.unplug("bob"), "its cable is out already"
    with pytest.raises(RuntimeUnavailable, match="bob is offline"):
        path(lab, "alice", "bob")
    assert lab.plug("bob")
    assert not lab.plug("bob")
    lab.settle()
    assert path(lab, "alice", "bob") == "direct/udp"


def test_a_client_moves_and_is_judged_where_it_is(lab: Lab) -> None:
    assert lab.move("bob", "office") == ("home", "office")
    lab.settle()
    assert (node(lab, "bob").site, node(lab, "bob").profile) == ("office", "symmetric")
    assert path(lab, "bob", "carol") == "direct/udp", "neighbours on one LAN"
    assert path(lab, "bob", "frank") == "punched/udp", "guessed"
    with pytest.raises(ConfigError, match="bob is at office already"):
        lab.move("bob", "office")
    lab.up()
    assert node(lab, "bob").site == "home"
    assert path(lab, "bob", "frank") == "punched/udp"


def test_a_client_that_came_home_under_another_address_gets_the_file_s_back(lab: Lab) -> None:
    before = lab.running_world().topology.node("bob").attachments
    lab.move("bob", "office")
    lab.move("bob", "home")
    assert lab.running_world().topology.node("bob").attachments != before
    lab.up()
    assert lab.running_world().topology.node("bob").attachments == before
    assert path(lab, "bob", "frank") == "punched/udp"


def test_of_two_calls_to_one_client_at_once_one_takes_place_and_the_other_is_refused(lab: Lab) -> None:
    program = ROOT / ".venv" / "bin" / "lab"
    words = [[program, "call", caller, "bob", "--json"] for caller in ("alice", "frank")]
    begun = [
        subprocess.Popen(one, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for one in words
    ]
    ended = sorted((one.communicate(timeout=60)[1], one.returncode) for one in begun)
    assert [status for _, status in ended] == [0, 2], ended
    assert "bob is in call" in ended[1][0] and ended[1][0].count("\n") == 1, ended


def test_events_are_stamped_on_the_timeline(lab: Lab) -> None:
    lab.set("home", SiteChange(link={"loss": "5%"}))
    lab.forget("home")
    last = lab.timeline.read()[-2:]
    assert [(line["event"], line["site"]) for line in last] == [("set", "home"), ("forget", "home")]
    assert last[0]["link"] == {"loss": "5%"}


def test_each_event_is_stamped_once_with_what_it_was_about(lab: Lab) -> None:
    events = (
        ("restart", lambda: lab.restart("flat-router"), ("node", "flat-router")),
        ("kill", lambda: lab.kill("frank"), ("node", "frank")),
        ("start", lambda: lab.start("frank"), ("node", "frank")),
        ("stop", lambda: lab.stop("frank"), ("node", "frank")),
        ("start", lambda: lab.start("frank"), ("node", "frank")),
        ("unplug", lambda: lab.unplug("bob"), ("node", "bob")),
        ("plug", lambda: lab.plug("bob"), ("node", "bob")),
        ("renew", lambda: lab.renew("home"), ("site", "home")),
        ("move", lambda: lab.move("bob", "flat"), ("site", "flat")),
    )
    for event, act, (key, value) in events:
        before = len(lab.timeline.read())
        act()
        (stamp,) = lab.timeline.read()[before:]
        assert (stamp["event"], stamp[key]) == (event, value), stamp


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "home", "--profile", "cone"), "unknown profile 'cone'; allowed: open, full-cone"),
        (("set", "home", "--profile", "open"), "192.168.32.0/24 is private"),
        (("set", "home", "--firewall", "proxy-only"), "there is no node of role proxy: the site would be cut off"),
        (("set", "home", "--profile", "symmetric", "--up"), "--up, --down and --toward say which way"),
        (("set", "home", "--mtu", "1400", "--toward", "park"), "--mtu is of a line"),
        (
            ("set", "home", "--axes", "mapping=cone"),
            "axis mapping: unknown value 'cone'; allowed: endpoint-independent",
        ),
        (("set", "home", "--axes", "colour=red"), "unknown axis 'colour=red'"),
        (("set", "home", "--firewall", "wall"), "unknown firewall 'wall'; allowed: none"),
        (("set", "home", "--loss", "120%"), "120%"),
        (("set", "home", "--rate", "0mbit"), "rate"),
        (("set", "home", "--delay", "fast"), "--delay: expected a time like 50ms or 1.5s, got 'fast'"),
        (("set", "home", "--mtu", "100"), "100"),
        (("set", "home", "--delay", "10ms", "--toward", "nowhere"), "'nowhere'"),
        (("set", "home", "--profile", "symmetric", "--loss", "120%"), "120%"),
        (("set", "nowhere", "--profile", "linux"), "no site is called 'nowhere'; the lab has bank"),
        (("set", "home"), "nothing to set at home"),
        (("renew", "home", "203.0.113.33"), "203.0.113.33 is taken"),
        (("renew", "home", "8.8.8.8"), "expected an address of internet (203.0.113.0/24)"),
        (("renew", "park"), "park translates nothing"),
        (("move", "bob", "nowhere"), "no site is called 'nowhere'"),
        (("move", "relay-1", "home"), "only clients move"),
        (("unplug", "core"), "core is the internet itself"),
        (("forget", "nowhere"), "'nowhere'"),
        (("forget", "park"), "park translates nothing"),
    ],
)
def test_a_bad_request_is_one_sentence_and_changes_nothing(running: Lab, words: tuple[str, ...], told: str) -> None:
    before = running.status(), running.running_world()
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "lab", *words], cwd=ROOT, text=True, capture_output=True, timeout=60
    )
    assert done.returncode == 2 and told in done.stderr, done
    assert done.stderr.count("\n") == 1 and done.stdout == "", done
    assert (running.status(), running.running_world()) == before


@pytest.mark.parametrize(
    "words",
    [
        ("set", "home", "--profile", "linux"),
        ("renew", "home"),
        ("forget", "home"),
        ("kill", "bob"),
        ("start", "bob"),
        ("stop", "relay-1"),
        ("restart", "bob"),
        ("unplug", "bob"),
        ("plug", "bob"),
        ("move", "bob", "flat"),
    ],
)
def test_an_event_on_a_lab_that_is_down_is_refused(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "lab", *words],
        cwd=ROOT,
        env={**os.environ, "LAB_NAME": "no-such-lab"},
        text=True,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2 and "is not up" in done.stderr, done


def test_set_prints_what_stands_as_one_document(lab: Lab) -> None:
    program = ROOT / ".venv" / "bin" / "lab"
    words = ["set", "home", "--delay", "20ms", "--loss", "1%", "--down", "--json"]
    done = subprocess.run([program, *words], cwd=ROOT, text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done
    link = json.loads(done.stdout)["link"]
    assert (link["ways"]["up"], link["ways"]["down"]) == ("delay=10ms", "delay=20ms loss=1%")


def test_a_router_with_tables_of_its_own_tells_what_they_keep(lab: Lab) -> None:
    lab.set("home", SiteChange(profile="rfc4787"))
    lab.settle()
    assert lab.call("bob", "frank", seconds=1).holds("punched/udp")
    kept = [one for one in lab.mappings("home").mappings if one.kept and one.protocol == "udp"]
    assert any(one.inner.startswith("bob:") and one.remote is None and one.seconds_left > 200 for one in kept), kept
    lab.forget("home")
    left = [flow.remote for one in lab.mappings("home").mappings for flow in one.flows]
    assert not any(remote.startswith("flat wan:") for remote in left), left
