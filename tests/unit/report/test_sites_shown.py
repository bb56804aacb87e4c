"""The tree of sites that `lab up` ends with."""

from pathlib import Path

from rich.console import Console

from lab.report.sites import tree
from lab.topology import parse

ROOT = Path(__file__).parents[3]


def test_each_node_stands_once_and_a_proxy_at_its_site() -> None:
    zoo = parse(ROOT / "compose" / "zoo.yml")
    console = Console(width=120)
    with console.capture() as capture:
        console.print(tree(zoo, "zoo"))
    lines = [line.strip("│├└─ ").split(" ")[0] for line in capture.get().splitlines()]
    assert all(lines.count(node.name) == 1 for node in zoo.nodes)
    site = lines.index("proxy-only-1")
    assert set(lines[site + 1 : site + 4]) == {"proxy-only-1-router", "proxy-only-1-proxy", "proxy-only-1-pc"}
