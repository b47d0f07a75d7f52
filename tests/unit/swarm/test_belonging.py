"""Which swarm is the lab's: no advice ends that one, and each node of another is named."""

from __future__ import annotations

import pytest

from labctl.errors import LabError
from labctl.node import Node
from labctl.swarm.belonging import refuse_split, strays_of
from labctl.swarm.cluster import Membership

from ..nodes import fake_node


def manager(cluster: str, *, size: int = 1, id_: str = "n1") -> Membership:
    return Membership("active", id_, True, cluster, "", size)


def nodes(*names: str) -> list[Node]:
    return [fake_node(name) for name in names]


@pytest.mark.parametrize(
    ("seen", "stray"),
    [
        ({"manager1": manager("a"), "worker1": manager("b")}, "worker1"),
        ({"worker1": manager("b", size=3), "manager1": manager("a")}, "worker1"),
        ({"manager1": manager("a"), "manager2": manager("b"), "manager3": manager("b")}, "manager1"),
        ({"manager1": manager("a"), "manager2": manager("b", size=3)}, "manager1"),
        ({"manager2": manager("b"), "manager1": manager("a")}, "manager2"),
    ],
)
def test_the_labs_swarm_is_that_of_its_managers_and_nobody_is_told_to_end_it(
    seen: dict[str, Membership], stray: str
) -> None:
    made = nodes(*sorted(seen))
    with pytest.raises(LabError, match=f"the managers are in 2 swarms: {stray}; the lab's is that of ") as caught:
        refuse_split(made, seen)

    hint = caught.value.hint or ""
    assert hint.startswith(f"`labctl ssh {stray} docker swarm leave --force`: ")
    assert [name for name in seen if f"labctl ssh {name} " in hint] == [stray]
    assert list(strays_of(made, seen)) == [stray]


def test_every_manager_of_the_other_swarm_has_to_leave_it() -> None:
    seen = {"manager1": manager("a"), "worker1": manager("b", size=2), "worker2": manager("b", size=2)}

    with pytest.raises(LabError) as caught:
        refuse_split(nodes(*seen), seen)

    assert [name for name in seen if f"labctl ssh {name} " in (caught.value.hint or "")] == ["worker1", "worker2"]


def test_managers_of_one_swarm_and_workers_are_well() -> None:
    seen = {"manager1": manager("a"), "manager2": manager("a"), "worker1": Membership("active", "w", False, "", "")}

    refuse_split(nodes(*seen), seen)
    assert strays_of(nodes(*seen), seen, {"n1", "w"}) == {}


def test_a_worker_is_a_stray_only_where_the_list_is_that_of_the_labs_swarm() -> None:
    seen = {"manager1": manager("a", id_="m"), "worker1": Membership("active", "w", False, "", "")}

    assert list(strays_of(nodes(*seen), seen, {"m"})) == ["worker1"]
    assert strays_of(nodes(*seen), seen, {"other"}) == {}
    assert strays_of(nodes(*seen), seen) == {}
