"""What outlives its container on a network is put off it; what the engine itself has lost count of is one sentence."""

from typing import Any, cast

import pytest
from docker.errors import APIError, NotFound

from lab.errors import RuntimeUnavailable
from lab.runtime.lifecycle import _remove_network


class Api:
    """A network that is `held` by endpoints that are known, or by `ghosts` that are not."""

    def __init__(self, held: list[str], ghosts: int) -> None:
        self.held, self.ghosts, self.removed = held, ghosts, False

    def remove_network(self, network: str) -> None:
        if self.held or self.ghosts:
            raise APIError("403", explanation=f"network {network} has active endpoints")
        self.removed = True

    def inspect_network(self, network: str) -> dict[str, Any]:
        return {"Containers": dict.fromkeys(self.held)}

    def disconnect_container_from_network(self, endpoint: str, network: str, force: bool) -> None:
        self.held.remove(endpoint)


class Client:
    def __init__(self, api: object) -> None:
        self.api = api


def test_endpoints_that_outlived_their_container_are_put_off() -> None:
    api = Api(["abc", "def"], 0)
    _remove_network(cast(Any, Client(api)), "lab_internet")
    assert api.removed


def test_endpoints_that_nobody_knows_are_told_of() -> None:
    with pytest.raises(RuntimeUnavailable, match="holds on to the network lab_internet"):
        _remove_network(cast(Any, Client(Api([], 1))), "lab_internet")


def test_a_network_that_is_gone_meanwhile_is_gone() -> None:
    class Gone(Api):
        def inspect_network(self, network: str) -> dict[str, Any]:
            raise NotFound("404")

    _remove_network(cast(Any, Client(Gone([], 1))), "lab_internet")
