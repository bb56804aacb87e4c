"""What is known of the room that the other supernodes have: the same as if all of them were looked through."""

import random

from lab.overlay.mesh import Peer
from lab.overlay.vacancies import MANY, ROOMY, Vacancies


def peer(name: str, clients: int, room: int | None, hosts: tuple[str, ...] = ("198.51.100.1",)) -> Peer:
    return Peer(name, b"", hosts, lambda message: None, built_in=False, clients=clients, room=room)


def test_sum_and_order_after_every_word_are_those_of_all_the_others() -> None:
    rng, elsewhere, peers = random.Random(1), Vacancies(), dict[str, Peer]()
    for _ in range(2000):
        name = f"supernode-{rng.randrange(30)}"
        if name in peers and rng.random() < 0.1:
            del peers[name]
            elsewhere.gone(name)
        else:
            one = peers.setdefault(name, peer(name, 0, 0))
            one.clients = rng.randrange(400)
            one.room = rng.choice((None, 0, 400 - one.clients))
            elsewhere.noted(one)
        assert elsewhere.spare == sum(MANY if one.room is None else one.room for one in peers.values())
        assert elsewhere.full == sum(one.room == 0 for one in peers.values())
        free = {one.name: 1.0 if one.room is None else one.room / 400 for one in peers.values()}
        much = sorted((name for name in peers if free[name] >= ROOMY), key=lambda name: (-free[name], name))
        assert [one.name for one in elsewhere.roomy] == much[:MANY]


def test_busy_ones_share_what_room_a_newcomer_has() -> None:
    elsewhere = Vacancies()
    for number in range(19):
        elsewhere.noted(peer(f"busy-{number}", 390, 10))
    elsewhere.noted(peer("calm", 200, 200))
    elsewhere.noted(peer("newcomer", 0, 400))
    assert elsewhere.to_send == (200 + 100) // 20
    elsewhere.gone("busy-1")
    elsewhere.noted(peer("busy-2", 250, 150))
    assert elsewhere.to_send == 17, "300 for eighteen"


def test_nobody_is_sent_to_one_whose_address_is_not_known() -> None:
    elsewhere = Vacancies()
    elsewhere.noted(peer("nowhere", 0, 400, hosts=()))
    assert elsewhere.roomy == []
