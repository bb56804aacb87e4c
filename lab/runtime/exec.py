"""A process inside a running container, its three streams over one connection to the engine.

Belongs here: the engine's exec protocol. Never: what is run, or what its output means.
A remote process is written so that it ends when its stdin does: the engine closes that when this side is gone.
"""

import contextlib
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from docker import DockerClient

from lab.runtime.mishaps import engine_errors

STDOUT, STDERR = 1, 2
_HEADER = struct.Struct(">BxxxL")  # Engine API, "Attach to a container": stream type, three zeros, length

# Where the engine itself runs in a chroot, a process that joins a container finds the host's files at its root, and the
# container's below: in the folder under which the engine has bound /etc/hostname. Elsewhere that folder is the root.
_SCRIPT = r"""
root=$(sed -n 's|^[^ ]* [^ ]* [^ ]* [^ ]* \([^ ]*\)/etc/hostname .*|\1|p' /proc/self/mountinfo | tail -n 1)
[ -z "$root" ] || exec chroot "$root" "$@"
exec "$@"
"""
_INSIDE = ("sh", "-c", _SCRIPT, "inside")


@dataclass(frozen=True)
class Finished:
    """What a process left behind."""

    status: int
    stdout: bytes
    stderr: bytes


class Stream:
    """A process's three streams: `chunks()` yields its output as it comes, `write` feeds its stdin, `close` lets go.

    One thread may read while others write.
    """

    def __init__(self, api: Any, response: Any, tty: bool) -> None:
        """`response`: the engine's, whose connection the streams go over from now on."""
        self._api, self._response, self._tty = api, response, tty
        self._reader: Any = response.raw._fp.fp
        self._socket: socket.socket = self._reader.raw._sock
        self._socket.settimeout(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """Send bytes to stdin; raises OSError when the process is gone."""
        self._socket.sendall(data)

    def close_stdin(self) -> None:
        """End the process's stdin and go on reading its output."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """(STDOUT or STDERR, bytes) until the process has ended or `close` was called."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: closed by another thread
            while True:
                if self._tty:
                    kind, data = STDOUT, self._reader.read1(65536)
                else:
                    header = self._reader.read(_HEADER.size)
                    if len(header) < _HEADER.size:
                        return
                    kind, length = _HEADER.unpack(header)
                    data = self._reader.read(length)
                if not data:
                    return
                yield kind, data

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process's terminal its size, in characters."""
        raise NotImplementedError

    def status(self) -> int | None:
        """The exit status, or None while it runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Drop the connection: a reader in another thread ends, and so does the remote process's stdin."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._response.close()


class ExecStream(Stream):
    """A started process in a running container. Raises RuntimeUnavailable where the container does not run."""

    def __init__(
        self,
        client: DockerClient,
        container: str,
        argv: Sequence[str],
        *,
        stdin: bool = False,
        tty: bool = False,
        environment: dict[str, str] | None = None,
    ) -> None:
        api: Any = client.api
        with engine_errors(f"run {argv[0]} in a container"):
            created = api.exec_create(container, [*_INSIDE, *argv], stdin=stdin, tty=tty, environment=environment)
            self.id: str = created["Id"]
            # exec_start(socket=True) hands out the raw socket and loses what the response's buffered reader has read
            # past the headers: so the same request is made here and the buffered reader is kept.
            response = api._post_json(
                api._url("/exec/{0}/start", self.id),
                headers={"Connection": "Upgrade", "Upgrade": "tcp"},
                data={"Tty": tty, "Detach": False},
                stream=True,
            )
            api._raise_for_status(response)
        super().__init__(api, response, tty)

    def resize(self, rows: int, columns: int) -> None:
        """Tell the process's terminal its size, in characters."""
        with engine_errors("resize a terminal"):
            self._api.exec_resize(self.id, height=rows, width=columns)

    def status(self) -> int | None:
        """The exit status, or None while it runs."""
        with engine_errors("ask for an exit status"):
            code = self._api.exec_inspect(self.id)["ExitCode"]
        return None if code is None else int(code)


def run(client: DockerClient, container: str, argv: Sequence[str], stdin: bytes | None = None) -> Finished:
    """Run a command to its end; raises RuntimeUnavailable where the container does not run."""
    output: dict[int, list[bytes]] = {STDOUT: [], STDERR: []}
    with ExecStream(client, container, argv, stdin=stdin is not None) as stream:
        if stdin is not None:
            with contextlib.suppress(OSError):
                stream.write(stdin)
            stream.close_stdin()
        for kind, data in stream.chunks():
            output[kind].append(data)
        status = stream.status()
    return Finished(-1 if status is None else status, b"".join(output[STDOUT]), b"".join(output[STDERR]))
