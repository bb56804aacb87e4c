"""What goes wrong between the lab and the engine, said in one sentence of the lab's own errors.

Belongs here: the translation of the SDK's exceptions. Never: retries, printing, exit codes.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3
from docker.errors import APIError, DockerException

from lab.errors import AddressTaken, RuntimeUnavailable
from lab.runtime.engine import classify

TAKEN = "address already in use"
"""What both engines say of an address on a network that another container has. No port is published, whose
would sound the same."""


@contextmanager
def engine_errors(doing: str) -> Iterator[None]:
    """Turn every exception of the SDK inside the block into RuntimeUnavailable: `doing` failed, and why; AddressTaken
    where that is why.

    An engine that ends in the middle of an answer shows as an exception of urllib3, which the SDK lets through.
    """
    try:
        yield
    except APIError as error:
        reason = str(error.explanation or error).strip()
        kind = AddressTaken if TAKEN in reason.lower() else RuntimeUnavailable
        raise kind(f"the engine could not {doing}: {reason}") from error
    except (DockerException, requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        _, reason = classify(error)
        raise RuntimeUnavailable(
            f"the Docker Engine went away or did not answer while it was asked to {doing} ({reason}): "
            "`lab doctor` says what to mend, then `lab up` again"
        ) from error
