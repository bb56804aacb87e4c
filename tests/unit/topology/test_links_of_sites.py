"""Which access links a file may give: at core those of sites on the internet, at a carrier those behind it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import ConfigError
from lab.topology import parse

COMPOSE = Path(__file__).parents[3] / "compose"


pytestmark = pytest.mark.slow  # each reads a zoo of its own


def zoo(folder: Path, change: Callable[[Any], object] = lambda document: None, **links: str) -> Any:
    """The zoo after a change, with LAB_LINKS of some nodes (`_` for -) in place of those that it has."""
    document = yaml.load((COMPOSE / "zoo.yml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    change(document)
    for node, text in links.items():
        service = document["services"][node.replace("_", "-")]
        service["environment"] = {**service["environment"], "LAB_LINKS": text}
    for beside in ("base.yml", ".env"):
        (folder / beside).write_text((COMPOSE / beside).read_text())
    (folder / "lab.yml").write_text(json.dumps(document))  # which is YAML too
    return parse(folder / "lab.yml", {})


@pytest.mark.parametrize(
    ("links", "sentence"),
    [
        ({"core": "moon 203.0.113.31 delay=1ms"}, "node core: LAB_LINKS names moon; sites on the internet are address"),
        ({"core": "mobile-1 100.64.63.11"}, "node core: LAB_LINKS names mobile-1; sites on the internet are address"),
        ({"core": "linux-1 203.0.113.99"}, "for linux-1 in LAB_LINKS, as linux-1-router has, got 203.0.113.99"),
        (
            {"carrier_1_router": "mobile-4 100.64.65.11"},
            "node carrier-1-router: LAB_LINKS names mobile-4; sites behind carrier-1 are mobile-1, mobile-2, mobile-3",
        ),
        (
            {"carrier_1_router": "mobile-1 100.64.63.12"},
            "node carrier-1-router: expected 100.64.63.11 for mobile-1 in LAB_LINKS, as mobile-1-router has, got 100.6",
        ),
        (
            {"carrier_1_router": "mobile-1 100.64.63.11 delay=20ms"},
            "node mobile-1-router: expected LAB_LINKS 'mobile-1 100.64.63.11 up.delay=20ms down.delay=20ms' as "
            "carrier-1-router has it, for a carrier's line ends at both, got mobile-1 100.64.63.11 up.delay=10ms ",
        ),
        (
            {"carrier_2_router": ""},
            "node carrier-2-router: expected LAB_LINKS 'mobile-4 100.64.65.11 up.delay=10ms down.delay=10ms' as "
            "mobile-4-router has it, for a carrier's line ends at both, got none",
        ),
        (
            {"linux_1_router": "linux-1 203.0.113.47"},
            "node linux-1-router: LAB_LINKS is for core, carriers, and routers behind one; give core linux-1's",
        ),
        (
            {"carrier_1_router": "", "mobile_1_router": "mobile-2 100.64.63.12"},
            "node mobile-1-router: expected mobile-1 alone in LAB_LINKS, got mobile-2",
        ),
        ({"mobile_1_router": "mobile-1"}, "node mobile-1-router: expected LAB_LINKS like"),
        (
            {"carrier_1_router": "mobile-1 100.64.63.11 toward.mobile-2.loss=5%; mobile-2 100.64.63.12"},
            "node carrier-1-router: expected no toward. for mobile-1 in LAB_LINKS, whose packets go to addresses "
            "outside carrier-1, got toward.mobile-2; leave it away (`lab set mobile-1 --toward SITE` is for sites on ",
        ),
        (
            {"carrier_1_router": "carrier-1 203.0.113.63,203.0.113.64,2001:db8:0:1::63"},
            "node carrier-1-router: LAB_LINKS is for core, carriers, and routers behind one; give core carrier-1's",
        ),
    ],
)
def test_links_of_others_are_refused(links: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        zoo(tmp_path, **links)
    assert sentence in str(refusal.value)


def test_sites_behind_a_carrier_may_go_without(tmp_path: Path) -> None:
    assert zoo(tmp_path, carrier_2_router="", mobile_4_router="").behind("mobile-4") == "carrier-2"


def behind_another(document: Any) -> None:
    """Carrier-2 is a subscriber of carrier-1."""
    services = document["services"]
    router, core = services["carrier-2-router"], services["core"]["environment"]
    router["networks"] = {
        "carrier-1": {"ipv4_address": "${LAB_CARRIERS}.63.20"},
        "carrier-2": {"ipv4_address": "${LAB_CARRIERS}.65.1"},
    }
    router["environment"]["LAB_UPSTREAM"] = "${LAB_CARRIERS}.63.1"
    for told in (router["labels"], router["environment"]):
        del told["lab.outer"]
    core["LAB_LINKS"] = ";".join(entry for entry in core["LAB_LINKS"].split(";") if "carrier-2 " not in entry)


NO_LINES = {f"mobile_{number}_router": "" for number in (1, 2, 3)}
LINE = "carrier-2 100.64.63.20 delay=10ms"


def test_a_carrier_behind_another_has_a_line_of_its_own(tmp_path: Path) -> None:
    found = zoo(tmp_path, behind_another, carrier_1_router=LINE, carrier_2_router=LINE, mobile_4_router="", **NO_LINES)
    assert found.behind("carrier-2") == "carrier-1"


def test_what_sits_behind_two_has_none(tmp_path: Path) -> None:
    own = "mobile-4 100.64.65.11 delay=10ms"
    with pytest.raises(
        ConfigError, match="expected no site behind carrier-2 in its LAB_LINKS, for carrier-2 sits behi"
    ):
        zoo(tmp_path, behind_another, carrier_1_router="", carrier_2_router=own, mobile_4_router=own, **NO_LINES)
