"""`python -m tests.fuzz PARSER [--seconds N]`: one parser against bytes that nobody would send; exit 1 for a finding.

With atheris (`make fuzz` installs it where it can be had) coverage guides libFuzzer; without, a loop in Python.
"""

import argparse
import sys
from pathlib import Path

KEPT = Path(".cache") / "fuzz"
"""Where the bytes of a finding are kept, a file each."""

try:
    import atheris  # type: ignore[import-not-found]
except ImportError:
    atheris = None
if atheris is not None:
    with atheris.instrument_imports(include=["lab"]):
        from tests.fuzz.targets import TARGETS
else:
    from tests.fuzz.targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition(":")[2])
    parser.add_argument(
        "parser", nargs="?", choices=sorted(TARGETS), help="none: all, one after the other, by the loop"
    )
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true", help="names of the parsers")
    told = parser.parse_args()
    if told.list:
        print(*TARGETS)
        return 0
    KEPT.mkdir(parents=True, exist_ok=True)
    if atheris is not None and told.parser:
        by_atheris(told.parser, told.seconds, told.seed)
    return max(by_loop(name, told.seconds, told.seed) for name in ([told.parser] if told.parser else TARGETS))


def by_atheris(name: str, seconds: float, seed: int) -> None:
    """Does not return: libFuzzer ends the process, with its own exit status and the finding's bytes in a file."""
    corpus = KEPT / name
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds):
        (corpus / f"seed-{number}").write_bytes(data)
    options = []
    if words := TARGETS[name].words:
        lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
        (KEPT / f"{name}.dict").write_text("".join(f'"{line}"\n' for line in lines))
        options.append(f"-dict={KEPT / name}.dict")
    options += [f"-max_total_time={seconds:.0f}", f"-seed={seed}", f"-artifact_prefix={KEPT / name}-", str(corpus)]
    atheris.Setup([sys.argv[0], *options], TARGETS[name].run)
    atheris.Fuzz()


def by_loop(name: str, seconds: float, seed: int) -> int:
    from tests.fuzz.mutating import fuzz

    target = TARGETS[name]
    executions, edges, found = fuzz(target.run, target.seeds, target.words, seconds, seed)
    print(f"{name}: {executions} executions in {seconds:g} s, {edges} edges, {len(found)} findings")
    for number, finding in enumerate(found.values()):
        kind, _, data = finding.partition(b"\n")
        file = KEPT / f"{name}-{number}"
        file.write_bytes(data)
        print(f"  {kind.decode(errors='replace')}\n  {len(data)} bytes in {file}: {data[:60]!r}")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
