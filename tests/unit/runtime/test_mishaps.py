"""An engine that goes away is one sentence, whichever library notices."""

import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
import requests
import urllib3

from lab.errors import RuntimeUnavailable
from lab.runtime.logs import Log, Logs
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import Container

GONE = urllib3.exceptions.ProtocolError("Connection broken: InvalidChunkLength(got length b'', 0 bytes read)")


class Api:
    """An engine that ends in the middle of a log."""

    def logs(self, container: str, **options: Any) -> Iterator[bytes]:
        yield b'{"event": "starting"}\n'
        raise GONE


ENGINE = cast(Any, type("Client", (), {"api": Api()}))


@pytest.mark.parametrize("error", [GONE, requests.exceptions.ConnectionError("refused"), OSError("broken pipe")])
def test_it_is_one_sentence_that_says_what_to_do(error: Exception) -> None:
    told = r"Docker Engine went away.*read a log.*`lab doctor` says"
    with pytest.raises(RuntimeUnavailable, match=told), engine_errors("read a log"):
        raise error


def test_the_reason_is_the_innermost_one_in_plain_words() -> None:
    inner = ConnectionResetError(104, "Connection reset by peer")
    error = requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", inner))
    with pytest.raises(RuntimeUnavailable, match=r"\(\[Errno 104\] Connection reset by peer\):"), engine_errors("look"):
        raise error


def test_a_log_that_breaks_off_has_given_what_it_had() -> None:
    log = iter(Log(ENGINE, "c"))
    assert next(log) == ('{"event": "starting"}', {"event": "starting"})
    with pytest.raises(RuntimeUnavailable, match="went away"):
        next(log)


def test_whoever_waits_for_lines_of_several_nodes_hears_of_it() -> None:
    with Logs(ENGINE, [Container("bob", "c", "running")], lambda container: 0.0) as logs:
        assert logs.next(deadline=time.monotonic() + 5)
        with pytest.raises(RuntimeUnavailable, match="went away"):
            logs.next(deadline=time.monotonic() + 5)
