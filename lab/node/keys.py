"""The secrets of a program's TLS connections and calls, kept for whoever looks at its packets: a lab's own wish, never
the rule.

Only where LAB_KEYLOG=1 says so, in files that are gone with the container. Whoever has these lines can read what the
connections carried, and hear what was said: the voice has keys of its own, which are in no TLS connection.
Belongs here: keeping lines, and giving out those that are asked for.
"""

import base64
import os
import ssl
from pathlib import Path

from lab.errors import ConfigError

FILE = Path("/run/lab/tls-keys")
VOICE = Path("/run/lab/voice-keys")
"""A line a call: its id, and the key with which this client sends, as RFC 4568 has it (6.2.1, 9.1)."""
VARIABLE = "LAB_KEYLOG"
MOST_ASKED = 500
"""Connections that one order asks about: an order is a line of 64 kB."""


def kept() -> bool:
    """Whether this program was started to keep them."""
    return os.environ.get(VARIABLE, "") == "1"


def logged(context: ssl.SSLContext) -> ssl.SSLContext:
    """The context, which from now on keeps its connections' secrets where that is wanted."""
    if kept():
        FILE.parent.mkdir(parents=True, exist_ok=True)
        context.keylog_filename = str(FILE)
    return context


def voice(call: str, send: bytes) -> None:
    """Keep the key (SRTP master key and salt) of a call's voice where that is wanted."""
    if kept():
        VOICE.parent.mkdir(parents=True, exist_ok=True)
        with VOICE.open("a") as file:
            file.write(f"{call} AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(send).decode()}\n")


def of_call(label: object) -> str:
    """What was kept of a call by the user's name for it, without that; empty where nothing was. Names are used again
    where a checkout is new: it is the last of that name."""
    try:
        lines = VOICE.read_text().splitlines()
    except OSError:
        return ""
    found = [line.partition(" ") for line in lines]
    return next((said for call, _, said in reversed(found) if label in (call, call.partition(".")[0])), "")


def of(randoms: object) -> str:
    """The lines (NSS key log format) of connections by their client's random in hex; raises ConfigError where none are
    kept."""
    if not kept():
        raise ConfigError(f"this node keeps no keys of its connections; it does where it was started with {VARIABLE}=1")
    if not isinstance(randoms, list) or len(randoms) > MOST_ASKED:
        raise ConfigError(f"the order for keys names no list of at most {MOST_ASKED} randoms")
    wanted = {str(one) for one in randoms}
    try:
        lines = FILE.read_text().splitlines()
    except OSError:
        return ""
    return "".join(f"{line}\n" for line in lines if len(words := line.split()) == 3 and words[1] in wanted)
