"""The site that the README adds to the reference lab is one that the lab accepts."""

import re
import shutil
from pathlib import Path

from lab.topology.parse import parse

ROOT = Path(__file__).parents[3]


def test_the_site_of_the_readme_can_be_added_to_the_reference_lab(tmp_path: Path) -> None:
    for file in (ROOT / "compose").iterdir():
        shutil.copy(file, tmp_path / file.name)
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```yaml\n(x-sites:.*?)```", readme, re.DOTALL)
    (link,) = re.findall(r"its line: `(cafe .*?)`", readme)
    text = (tmp_path / "reference.yml").read_text()
    for name, added in re.findall(r"^([a-z-]+):\n((?:  .*\n)+)", block, re.MULTILINE):
        text = re.sub(rf"^{name}:\n", lambda found, added=added: found.group() + added, text, flags=re.MULTILINE)
    text, count = re.subn(r"(        bank \$.* delay=10ms)\n", lambda found: f"{found[1]};\n        {link}\n", text)
    assert count == 1
    # an alias has to stand below its anchor, and the reference has anchors of its own above the networks
    (tmp_path / "my.yml").write_text(text)
    topology = parse(tmp_path / "my.yml", {})
    assert topology.router_of("cafe").firewall == "udp-blocked"
    assert topology.node("gina").site == "cafe"
