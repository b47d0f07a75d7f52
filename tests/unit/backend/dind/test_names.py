"""Names that a lab needs and somebody else has are refused by name; of two networks of one name, ours goes."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.backend.dind.names import refuse_second, refuse_taken
from labctl.engine.fake import FakeEngine
from labctl.errors import EngineRefused, LabError
from labctl.lab.context import Context
from labctl.owner import own_mark
from labctl.spec import labels, read_mapping

pytestmark = pytest.mark.usefixtures("state")

THEIRS = {labels.LAB: "demo", labels.OWNER: "alice@0123456789abcdef"}
NOBODY = EngineRefused("no such network", status=404)


def engine(*containers: dict[str, Any], network: Any = NOBODY, volumes: tuple[dict[str, Any], ...] = ()) -> FakeEngine:
    return FakeEngine(
        {
            "GET /containers/json": list(containers),
            "GET /networks/labctl-demo": network,
            "GET /volumes": {"Volumes": list(volumes)},
        }
    )


def ask(found: FakeEngine) -> None:
    wanted = ("demo-registry", "demo-manager1")
    refuse_taken(found, "demo", containers=wanted, networks=("labctl-demo",), volumes=("demo-registry", "demo-edge"))


def test_what_is_the_labs_own_is_fine() -> None:
    mine = {labels.LAB: "demo", labels.OWNER: own_mark()}

    ask(
        engine(
            {"Names": ["/demo-manager1"], "Labels": mine},
            {"Names": ["/unrelated"], "Labels": {}},
            network={"Labels": {labels.LAB: "demo"}},
            volumes=({"Name": "demo-registry", "Labels": mine}, {"Name": "other", "Labels": None}),
        )
    )


@pytest.mark.parametrize(
    ("found", "said", "way"),
    [
        (
            engine({"Names": ["/demo-manager1"], "Labels": {}}),
            "a container named demo-manager1 is there already and is not this lab's",
            "docker rm -f demo-manager1",
        ),
        (
            engine({"Names": ["/demo-manager1"], "Labels": {labels.LAB: "other"}}),
            "demo-manager1 is there already and is lab other's",
            "labctl down -l other",
        ),
        (
            engine(network={"Labels": None}),
            "a network named labctl-demo is there already and is not this lab's",
            "docker network rm labctl-demo",
        ),
        (
            engine(network={"Labels": THEIRS}),
            "labctl-demo is there already and belongs to alice",
            "labctl down -l demo --others",
        ),
        (
            engine(volumes=({"Name": "demo-registry", "Labels": None},)),
            "a volume named demo-registry is there already and is not this lab's",
            "docker volume rm demo-registry",
        ),
        (
            engine(volumes=({"Name": "demo-edge", "Labels": None},)),
            "a volume named demo-edge is there already and is not this lab's",
            "docker volume rm demo-edge",
        ),
    ],
)
def test_what_somebody_else_has_is_refused_by_name(found: FakeEngine, said: str, way: str) -> None:
    with pytest.raises(LabError, match=said) as caught:
        ask(found)

    assert way in (caught.value.hint or "")


@pytest.mark.parametrize("volume", ["demo-edge", "demo-registry"])
@pytest.mark.parametrize("backend", ["dind", "vagrant"])
def test_every_volume_that_a_lab_will_mount_is_asked_for(volume: str, backend: str) -> None:
    context = Context(engine(volumes=({"Name": volume, "Labels": None},)))

    with pytest.raises(LabError, match=f"a volume named {volume} is there already"):
        context.refuse_taken(read_mapping({"name": "demo", "backend": backend}), ["manager1"])


def test_of_two_networks_made_at_the_same_instant_ours_is_given_up() -> None:
    found = FakeEngine(
        {
            "GET /networks": [
                {"Id": "ours", "Name": "labctl-demo", "Labels": {labels.LAB: "demo", labels.OWNER: own_mark()}},
                {"Id": "theirs", "Name": "labctl-demo", "Labels": THEIRS},
            ],
            "DELETE /networks/ours": None,
        }
    )

    with pytest.raises(LabError, match="a network named labctl-demo is there already and belongs to alice"):
        refuse_second(found, "demo", "ours")

    assert [str(asked) for asked in found.asked if asked.method == "DELETE"] == ["DELETE /networks/ours"]
