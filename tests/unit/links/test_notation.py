"""How links are written, and which ones are refused."""

import re
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ConfigError
from lab.links import Burst, Impairment, Link, Queue, changed, describe, entries
from lab.links.notation import heard
from lab.links.units import parse_rate, parse_share, parse_size, parse_time, print_rate, print_share, print_time

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "value"),
    [("50ms", 0.05), ("1.5s", 1.5), ("200us", 0.0002), ("0", 0), ("0ms", 0), (".5s", 0.5), ("50MS", 0.05)],
)
def test_times(text: str, value: float) -> None:
    assert parse_time(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"), [("1mbit", 1_000_000), ("512kbit", 512_000), ("1.5mbit", 1_500_000), ("8000bit", 8000)]
)
def test_rates(text: str, value: int) -> None:
    assert parse_rate(text) == value


def test_shares_and_sizes() -> None:
    assert (parse_share("5%"), parse_share("0.5%"), parse_share("0")) == (0.05, 0.005, 0)
    assert (parse_size("64000"), parse_size("64kb"), parse_size("2mb")) == (64000, 65536, 2097152)


@given(st.integers(0, 10_000_000))
def test_what_is_printed_reads_the_same(number: int) -> None:
    assert parse_time(print_time(number / 1e6)) == pytest.approx(number / 1e6, rel=1e-5)
    assert parse_rate(print_rate(number)) == number
    assert parse_share(print_share(number / 1e7)) == pytest.approx(number / 1e7)


@pytest.mark.parametrize("parse", [parse_time, parse_share, parse_rate, parse_size])
@pytest.mark.parametrize("text", ["", "fast", "5 apples", "5parsec", "--1ms", "1e3ms", "nan%"])
def test_what_is_no_value_is_named(parse: object, text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected a .* like .*, got "):
        parse(text)  # type: ignore[operator]


def test_a_bare_number_is_no_time() -> None:
    with pytest.raises(ConfigError, match="got '50'; units: us, ms, s"):
        parse_time("50")


def test_the_example_of_the_readme() -> None:
    (example,) = re.findall(r"`(home 203\.0\.113\.32 [^`]*)`", (ROOT / "README.md").read_text())
    (entry,) = entries(example)
    assert entry.link == Link(
        Impairment(delay=0.01, jitter=0.002, rate=1_000_000, queue=Queue(seconds=0.2)),
        Impairment(delay=0.01, jitter=0.002, loss=0.02, mtu=1492, blackhole=True),
    )


@pytest.mark.parametrize("text", ["queue=200ms up.rate=1mbit", "up.rate=1mbit queue=200ms"])
def test_a_queue_for_both_is_of_the_direction_that_has_a_rate(text: str) -> None:
    (entry,) = entries(f"home 203.0.113.32 {text}")
    assert entry.link == Link(up=Impairment(rate=1_000_000, queue=Queue(seconds=0.2)))
    assert changed(Link(up=Impairment(rate=1_000_000)), "both", {"queue": "200ms"}) == entry.link
    with pytest.raises(ConfigError, match="a queue without a rate"):
        changed(entry.link, "down", {"queue": "200ms"})


def test_the_contracts_example() -> None:
    home, park = entries("home 203.0.113.32 delay=10ms; park 203.0.113.31 delay=10ms up.rate=1mbit")
    assert (home.site, home.addresses) == ("home", (ip_address("203.0.113.32"),))
    assert home.link == Link(Impairment(delay=0.01), Impairment(delay=0.01))
    assert park.link.up == Impairment(delay=0.01, rate=1_000_000)
    assert park.link.down == Impairment(delay=0.01)


def test_every_axis() -> None:
    (entry, _) = entries(
        "a 203.0.113.32,2001:db8:0:1::32 up.loss=5% delay=20ms jitter=5ms down.burst=1%,25%,90%,0.1% "
        "rate=1mbit queue=64000 down.queue=300ms mtu=1492 down.mtu=1400 down.blackhole=yes toward.b.loss=100%; "
        "b 203.0.113.33"
    )
    link = entry.link
    assert entry.addresses == (ip_address("203.0.113.32"), ip_address("2001:db8:0:1::32"))
    assert link.up == Impairment(0.02, 0.005, 0.05, None, 1_000_000, Queue(bytes=64000), 1492)
    burst = Burst(0.01, 0.25, 0.9, 0.001)
    assert link.down == Impairment(0.02, 0.005, 0.0, burst, 1_000_000, Queue(seconds=0.3), 1400, True)
    assert dict(link.toward) == {"b": Impairment(loss=1.0)}
    assert describe(link.up) == "delay=20ms jitter=5ms loss=5% rate=1mbit queue=64000 mtu=1492"
    down = "delay=20ms jitter=5ms burst=1%,25%,90%,0.1% rate=1mbit queue=300ms mtu=1400 blackhole=yes"
    assert describe(link.down) == down


def test_what_is_described_makes_the_same_impairment() -> None:
    for impairment in (
        Impairment(),
        Impairment(delay=0.4, jitter=0.0125, loss=0.011),
        Impairment(burst=Burst(0.013, 0.3), rate=64_000, queue=Queue(seconds=1.5)),
        Impairment(delay=0.01, mtu=1280, blackhole=True),
    ):
        words = dict(word.split("=") for word in describe(impairment).split())
        assert changed(Link(), "up", words).up == heard(describe(impairment)) == impairment
    for text in ("delay", "colour=red", "mtu=big"):
        with pytest.raises(ConfigError):
            heard(text)


def test_nothing_is_no_links() -> None:
    assert entries("") == entries(" ; ") == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("home", "expected LAB_LINKS like"),
        ("home 203.0.113.x delay=1ms", "'203.0.113.x'"),
        ("home 203.0.113.1 delay", "expected name=value after home's addresses in LAB_LINKS, got 'delay'"),
        ("home 203.0.113.1 delay=1ms delay=2ms", "home's delay twice"),
        ("home 203.0.113.1; home 203.0.113.2", "home twice"),
        ("home 203.0.113.1; flat 203.0.113.1", "gives 203.0.113.1 to home and flat"),
        ("home 203.0.113.1 toward.moon.delay=1ms; flat 203.0.113.2", "toward 'moon'; allowed: flat"),
        ("home 203.0.113.1 toward.home.delay=1ms; flat 203.0.113.2", "toward 'home'; allowed: flat"),
        ("home 203.0.113.1 left.delay=1ms", "unknown direction 'left'; allowed: up, down, both, toward"),
        ("home 203.0.113.1 delay=fast", "home in LAB_LINKS: delay: expected a time like 50ms or 1.5s, got 'fast'"),
        ("home 203.0.113.1 up.loss=120%", "home in LAB_LINKS: loss of 120%"),
        ("home 203.0.113.1 mtu=big", "home in LAB_LINKS: expected an mtu in bytes like 1492, got 'big'"),
        ("home 203.0.113.1 colour=red", "unknown axis 'colour' of a link; allowed: delay, jitter, loss"),
    ],
)
def test_notation_that_is_refused(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        entries(text)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"rate": "0"}, "rate of 0bit; allowed: 1kbit to 1gbit, or none"),
        ({"rate": "0mbit"}, "rate of 0bit"),
        ({"loss": "120%"}, "loss of 120%; allowed: 0% to 100%"),
        ({"loss": "-1%"}, "loss of -1%; allowed: 0% to 100%"),
        ({"delay": "-5ms"}, "delay of -5ms; allowed: 0ms to 10s"),
        ({"delay": "11s"}, "delay of 11s; allowed: 0ms to 10s"),
        ({"rate": "1mbit", "queue": "0ms"}, "expected a queue of bytes or of time above zero, got 0ms"),
        ({"rate": "1mbit", "queue": "0"}, "expected a queue of bytes or of time above zero, got 0 bytes"),
        ({"jitter": "5ms"}, "jitter of 5ms with a delay of 0ms; allowed: 0ms up to the delay"),
        ({"delay": "4ms", "jitter": "5ms"}, "jitter of 5ms with a delay of 4ms"),
        ({"mtu": "575"}, "mtu of 575; allowed: 576 to 1500"),
        ({"mtu": "1501"}, "mtu of 1501; allowed: 576 to 1500"),
        ({"mtu": "small"}, "expected an mtu in bytes like 1492, got 'small'"),
        ({"blackhole": "maybe"}, "got 'maybe'"),
        ({"burst": "1%"}, "expected burst=p,r[,1-h[,1-k]] like 1%,25%, got '1%'"),
        ({"burst": "1%,0%"}, "never ends a burst"),
        ({"burst": "1%,101%"}, "burst's r of 101%; allowed: 0% to 100%"),
        ({"loss": "1%", "burst": "1%,25%"}, "one of them"),
        ({"queue": "100ms"}, "a queue without a rate"),
        ({"rate": "1mbit", "queue": "0ms"}, "above zero"),
        ({"rate": "1mbit", "queue": "lots"}, "'lots'"),
    ],
)
def test_changes_that_are_refused(changes: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        changed(Link(), "both", changes)
    assert told in str(refused.value)


def test_ipv6_needs_1280_bytes() -> None:
    with pytest.raises(ConfigError, match="mtu of 1279; allowed: 1280 to 1500 where a site has IPv6"):
        changed(Link(), "both", {"mtu": "1279"}, ipv6=True)
    assert changed(Link(), "both", {"mtu": "1279"}).up.mtu == 1279
    with pytest.raises(ConfigError, match="1280 to 1500"):
        entries("home 203.0.113.32,2001:db8:0:1::32 mtu=1000")


def test_an_mtu_is_of_one_direction_or_of_both_but_not_toward_one_site() -> None:
    link = changed(Link(), "up", {"mtu": "1492"})
    assert (link.up.mtu, link.down.mtu) == (1492, 1500)
    link = changed(link, "down", {"mtu": "1400", "blackhole": "yes"})
    assert (link.up.refused_above, link.up.swallowed_above) == (1492, None)
    assert (link.down.refused_above, link.down.swallowed_above) == (1500, 1400)
    with pytest.raises(
        ConfigError, match="toward flat, on top of the link's own figures: jitter of 5ms with a delay of 0"
    ):
        changed(Link(up=Impairment(delay=0.01)), "toward", {"jitter": "5ms"}, "flat")
    with pytest.raises(ConfigError, match="mtu is of a line, whoever its packets go to; give it without toward"):
        changed(Link(), "toward", {"mtu": "1492"}, "flat")
    with pytest.raises(ConfigError, match="an mtu toward one site alone"):
        Link(toward={"flat": Impairment(mtu=1400)})


def test_a_change_leaves_the_other_figures_and_the_other_direction() -> None:
    link = changed(Link(), "both", {"delay": "10ms", "rate": "1mbit", "queue": "300ms"})
    slower = changed(link, "up", {"delay": "50ms"})
    assert slower.up == Impairment(delay=0.05, rate=1_000_000, queue=Queue(seconds=0.3))
    assert slower.down == link.down
    assert changed(slower, "up", {"rate": "none"}).up == Impairment(delay=0.05)


def test_one_kind_of_loss_takes_the_others_place() -> None:
    bursty = changed(changed(Link(), "up", {"loss": "5%"}), "up", {"burst": "1%,25%"})
    assert (bursty.up.loss, bursty.up.burst) == (0.0, Burst(0.01, 0.25))
    assert changed(bursty, "up", {"loss": "5%"}).up == Impairment(loss=0.05)
    assert changed(bursty, "up", {"loss": "0%"}).up == bursty.up
    assert changed(bursty, "up", {"burst": "none"}).up == Impairment()


def test_toward_is_apart_from_up_and_ends_when_it_is_clean() -> None:
    link = changed(Link(), "toward", {"loss": "100%"}, "office")
    assert (link.up, link.down, dict(link.toward)) == (Impairment(), Impairment(), {"office": Impairment(loss=1.0)})
    assert changed(link, "toward", {"loss": "0%"}, "office") == Link()
    with pytest.raises(ConfigError, match="expected the other site with toward"):
        changed(Link(), "toward", {"loss": "1%"})
    with pytest.raises(ConfigError, match="with nothing else, got 'office'"):
        changed(Link(), "up", {"loss": "1%"}, "office")


@pytest.mark.parametrize("axis", ["mtu", "rate", "queue", "delay", "loss"])
def test_a_number_of_thousands_of_digits_is_refused_as_any_other_nonsense(axis: str) -> None:
    with pytest.raises(ConfigError, match=r"home in LAB_LINKS: .*expected"):
        entries(f"home 203.0.113.32 {axis}={'9' * 5000}")
