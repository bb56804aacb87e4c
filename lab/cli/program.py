"""The program `lab`: the group that commands join, what they share, and what becomes of errors and interrupts.

Belongs here: exit codes, one sentence for each error. Never: a command; they have files by topic.
"""

import codecs
import contextlib
import errno
import io
import json
import os
import shutil
import signal
import stat
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from lab.errors import ConfigError, Interrupted, LabError, Unread

if TYPE_CHECKING:
    from lab.harness import Lab

INTERRUPTED, TERMINATED, HUNG_UP, UNREAD = (
    128 + one for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
)
"""Exit codes as a shell has them for a program that a signal has ended."""
_OWN = 0o600
"""Who has a file reads and writes it, and nobody else does."""
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")


def example(*lines: str) -> dict[str, Any]:
    """The example at the end of a command's help; click leaves the block after \\b as it is."""
    return {"epilog": "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)}


def _plain(number: float) -> str:
    """As a person writes it: 1,000,000 and 0.5."""
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"


class Within(click.ParamType):  # type: ignore[type-arg]  # generic in later versions alone
    """A number between two bounds, both included."""

    name = "number"

    def __init__(self, least: float, most: float, unit: str, *, whole: bool = False) -> None:
        self._least, self._most, self._unit, self._whole = least, most, unit, whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | int:
        """The number; anything else is refused in one sentence."""
        try:
            number = int(value) if self._whole else float(value)
        except ValueError:
            number = float("nan")
        if not self._least <= number <= self._most:
            kind = "a whole number" if self._whole else "a number"
            self.fail(
                f"expected {kind} of {self._unit} from {_plain(self._least)} to {_plain(self._most)}, got {value}",
                param,
                ctx,
            )
        return number


def one_file(one: Path, two: Path) -> bool:
    """Whether two names are of one file, or would be; a device or a pipe takes what both bring."""
    if one.exists() and two.exists():
        return one.is_file() and one.samefile(two)
    return one.resolve() == two.resolve()


class Output(click.Path):
    """A file to be written; one that cannot be is refused before anything else is done.

    So is one that another option of the same command writes. What is there already is replaced where it is of the same
    `kind`: it begins with one of these `beginnings`. A file of another kind is refused. One that is empty holds
    nothing, and devices and pipes are not looked into.
    """

    def __init__(self, kind: str, *beginnings: bytes) -> None:
        super().__init__(path_type=Path, dir_okay=False)
        self.kind, self.beginnings = kind, beginnings

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, once something could have been written there."""
        file = Path(os.fspath(value))
        if not file.resolve().parent.is_dir():
            self.fail(f"there is no folder {file.parent}", param, ctx)
        if file.is_dir():
            self.fail(f"{file} is a folder", param, ctx)
        new = not file.exists()
        try:
            if new or file.is_file():
                file.open("ab").close()
            if new:
                file.unlink()
            another = file.is_file() and not self._replaces(file)
        except OSError as error:
            self.fail(f"{file} cannot be written: {error.strerror or error}", param, ctx)
        if another:
            self.fail(f"{file} is there and is no {self.kind}; name another file, or remove that one", param, ctx)
        if ctx is not None:
            self._sole(file, param, ctx)
        return file

    def _sole(self, file: Path, param: click.Parameter | None, ctx: click.Context) -> None:
        """Refuse what another option writes; what comes from no option may be named again."""
        outputs: dict[str, Path] = ctx.meta.setdefault(OUTPUTS, {})
        own = "" if param is None else param.opts[0]
        for option, other in outputs.items():
            if option != own and one_file(file, other):
                self.fail(f"{file} is what {option} writes; name another file", param, ctx)
        if own:
            outputs[own] = file

    def _replaces(self, file: Path) -> bool:
        try:
            with file.open("rb") as there:
                begins = there.read(max(map(len, self.beginnings)))
        except PermissionError:
            return False  # what cannot be read may be anything
        return not begins or begins.startswith(self.beginnings)


OUTPUTS = "lab.outputs"
"""Where a command's context has the files of its options."""
CAPTURE = Output(
    "capture", b"\n\r\r\n", b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1"
)
"""pcapng, as is written, and what a pcap begins with, as lab/evidence has them, which is not loaded for that."""
KEYS = Output("key log", b"# SRTP ", b"CLIENT_", b"SERVER_", b"EXPORTER_", b"EARLY_EXPORTER_")
"""What lab/harness/keys.py writes: RFC 4568 in comments, and the labels of SSLKEYLOGFILE."""
SVG = Output("SVG", b"<svg ")
PAGE = Output("page", b"<!doctype html>")


@contextlib.contextmanager
def _as_sigpipe_ends() -> Iterator[None]:
    """Where the reader of a pipe has seen enough, it is over: neither a failed call, nor anything to be told of."""
    try:
        yield
    except (BrokenPipeError, KeyboardInterrupt) as error:
        if not any(isinstance(one, BrokenPipeError | Unread) for one in _causes(error)):
            raise
        let_go(sys.stdout)
        raise click.exceptions.Exit(UNREAD) from error


class _Commands(click.Group):
    """click's, but for a pipe that nobody reads, of which it makes an exit with 1 as of a failed call."""

    def make_context(self, *words: Any, **more: Any) -> click.Context:
        with _as_sigpipe_ends():
            return super().make_context(*words, **more)

    def invoke(self, ctx: click.Context) -> Any:
        with _as_sigpipe_ends():
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="supernode-lab", prog_name="lab")
@click.option(
    "--lab", "name", metavar="NAME", envvar="LAB_NAME", help="Which lab, of several side by side.  [default: lab]"
)
def commands(name: str | None) -> None:
    """A small internet of real NATs and firewalls on this machine, and calls whose paths are proven by packets.

    A lab with another NAME has subnets of its own, and runs beside the first.

    \b
    Example:
      lab up
      lab call alice bob
      lab down
    """


def the_lab() -> "Lab":
    """The lab that the command is about."""
    from lab.harness import Lab

    return Lab(name=lab_name())


def lab_name() -> str | None:
    """Its name, where one was given."""
    return click.get_current_context().find_root().params.get("name")


def document(content: dict[str, Any]) -> None:
    """Print one JSON document: laid out for a terminal, on one line for a program."""
    click.echo(json.dumps(content, indent=2 if sys.stdout.isatty() else None))


def written(file: Path) -> None:
    """Say on standard error where something has been put."""
    click.echo(f"written to {file}", err=True)


def closed(file: Path) -> None:
    """Let nobody but the user read a file to which secrets are to be written: it is there then, a stricter one stays
    so, and a device or a pipe is whoever's. Raises ConfigError where it is another user's."""
    if file.exists() and not file.is_file():
        return
    opened = os.open(file, os.O_WRONLY | os.O_CREAT, _OWN)
    try:
        os.fchmod(opened, stat.S_IMODE(os.fstat(opened).st_mode) & _OWN)
    except PermissionError:
        raise ConfigError(f"{file} is another user's, who could read the keys; name another file") from None
    finally:
        os.close(opened)


def secret(file: Path, text: str) -> None:
    """Write what nobody but the user may read; raises ConfigError as `closed` does."""
    closed(file)
    file.write_text(text)


@contextlib.contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Says each step: on a terminal one changing line that leaves behind what took long, elsewhere a line each."""
    from lab.report.console import err
    from lab.report.steps import Steps

    console = err()
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False)
        return
    with Steps(console) as steps:
        yield steps.begin


def own_name() -> str:
    """How the user would call this program from here."""
    own = Path(sys.argv[0])
    found = shutil.which("lab")
    if found and Path(found).resolve() == own.resolve():
        own_name = "lab"
    else:
        own_name = os.path.relpath(own) if own.is_absolute() and own.is_relative_to(Path.cwd()) else str(own)
    name = lab_name()
    return own_name if name is None or os.environ.get("LAB_NAME") == name else f"{own_name} --lab {name}"


def _unexpected(error: Exception) -> str:
    """Where the details of a defect are kept, in one sentence."""
    log = Path(".lab") / "errors.log" if Path(".lab").is_dir() else Path.home() / ".lab-errors.log"
    try:
        with log.open("a") as file:
            file.write(f"{time.strftime('%F %T')} {' '.join(sys.argv)}\n{traceback.format_exc()}\n")
    except OSError:
        traceback.print_exc()
    return f"unexpected {type(error).__name__}: {error} (the details are in {log})"


class Terminated(KeyboardInterrupt):
    """SIGTERM; it ends what goes on as Ctrl-C does: hang up, end the captures, leave."""

    status = TERMINATED


class HungUp(Terminated):
    """SIGHUP, the same: the terminal is gone, as where the connection of ssh is lost."""

    status = HUNG_UP


def _terminated(number: int, frame: object) -> None:
    raise Terminated


def _hung_up(number: int, frame: object) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a shell that ends too says so once more
    raise HungUp


@contextlib.contextmanager
def hang_ups_ignored() -> Iterator[None]:
    """What goes on ends by itself, and the end of the terminal is no reason to leave it half done."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _causes(error: BaseException) -> list[BaseException]:
    """It, and what has caused it, from the last to the first."""
    chain = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    return chain


def _interrupted(error: BaseException) -> int:
    """What was kept, in one sentence, and the exit code of the signal; click and the harness hide either in causes."""
    chain = _causes(error)
    told = next((str(one) for one in chain if isinstance(one, Interrupted)), "interrupted")
    return say(told, next((one.status for one in chain if isinstance(one, Terminated)), INTERRUPTED))


def _replacing(stream: TextIO | Any) -> None:
    """A character that an output has not, as an arrow where it is Latin-1, is a question mark there and no error."""
    if not isinstance(stream, io.TextIOWrapper):
        return
    whole = codecs.lookup(stream.encoding).name == "utf-8"
    if stream.errors == "strict" or not whole:  # of UTF-8 the others bring through what names of files have
        stream.reconfigure(errors="replace")


def run() -> int:
    """Run the command of sys.argv; its exit code. What goes wrong is one sentence on standard error."""
    _replacing(sys.stdout)
    _replacing(sys.stderr)
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else nohup wants it to go on
        signal.signal(signal.SIGHUP, _hung_up)
    try:
        done = commands.main(prog_name="lab", standalone_mode=False)
        return done if isinstance(done, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return say(f"{error.format_message()}{hint}", error.exit_code)
    except click.ClickException as error:
        return say(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        return _interrupted(error)
    except LabError as error:
        return say(str(error), error.exit_code)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = error.filename or "where the result was to be written, on standard output or in .lab"
            return say(f"no space is left {'for ' if error.filename else ''}{where}; make room", LabError.exit_code)
        return say(_unexpected(error), LabError.exit_code)
    except Exception as error:
        return say(_unexpected(error), LabError.exit_code)


def say(sentence: str, status: int) -> int:
    """A sentence on standard error, if anybody reads that; returns the exit code that goes with it."""
    try:
        click.echo(f"lab: {sentence}", err=True)
    except OSError as error:
        if not nobody_reads(error):
            raise
        let_go(sys.stderr)
    return status


def nobody_reads(error: OSError) -> bool:
    """Whether writing failed because the reader of a pipe has seen enough, or the terminal is gone."""
    return error.errno in (errno.EPIPE, errno.EIO)


def let_go(stream: TextIO) -> None:
    """What is still written to a stream that nobody reads goes nowhere, and is no error at the end of the program."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def main() -> None:
    """Entry point of the program `lab`."""
    sys.exit(run())
