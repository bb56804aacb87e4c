"""A Debian root file system put together from packages, for engines that reach no registry.

The mirror is the one that this machine's apt uses (on other distributions mmdebstrap's own choice); none is named here.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from lab.errors import RuntimeUnavailable
from lab.runtime import machine
from lab.runtime.machine import Progress

SUITE = "trixie"  # Debian 13: Python 3.13, nft 1.1, iptables 1.8.11
TOOLS = ("mmdebstrap", "debian-archive-keyring", "gpg")  # gpg: mmdebstrap asks it which keyring knows the suite
KEYRINGS = ("/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp")
PATIENCE_S = 900
# apt's settings of this machine that its mirror may need: proxies, certificates, validity of old snapshots.
CARRIED = re.compile(r"^Acquire::(?:https?\b|Check-|Retries|ForceIPv)[^;]*;$")
LEFT_OVER = ("/var/lib/apt/lists/*", "/var/cache/debconf/*-old", "/var/log/*", "/etc/apt/apt.conf.d/99mmdebstrap")
UNREAD = ("doc", "info", "locale", "man", "bash-completion", "lintian")


def make(archive: IO[bytes], packages: Path, arch: str, progress: Progress) -> None:
    """Write a tar of the root file system with the listed packages for `arch` (amd64, arm64) to `archive`.

    Raises RuntimeUnavailable where mmdebstrap is missing and may not be installed, or with its last words if it fails.
    """
    ensure_tools(progress)
    root = machine.as_root() or []  # a plain user's mmdebstrap works in user namespaces, where the machine allows them
    mirrors: list[str | None] = [*debian_mirrors(), None]
    failure: RuntimeUnavailable | None = None
    for mirror in mirrors:
        archive.seek(0)
        archive.truncate()
        try:
            machine.run(
                [*root, *command(listed(packages.read_text()), arch, mirror, carried_settings())],
                "putting lab/base together with mmdebstrap",
                timeout_s=PATIENCE_S,
                stdout=archive,
                each_line=lambda line: _tell(line, progress),
            )
            return
        except RuntimeUnavailable as error:
            failure = failure or error  # the words about the machine's own mirror say more than those about a guess
    assert failure is not None
    raise failure


def listed(text: str) -> list[str]:
    """Package names of a list with one name a line and # comments."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def command(packages: list[str], arch: str, mirror: str | None, settings: list[str]) -> list[str]:
    """The mmdebstrap command that writes the tar to its standard output; mirror None: its own choice."""
    clean = "rm -rf " + " ".join(f'"$1"{path}' for path in LEFT_OVER)
    return [
        *(
            "mmdebstrap",
            "--variant=minbase",
            "--format=tar",
            f"--architectures={arch}",
            f"--include={','.join(packages)}",
        ),
        *(f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in UNREAD),
        *(f"--aptopt={setting}" for setting in settings),
        f"--customize-hook={clean}",
        *(SUITE, "-", *([f"deb {mirror} {SUITE} main"] if mirror else [])),
    ]


def debian_mirrors() -> list[str]:
    """The mirror of Debian that this machine's apt uses; empty on other distributions."""
    if machine.distribution().get("ID") != "debian":
        return []
    wanted = [
        "apt-get",
        "indextargets",
        "--format",
        "$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(REPO_URI)",
        "Created-By: Packages",
    ]
    asked = subprocess.run(wanted, capture_output=True, text=True, check=False)
    return list(main_archive(asked.stdout))[:1]


def main_archive(targets: str) -> Iterator[str]:
    """URIs of Debian's main archive; origin and label are empty while the package lists are not fetched."""
    for line in targets.splitlines():
        origin, label, component, uri = line.split("|", 3)
        if origin in ("Debian", "") and label in ("Debian", "") and component == "main" and "security" not in uri:
            yield uri


def carried_settings() -> list[str]:
    """apt's settings of this machine, one a line as apt-config prints them, that reaching its mirror may need."""
    asked = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False)
    return [line for line in asked.stdout.splitlines() if CARRIED.match(line)]


def ensure_tools(progress: Progress) -> None:
    """Make sure of mmdebstrap and Debian's keyring; raises RuntimeUnavailable with what to type where it cannot."""
    root = machine.as_root() is not None
    lacking = [] if machine.find("mmdebstrap") and any(Path(path).exists() for path in KEYRINGS) else list(TOOLS)
    if not root and not machine.find("newuidmap"):
        lacking.append("uidmap")  # a plain user's mmdebstrap unpacks in a user namespace
    if not lacking:
        return
    why = "no registry answers Docker, so lab/base is made from Debian packages by mmdebstrap"
    if not machine.find("apt-get"):
        raise RuntimeUnavailable(f"{why}: let Docker reach its registry, or start the lab on Debian or Ubuntu")
    if not machine.may_install() or not root:
        typed = f"sudo apt-get install {' '.join(lacking)}"
        raise RuntimeUnavailable(f"{why}, which is not complete here: run `{typed}`, then the command again")
    machine.refresh_packages(progress)
    machine.install(lacking, progress, why)


def _tell(line: str, progress: Progress) -> None:
    """Pass on the steps that take time, in mmdebstrap's own words."""
    if line.startswith("I: ") and line.endswith("..."):
        progress(f"lab/base: {line[3:-3]}")
