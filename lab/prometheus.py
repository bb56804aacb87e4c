"""The text format that Prometheus reads (its "text-based format", version 0.0.4), for whichever program of a container.

Three lines a figure need no library. Belongs here: the format. Never: which figures a node has (lab.node.metrics,
lab.boot.counters).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """One metric: `values` by label value, or by "" where it has no label."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    values: Mapping[str, float]
    label: str = ""


@dataclass
class Exposition:
    """Figures of one node; `text` is what Prometheus reads, each line with the node's name."""

    node: str
    figures: list[Figure] = field(default_factory=list)

    def gauge(self, name: str, help: str, value: float | Mapping[str, float], label: str = "") -> None:
        self.figures.append(Figure(f"lab_{name}", "gauge", help, _by_label(value), label))

    def counter(self, name: str, help: str, value: float | Mapping[str, float], label: str = "") -> None:
        self.figures.append(Figure(f"lab_{name}_total", "counter", help, _by_label(value), label))

    def text(self) -> str:
        lines: list[str] = []
        for figure in self.figures:
            lines += [f"# HELP {figure.name} {figure.help}", f"# TYPE {figure.name} {figure.kind}"]
            for value, count in sorted(figure.values.items()):
                labels = [("node", self.node), *([(figure.label, value)] if figure.label else [])]
                shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
                lines.append(f"{figure.name}{{{shown}}} {count if count % 1 else int(count)}")
        return "\n".join(lines) + "\n"


def _by_label(value: float | Mapping[str, float]) -> Mapping[str, float]:
    return value if isinstance(value, Mapping) else {"": value}


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
