"""A Docker Engine and Compose that answer: found, started or installed, or a sentence that says what to do instead.

What to do is decided by one pure function over what was seen; the rest looks, acts, and looks again.
"""

import getpass
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import docker
import requests
from docker.constants import DEFAULT_TIMEOUT_SECONDS
from docker.errors import DockerException

from lab.errors import RuntimeUnavailable
from lab.runtime import machine
from lab.runtime.machine import Progress

OLDEST_API = (1, 41)  # of Engine 20.10
ANSWER_PATIENCE_S = 10.0  # an engine that is up answers in milliseconds; a remote one over ssh takes a second or two
START_PATIENCE_S = 60.0  # a first start makes its storage and its bridge
LOG = Path("/var/log/supernode-lab-dockerd.log")
PID_FILE = Path("/var/run/docker.pid")  # dockerd's own default


_compose_found: list[str] = []


class Answer(StrEnum):
    """What came back when the engine was called."""

    YES = "it answers"
    NOBODY = "no socket, or nobody behind it"
    FORBIDDEN = "no permission to the socket"
    ODD = "something that no engine says"


class Step(StrEnum):
    """What to do next."""

    GO = "engine and Compose answer"
    INSTALL = "install what is missing"
    START = "start the daemon"


@dataclass(frozen=True)
class Facts:
    """What was seen of the machine and its engine. `words` are those of the answer, for the sentence."""

    answer: Answer
    words: str = ""
    endpoint: str | None = None  # DOCKER_HOST, where it is set
    daemon: bool = False  # dockerd is installed
    compose: bool = False
    root: bool = False  # root, or sudo that asks for no password
    may_install: bool = True  # LAB_NO_INSTALL is not set
    apt: bool = True  # Debian, Ubuntu or kin
    systemd: bool = True
    user: str = "you"


def decide(facts: Facts) -> Step:
    """The next step; raises RuntimeUnavailable with what to do where the lab cannot or may not take it."""
    if facts.answer is Answer.YES:
        return Step.GO if facts.compose else _missing("Docker Compose", ["docker-compose"], facts)
    if facts.answer is Answer.FORBIDDEN:
        where = facts.endpoint or "Docker's socket"
        raise RuntimeUnavailable(
            f"no permission to {where}: run `sudo usermod -aG docker {facts.user}`, then `newgrp docker` "
            "(or log in again), and run the command again"
        )
    if facts.endpoint is not None:
        raise RuntimeUnavailable(
            f"the Docker Engine at DOCKER_HOST={facts.endpoint} does not answer ({facts.words}): "
            "start it, or unset DOCKER_HOST to use this machine's own"
        )
    if facts.answer is Answer.ODD:
        raise RuntimeUnavailable(f"the Docker Engine of this machine gives no sensible answer: {facts.words}")
    if not facts.daemon:
        return _missing("Docker", ["docker.io", "docker-compose"], facts)
    if not facts.root:
        raise RuntimeUnavailable(
            f"Docker is installed but does not run: start it with `{_by_hand(facts)}` and run the command again"
        )
    return Step.START


def _missing(what: str, packages: list[str], facts: Facts) -> Step:
    if facts.may_install and facts.root and facts.apt and (facts.endpoint is None or facts.answer is Answer.YES):
        return Step.INSTALL
    how = f"`sudo apt-get install {' '.join(packages)}`" if facts.apt else "your distribution's packages"
    forbidden = ", and LAB_NO_INSTALL forbids installing it" if not facts.may_install else ""
    raise RuntimeUnavailable(f"{what} is not installed{forbidden}: install it with {how} and run the command again")


def _by_hand(facts: Facts) -> str:
    return "sudo systemctl start docker" if facts.systemd else "sudo dockerd &"


def ensure_engine(progress: Progress) -> docker.DockerClient:
    """A client of an engine that answers; installs and starts the distribution's where that is needed and allowed.

    Honours DOCKER_HOST. Raises RuntimeUnavailable with what to do where the engine or Compose cannot be had.
    """
    done: set[Step] = set()
    while True:
        facts, client = look()
        step = decide(facts)
        if step is Step.GO and client is not None:
            return client
        if step in done:  # it was done, said nothing against it, and changed nothing
            raise RuntimeUnavailable(f"tried to {step.value}, yet still: {facts.answer.value} {facts.words}".rstrip())
        done.add(step)
        if step is Step.INSTALL:
            _install(facts, progress)
        else:
            _start(facts, progress)


def compose_command() -> list[str]:
    """How Compose is called here: the plugin if it answers, else docker-compose; RuntimeUnavailable if neither."""
    found = _compose()
    if found is None:
        decide(Facts(Answer.YES, compose=False, may_install=machine.may_install(), root=False, apt=_has_apt()))
        raise AssertionError("decide() let a missing Compose pass")
    return found


# looking ------------------------------------------------------------------------------------------------------------


def look() -> tuple[Facts, docker.DockerClient | None]:
    """What is true now, and the client where the engine answers. Changes nothing."""
    answer, words, client = _call()
    compose = _compose() is not None
    settled = answer is Answer.YES and compose
    facts = Facts(
        answer=answer,
        words=words,
        endpoint=os.environ.get("DOCKER_HOST") or None,
        daemon=machine.find("dockerd") is not None,
        compose=compose,
        root=settled or machine.as_root() is not None,
        may_install=machine.may_install(),
        apt=_has_apt(),
        systemd=machine.has_systemd(),
        user=getpass.getuser(),
    )
    return facts, client


def _call() -> tuple[Answer, str, docker.DockerClient | None]:
    try:
        client = docker.from_env(timeout=int(ANSWER_PATIENCE_S))
        said = client.version()
        version = tuple(int(part) for part in str(said["ApiVersion"]).split("."))
    except (DockerException, requests.RequestException, OSError, KeyError, ValueError) as error:
        return *classify(error), None
    if version < OLDEST_API:
        return Answer.ODD, f"it is Engine {said.get('Version')}, and the lab needs 20.10 or newer", None
    client.api.timeout = DEFAULT_TIMEOUT_SECONDS
    return Answer.YES, "", client


def classify(error: BaseException) -> tuple[Answer, str]:
    """What an exception of the SDK means, and the innermost words that say why."""
    chain = list(_causes(error))
    words = machine.last_words(str(chain[-1]), 1)
    if any(isinstance(cause, PermissionError) for cause in chain):
        return Answer.FORBIDDEN, words
    if any(isinstance(cause, FileNotFoundError | ConnectionRefusedError) for cause in chain):
        return Answer.NOBODY, words
    return Answer.ODD, words


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what lies under it; urllib3 hides the socket's own error among the arguments of its errors."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        found = waiting.pop(0)
        if not isinstance(found, BaseException) or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [found.__cause__, found.__context__, *found.args]


def _compose() -> list[str] | None:
    """The command that answers. Found once, it is not asked again: docker-compose 1.29 takes half a second."""
    if _compose_found:
        return list(_compose_found)
    for command in (["docker", "compose"], ["docker-compose"]):
        if machine.find(command[0]) is None:
            continue
        try:
            asked = subprocess.run([*command, "version"], capture_output=True, timeout=ANSWER_PATIENCE_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0:
            _compose_found[:] = command
            return command
    return None


def _has_apt() -> bool:
    return machine.find("apt-get") is not None


# acting -------------------------------------------------------------------------------------------------------------


def _install(facts: Facts, progress: Progress) -> None:
    machine.refresh_packages(progress)
    # Ubuntu calls the plugin docker-compose-v2 and has the old program beside it; a release of Debian has one of them.
    wanted = [["docker-compose-v2", "docker-compose"]]
    if facts.answer is not Answer.YES:
        # From Debian 13 on the command is a package of its own; iptables is the daemon's, and only recommended there.
        wanted = [["docker.io"], ["docker-cli"], ["iptables"], ["ca-certificates"], *wanted]
    packages = [known for names in wanted for known in [n for n in names if machine.package_known(n)][:1]]
    what = "Docker Compose" if facts.answer is Answer.YES else "Docker"
    machine.install(packages, progress, f"{what} is not installed here")


def _start(facts: Facts, progress: Progress) -> None:
    """Start the daemon and wait until it answers or ends; it outlives this program."""
    root = machine.as_root() or []
    if facts.systemd:
        progress("starting Docker (systemctl start docker)")
        machine.run([*root, "systemctl", "start", "docker"], "systemctl start docker", timeout_s=START_PATIENCE_S)
        _await_answer(None)
        return
    progress(f"starting Docker (dockerd in the background, log {LOG})")
    # The shell opens the log as root; PATH is widened because the daemon looks for iptables in it.
    script = 'PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" exec dockerd >>"$0" 2>&1'
    daemon = subprocess.Popen(
        [*root, "sh", "-c", script, str(LOG)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    _await_answer(daemon)


def _await_answer(daemon: subprocess.Popen[bytes] | None) -> None:
    """Wait until somebody answers at the socket, permitted or not; a daemon that ended says why in its log."""
    deadline = time.monotonic() + START_PATIENCE_S
    while True:
        # A package's own start script may have been quicker: then ours ends, and the other one is waited for.
        ended = daemon is not None and daemon.poll() is not None and not _another_daemon()
        answer, words, _ = _call()
        if answer in (Answer.YES, Answer.FORBIDDEN):
            return
        if ended or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    said = _log_tail() if daemon is not None else f"`journalctl -u docker` says why ({words})"
    raise RuntimeUnavailable(f"the Docker daemon {'ended at once' if ended else 'does not answer'}: {said}")


def _another_daemon() -> bool:
    try:
        pid = int(PID_FILE.read_text())
    except (OSError, ValueError):
        return False
    return Path(f"/proc/{pid}").exists()


def _log_tail() -> str:
    root = machine.as_root() or []
    asked = subprocess.run([*root, "tail", "-n", "5", str(LOG)], capture_output=True, text=True, check=False)
    return machine.last_words(asked.stdout, 2)
