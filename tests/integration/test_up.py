"""`labctl up` and `down`, as a user has them: made, converged, shrunk, removed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import pytest

from labctl.cli.main import run
from labctl.engine import contexts
from labctl.errors import LabError
from labctl.events import CommandShown, Event, to_dict
from labctl.lab import Context, Lab, UpOptions, bring_up, find_lab
from labctl.spec import labels
from labctl.state import labs_on_disk
from labctl.swarm import SwarmView, cluster
from tests.guard import HANGING

pytestmark = pytest.mark.lab

Make = Callable[..., Lab]
NOT_VERIFIED = UpOptions(verify=False)


def hostnames(lab: Lab) -> list[str]:
    """The members of the swarm that are ready."""
    return [node.hostname for node in lab.swarm().nodes() if node.state == "ready"]


def left_of(context: Context, name: str) -> list[object]:
    """Whatever an engine, a folder or the Docker CLI still has of a lab."""
    engine = context.engine
    marks = [f"{labels.LAB}={name}"]
    found: list[object] = [*engine.containers(marks), *engine.networks(marks), *engine.volumes(marks)]
    return found + [lab for lab in labs_on_disk() if lab == name]


def test_a_lab_comes_up_whole_and_is_never_silent(own_lab: Make) -> None:
    heard: list[tuple[float, Event]] = []
    began = time.monotonic()

    lab = own_lab(emit=lambda event: heard.append((time.monotonic(), event)), workers=2)

    assert hostnames(lab) == ["manager1", "worker1", "worker2"]
    moments = [began, *(moment for moment, _ in heard)]
    gaps = [after - before for before, after in itertools.pairwise(moments)]
    assert max(gaps) < 2.0, "a user stared at a silent terminal"


def test_tokens_are_in_no_event(own_lab: Make) -> None:
    heard: list[Event] = []

    lab = own_lab(emit=heard.append, workers=1, options=NOT_VERIFIED)

    tokens = cluster.tokens(lab.manager())
    told = json.dumps([to_dict(event) for event in heard])
    assert tokens.worker not in told
    assert tokens.manager not in told
    shown = [event.command for event in heard if isinstance(event, CommandShown)]
    assert any(command.startswith("docker swarm init --advertise-addr") for command in shown)
    assert any("docker swarm join --token ***" in command for command in shown)


def test_tokens_are_in_no_command_that_the_hosts_engine_tells_of(context: Context, own_lab: Make) -> None:
    """Each command that runs in a node is an event of the host's engine, with all its words."""
    began = int(time.time())

    lab = own_lab(workers=1, options=NOT_VERIFIED)

    tokens = cluster.tokens(lab.manager())
    lab.node("worker1").expect("echo this is seen")
    ours = {"label": [f"{labels.LAB}={lab.name}"], "event": ["exec_create"]}
    told = [event["Action"] for event in context.engine.events(ours, since=began, until=int(time.time()) + 1)]
    assert any("this is seen" in action for action in told), "the events are those of this lab"
    assert not any(token in action for action in told for token in (tokens.worker, tokens.manager))


def test_up_again_changes_nothing(shared_lab: Lab, context: Context) -> None:
    before = [(node.name, node.machine, node.endpoint.url) for node in shared_lab.nodes]
    ids = {node.id for node in shared_lab.swarm().nodes()}

    record = bring_up(context, shared_lab.spec)

    assert [(node.name, node.machine, node.endpoint.url) for node in record.nodes] == before
    assert {node.id for node in shared_lab.swarm().nodes()} == ids


def test_dry_run_tells_the_plan_and_makes_nothing(
    context: Context, lab_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", "--name", lab_name, "--nodes", "2", "--dry-run"]) == 0

    assert "create  worker1 (worker)" in capsys.readouterr().out
    assert left_of(context, lab_name) == []


def test_a_living_lab_is_converged(own_lab: Make, context: Context) -> None:
    """A node that was removed by hand comes back, one that was shut down is started, no ghost stays."""
    lab = own_lab(workers=2, options=NOT_VERIFIED)
    lab.backend.remove_node(lab.node("w1"))
    lab.node("w2").run("shutdown now")
    _wait_state(lab, "worker2", "exited")

    bring_up(context, lab.spec)

    again = lab.refresh()
    assert [node.state for node in again.nodes] == ["running"] * 3
    members = again.swarm().nodes()
    assert [(member.hostname, member.state) for member in members] == [
        ("manager1", "ready"),
        ("worker1", "ready"),
        ("worker2", "ready"),
    ]


def test_a_lost_only_manager_is_told_with_the_mend(own_lab: Make, context: Context) -> None:
    lab = own_lab(workers=1, options=NOT_VERIFIED)
    lab.backend.remove_node(lab.node("m1"))

    with pytest.raises(LabError, match="lost its managers") as caught:
        bring_up(context, lab.spec)

    assert caught.value.exit_code == 3
    assert caught.value.hint is not None and "labctl down" in caught.value.hint


def test_three_managers_and_a_node_more_and_one_less(own_lab: Make, context: Context) -> None:
    lab = own_lab(managers=3, workers=1, options=NOT_VERIFIED)
    assert sorted(node.reachability for node in lab.swarm().nodes() if node.role == "manager") == ["reachable"] * 3
    assert next(node.hostname for node in lab.swarm().nodes() if node.leader) == "manager1"

    lab.remove_nodes([lab.node("manager1")])

    smaller = lab.refresh()
    assert [node.name for node in smaller.nodes] == ["manager2", "manager3", "worker1"]
    assert [node.hostname for node in smaller.swarm().nodes()] == ["manager2", "manager3", "worker1"]
    bring_up(context, smaller.spec, NOT_VERIFIED)
    assert [node.name for node in smaller.refresh().nodes] == ["manager2", "manager3", "worker1"], "it must not return"


def test_an_empty_swarm_is_joined_by_hand(own_lab: Make) -> None:
    lab = own_lab(workers=1, swarm="empty")
    manager, worker = lab.nodes
    assert cluster.membership(manager).state == "inactive"

    said = manager.expect(f"docker swarm init --advertise-addr {manager.address}").stdout
    command = next(line.strip() for line in said.splitlines() if line.strip().startswith("docker swarm join"))
    worker.expect(command)

    members = cluster.wait_ready(manager, ["manager1", "worker1"], nodes=lab.nodes, limit=HANGING)
    assert len(members) == 2


def test_labels_and_images_are_there_from_the_start(own_lab: Make) -> None:
    lab = own_lab(
        workers=2,
        node_labels={"@worker": {"zone": "a"}, "w2": {"ssd": "true"}},
        images=["labctl/probe:1"],
        options=NOT_VERIFIED,
    )

    found = {node.hostname: node.labels for node in SwarmView(lab.manager().engine).nodes()}
    assert found == {"manager1": {}, "worker1": {"zone": "a"}, "worker2": {"zone": "a", "ssd": "true"}}
    assert all(node.engine.image("labctl/probe:1") is not None for node in lab.nodes)


def test_down_leaves_nothing_and_may_be_repeated(
    own_lab: Make, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = own_lab(workers=1, options=NOT_VERIFIED)
    assert left_of(context, lab.name)
    assert _has_context(lab.name)

    assert run(["down", "--lab", lab.name]) == 0

    assert left_of(context, lab.name) == []
    assert not _has_context(lab.name)
    assert run(["down", "--lab", lab.name]) == 0
    assert "nothing to remove" in capsys.readouterr().err


def test_two_labs_live_side_by_side(own_lab: Make) -> None:
    one, other = own_lab(workers=0, options=NOT_VERIFIED), own_lab(workers=0, options=NOT_VERIFIED)

    assert one.record.subnet != other.record.subnet
    assert one.manager().endpoint.url != other.manager().endpoint.url
    one.down()
    assert hostnames(find_lab(other.context, other.name)) == ["manager1"]


def test_an_overlapping_subnet_is_refused_before_anything_is_made(
    shared_lab: Lab, context: Context, lab_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shared_lab.record.subnet is not None

    code = run(["up", "--name", lab_name, "--nodes", "1", "--subnet", shared_lab.record.subnet])

    assert code in (2, 3)
    assert shared_lab.record.subnet in capsys.readouterr().err
    assert left_of(context, lab_name) == []


@pytest.mark.parametrize(
    ("option", "told"),
    [("debug=banana", "cannot unmarshal string"), ("nope=1", "don't match any configuration option: nope")],
)
def test_an_engine_option_that_the_engine_does_not_take_is_refused_before_a_node_is_made(
    context: Context, lab_name: str, capsys: pytest.CaptureFixture[str], option: str, told: str
) -> None:
    code = run(["up", "--name", lab_name, "--nodes", "1", "--engine-opt", option])

    assert code == 2
    assert told in capsys.readouterr().err
    assert left_of(context, lab_name) == []


def test_an_engine_option_that_is_good_reaches_the_engine(own_lab: Make) -> None:
    lab = own_lab(workers=0, options=NOT_VERIFIED, engine={"labels": ["rack=7"]})

    assert lab.nodes[0].engine.info()["Labels"] == ["rack=7"]


def _has_context(name: str) -> bool:
    meta, _ = contexts._folders(contexts.context_name(name))
    return (meta / "meta.json").exists()


def _wait_state(lab: Lab, node: str, wanted: str) -> None:
    from labctl.waiting import Pending, wait_until

    def look() -> None:
        state = lab.refresh().node(node).state
        if state != wanted:
            raise Pending(state)

    wait_until(f"{node} being {wanted}", look, limit=HANGING)
