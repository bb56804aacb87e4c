"""The verdict on a capture file, for the eye.

Belongs here: wording and layout. Never: deciding anything; the verdict says it all.
"""

from rich.console import Group, RenderableType
from rich.text import Text

from lab.evidence.filed import Filed


def filed(found: Filed) -> RenderableType:
    """The path in the first line, then why, what was before it, and what limits the verdict."""
    seen = found.observed
    text = Text.assemble((found.caller, "bold"), " → ", (found.callee, "bold"), "  ")
    if found.call:
        text.append(f"call {found.call}  ")
    if seen.kind:
        text.append(f"{seen.kind}/{seen.transport}", f"bold {seen.kind}")
        text.append(f" via {seen.via}" if seen.via else "", seen.kind)
        text.append(f"  {seen.packets} packets")
    else:
        text.append("no path", "bad")
    parts: list[RenderableType] = [text, Text(f"  {seen.reason}")]
    begun = min((path.first for path in found.scene.paths), default=0.0)
    if len(found.scene.paths) > 1:
        for path in found.scene.paths:
            when = f"  {(path.first - begun) * 1000:>6.0f} to {(path.last - begun) * 1000:>6.0f} ms  "
            parts.append(Text.assemble(when, (str(path), path.kind), f"  {path.packets} packets"))
    for place, number in seen.dropped.items():
        parts.append(Text(f"  the capture at {place} dropped {number} packets", "yellow"))
    if found.note:
        parts.append(Text(f"  {found.note}", "yellow"))
    return Group(*parts)
