"""Which access links a file may give: at core those of sites on the internet, at a carrier those behind it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import ConfigError
from lab.topology import parse

COMPOSE = Path(__file__).parents[3] / "compose"


pytestmark = pytest.mark.slow  # each reads a zoo of its own


def zoo(folder: Path, **links: str) -> Any:
    """The zoo with LAB_LINKS of some nodes (`_` for -) in place of those that it has."""
    document = yaml.load((COMPOSE / "zoo.yml").read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
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
    ],
)
def test_links_of_others_are_refused(links: dict[str, str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refusal:
        zoo(tmp_path, **links)
    assert sentence in str(refusal.value)


def test_sites_behind_a_carrier_may_go_without(tmp_path: Path) -> None:
    assert zoo(tmp_path, carrier_2_router="", mobile_4_router="").behind("mobile-4") == "carrier-2"
