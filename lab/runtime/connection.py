"""The connection to an engine that runs already, for every command but `up`.

Belongs here: connecting. Never: installing or starting an engine; that is the bootstrap's (engine.py).
"""

import getpass
import os

import docker
import requests
from docker.constants import DEFAULT_TIMEOUT_SECONDS
from docker.errors import DockerException

from lab.errors import RuntimeUnavailable
from lab.runtime.engine import Answer, Facts, classify, decide
from lab.runtime.mishaps import engine_errors

Engine = docker.DockerClient
"""An engine's API; the other rooms hold it and hand it on, and never call it."""


def connect() -> Engine:
    """A client of the engine of DOCKER_HOST, or of this machine's; raises RuntimeUnavailable with what to do."""
    endpoint = os.environ.get("DOCKER_HOST") or None
    try:
        return docker.from_env(timeout=DEFAULT_TIMEOUT_SECONDS)  # asks for the version, so it has answered
    except (DockerException, requests.RequestException, OSError) as error:
        answer, words = classify(error)
        if endpoint or answer is not Answer.NOBODY:
            decide(Facts(answer, words, endpoint, user=getpass.getuser()))
        raise RuntimeUnavailable(
            f"no Docker Engine answers on this machine ({words}): `make lab-up` installs or starts one"
        ) from error


def still_there(engine: Engine, doing: str) -> None:
    """Return where the engine answers; RuntimeUnavailable where it was its end that failed what was being done."""
    with engine_errors(doing):
        engine.api.ping()
