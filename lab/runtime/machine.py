"""The machine that the lab is started on: what it is, and running or installing programs on it.

Only the engine's bootstrap and the making of images come here; once both stand, the lab needs the Docker socket alone.
"""

import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from lab.errors import RuntimeUnavailable

Progress = Callable[[str], None]
APT_PATIENCE_S = 900  # a slow mirror on a slow line


def checkout() -> Path:
    """The folder that holds images/ and compose/: LAB_ROOT, else the package's own, else the nearest above here."""
    named = os.environ.get("LAB_ROOT")
    for folder in (
        *([Path(named)] if named else []),
        Path(__file__).resolve().parents[2],
        Path.cwd(),
        *Path.cwd().parents,
    ):
        if (folder / "images" / "base" / "packages.txt").is_file():
            return folder
    raise RuntimeUnavailable(
        f"no checkout of supernode-lab at or above {Path.cwd()} (looked for images/base/packages.txt): "
        "change into the checkout and run the command again"
    )


def may_install() -> bool:
    """False where the user forbids changes to the machine with LAB_NO_INSTALL=1."""
    return os.environ.get("LAB_NO_INSTALL", "") in ("", "0")


def has_systemd() -> bool:
    """True where systemd runs the machine; sd_booted(3) looks at the same folder."""
    return Path("/run/systemd/system").is_dir()


def distribution() -> dict[str, str]:
    """The fields of os-release(5), empty where the file is missing."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def find(program: str) -> str | None:
    """Path of a program; /usr/sbin counts too, which a plain user's PATH leaves out on Debian."""
    return shutil.which(program, path=os.environ.get("PATH", os.defpath) + ":/usr/local/sbin:/usr/sbin:/sbin")


def as_root() -> list[str] | None:
    """What goes before a command that needs root: nothing for root, sudo if it asks for no password, else None."""
    if os.geteuid() == 0:
        return []
    if find("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0:
        return ["sudo", "-n"]
    return None


def last_words(text: str, lines: int = 3) -> str:
    """The last non-empty lines of what a program said, on one line."""
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return " / ".join(said[-lines:]) or "it said nothing"


def run(
    command: Sequence[str],
    what: str,
    *,
    timeout_s: float,
    stdout: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    each_line: Progress | None = None,
) -> str:
    """Run a program to its end and return what it said (standard error alone where stdout goes to a file).

    Raises RuntimeUnavailable, "WHAT failed: its last words", if it cannot start, fails, or outlasts timeout_s.
    """
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if each_line:
            each_line(line)

    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE if stdout else subprocess.STDOUT,
            env={**os.environ, **env} if env else None,
        )
    except OSError as error:
        raise RuntimeUnavailable(f"{what} failed: {command[0]} does not start ({error.strerror})") from error
    late = threading.Event()
    with process:
        _listen(process, hear, timeout_s, late)
    words = "\n".join(said)
    if late.is_set():
        raise RuntimeUnavailable(f"{what} did not end within {timeout_s:.0f} s: {last_words(words)}")
    if process.returncode:
        raise RuntimeUnavailable(f"{what} failed: {last_words(words)}")
    return words


def _listen(process: subprocess.Popen[bytes], hear: Progress, timeout_s: float, late: threading.Event) -> None:
    """Hear what the process says line by line; end it at the deadline, or when the reader is interrupted."""

    def give_up() -> None:
        late.set()
        process.terminate()

    alarm = threading.Timer(timeout_s, give_up)
    alarm.daemon = True
    alarm.start()
    try:
        for raw in process.stderr or process.stdout or ():
            hear(raw.decode(errors="replace").rstrip())
        process.wait()
    except BaseException:
        process.terminate()
        raise
    finally:
        alarm.cancel()


_WAIT = ("-o", "DPkg::Lock::Timeout=120")  # a fresh machine's own updates may hold apt's lock


def refresh_packages(progress: Progress) -> None:
    """Fetch apt's package lists: a fresh machine often holds none, or old ones that name versions long gone."""
    progress("fetching the package lists (apt-get update)")
    run([*(as_root() or []), "apt-get", "-q", *_WAIT, "update"], "apt-get update", timeout_s=APT_PATIENCE_S)


def package_known(name: str) -> bool:
    """True where apt has a version of the package to install."""
    asked = subprocess.run(["apt-cache", "policy", name], capture_output=True, text=True, check=False)
    return any("Candidate:" in line and "(none)" not in line for line in asked.stdout.splitlines())


def install(packages: Iterable[str], progress: Progress, why: str) -> None:
    """Install packages of the distribution, saying so. The caller has asked may_install() and refreshed the lists.

    Raises RuntimeUnavailable with what to do by hand where this is not root, or with apt's last words.
    """
    names = list(packages)
    root = as_root()
    if root is None:
        raise RuntimeUnavailable(f"{why}: install {' '.join(names)} and run the command again")
    progress(f"{why}: installing {' '.join(names)} (LAB_NO_INSTALL=1 refuses this)")
    quietly = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", *_WAIT]
    run(
        [*quietly, "install", "--no-install-recommends", *names],
        f"installing {' '.join(names)}",
        timeout_s=APT_PATIENCE_S,
    )
