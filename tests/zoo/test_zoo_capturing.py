"""Being watched costs calls nothing: eight at once on two cores, captured at every router on their way and at core."""

from lab.harness import Lab
from lab.topology import parse
from tests.theory import side
from tests.zoo.conftest import ZOO

WORLD = parse(ZOO)
FIRST = {str(client.site): client.name for client in reversed(WORLD.clients())}
EASY = [name for site, name in FIRST.items() if side(WORLD, WORLD.node(name)).voice_by_udp and not WORLD.behind(site)]
PAIRS = list(zip(EASY[0:16:2], EASY[1:16:2], strict=True))
SECONDS = 10


def test_eight_calls_at_once_lose_no_frame_and_no_capture_loses_a_packet(lab: Lab) -> None:
    found = lab.calls(PAIRS, seconds=SECONDS, at_once=len(PAIRS))
    assert len(found.cells) == len(PAIRS) == 8 and not found.failed
    assert found.dropped_by_captures == {}
    for cell in found.cells:
        for speaker, hearer in ((cell.caller, cell.callee), (cell.callee, cell.caller)):
            heard = cell.media[hearer]
            assert (heard.received, heard.lost) == (cell.media[speaker].sent, 0), (cell, speaker)
        assert cell.media[cell.caller].sent == 50 * SECONDS
