"""The one tree of errors that a person can meet.

A message is one sentence that names what, expected, got, and what to do. Nothing here prints or exits.
"""


class LabError(Exception):
    """Base of every error of the lab; the command line makes one sentence and an exit code of it, no traceback."""

    exit_code = 2


class ConfigError(LabError):
    """The request or the topology is wrong; nothing was changed."""


class PortTaken(ConfigError):
    """A port that a program is to listen at is another's."""


class RuntimeUnavailable(LabError):
    """The world is not there: no engine, no permission, the lab is not up."""


class NotNow(RuntimeUnavailable):
    """The world is there and in another state than this needs: a lab that is down, a node that is stopped, a client
    that is offline or in a call. Nothing was changed."""


class AddressTaken(RuntimeUnavailable):
    """Somebody else on a network has been given the address that was free a moment ago."""


class ProtocolError(LabError):
    """A peer broke the protocol; the offender is cut off and counted."""

    exit_code = 1


class CredentialExpired(ProtocolError):
    """The authority's word for a name is too old; its holder has to enrol again, and has broken nothing."""


class EvidenceError(LabError):
    """The packets do not allow a verdict: an empty or truncated capture, a missing witness."""

    exit_code = 1


class RecordTorn(EvidenceError):
    """What is kept of a call cannot be read, or a part of it is not there."""

    exit_code = 2


class Interrupted(KeyboardInterrupt):
    """Somebody has ended what went on; the message says what is kept of it, `call` of which call, if of one."""

    call: str | None = None


class Unread(KeyboardInterrupt):
    """Whoever read what is printed has closed the pipe; it ends what goes on as Ctrl-C does, and is not told."""
