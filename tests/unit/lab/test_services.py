"""What the nodes say of services' names and ports is held against what the managers list, and told in one line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from labctl.errors import CommandFailed, LabError
from labctl.events import Event, Noted, Warned
from labctl.follower.managers import PROBE
from labctl.lab.onnode import decoded, question
from labctl.lab.services import ASK, mend_services, try_services
from labctl.transport import Result
from labctl.transport.base import shown
from labctl.waiting import FakeClock

from ..nodes import FakeNode, fake_node, raw_node, raw_service, raw_task

ASKED = shown(ASK)
LONG_AGO = "2026-01-01T00:00:00Z"
WEB = {"web": ["10.0.1.2"], "tasks.web": ["10.0.1.4", "10.0.1.3"]}
TCP = {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8000, "PublishMode": "ingress"}


def attached(address: str, network: str = "net1", *, ingress: bool = False) -> dict[str, Any]:
    return {
        "Network": {"ID": network, "Spec": {"Ingress": ingress}, "DriverState": {"Name": "overlay"}},
        "Addresses": [f"{address}/24"],
    }


def task(number: int, node: str, *, service: str = "web", state: str = "running", **status: Any) -> dict[str, Any]:
    container = {"ContainerID": f"c{number}", "PID": 100 + number}
    made = raw_task(
        f"t{number}", service=f"id-{service}", node=f"id-{node}", state=state, slot=number,
        ContainerStatus=container, Timestamp=LONG_AGO, **status,
    )  # fmt: skip
    on = [attached(f"10.0.1.{number + 2}"), attached(f"10.0.0.{number + 8}", "ingress", ingress=True)]
    return {**made, "CreatedAt": LONG_AGO, "NetworksAttachments": on}


def service(*ports: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    vips = [{"NetworkID": "net1", "Addr": "10.0.1.2/24"}, {"NetworkID": "ingress", "Addr": "10.0.0.9/24"}]
    return raw_service("web", Endpoint={"Ports": list(ports), "VirtualIPs": vips}, **more)


class Lab:
    """Two nodes with a task of `web` each, whose nodes answer all well until a test says other things."""

    def __init__(self, heard: list[Event]) -> None:
        self.heard = heard
        self.services = [service(TCP)]
        self.tasks = [task(1, "manager1"), task(2, "worker1")]
        self.names: dict[str, Mapping[str, Sequence[str] | None]] = {"manager1": WEB, "worker1": WEB}
        self.listening = {"manager1": [80], "worker1": [80]}
        self.ports = {"manager1": ["", ""], "worker1": ["", ""]}
        self.clock = FakeClock()
        members = [raw_node("manager1", leader=True), raw_node("worker1")]
        api: dict[str, Any] = {
            "GET /nodes": members,
            "GET /services": lambda *_: self.services,
            "GET /tasks": lambda *_: self.tasks,
        }
        self.nodes = [fake_node("manager1", api=api), fake_node("worker1", address="10.0.0.12")]
        for node in self.nodes:
            node.shell.answers[ASKED] = self.answer(node)

    def answer(self, node: FakeNode) -> Callable[[str], Result]:
        def say(_: str) -> Result:
            one = {"listening": self.listening[node.name], "names": self.names[node.name]}
            return Result(ASKED, 0, json.dumps({"tasks": [one], "ports": self.ports[node.name]}))

        return say

    def tried(self) -> str:
        return try_services(self.nodes[0], self.nodes, lambda _: None, self.heard.append, clock=self.clock)

    def refused(self) -> str:
        with pytest.raises(LabError) as caught:
            self.tried()
        return caught.value.message


@pytest.fixture
def lab(heard: list[Event]) -> Lab:
    return Lab(heard)


def test_services_that_serve_are_counted_after_one_look(lab: Lab) -> None:
    assert lab.tried() == "1 service: 4 names found, 2 published ports answer"
    assert lab.clock.slept == []
    assert lab.heard == []


def test_where_nobody_has_a_service_no_node_is_asked(lab: Lab) -> None:
    lab.services = [service(TCP)]
    lab.services[0]["Spec"]["Labels"] = {PROBE: "1"}

    assert lab.tried() == ""
    assert all(node.shell.commands == [] for node in lab.nodes)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        ({**WEB, "tasks.web": ["10.0.1.3"]}, "the name tasks.web does not lead to 10.0.1.4 (on worker1): `lab"),
        ({**WEB, "web": []}, "the name web does not lead to its VIP 10.0.1.2: `labctl start`"),
        ({**WEB, "tasks.web": [*WEB["tasks.web"], "10.0.1.9"]}, "leads to 10.0.1.9, where no task is: `labctl start`"),
        ({**WEB, "web": None}, "the engine answers nobody who asks for the name web: `labctl start`"),
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_told_with_the_node_and_what_to_do(
    lab: Lab, names: Mapping[str, Sequence[str] | None], told: str
) -> None:
    lab.names["manager1"] = names

    said = lab.refused()
    assert said.startswith("service web: on manager1 the ")
    assert told in said
    assert len(said.splitlines()) == 1


def test_what_is_broken_on_several_nodes_is_one_line(lab: Lab) -> None:
    lab.names = {node: {**WEB, "tasks.web": []} for node in lab.names}

    said = lab.refused()
    assert said.startswith(
        "service web: on manager1, worker1 the name tasks.web does not lead to 10.0.1.3 (on manager1), "
        "10.0.1.4 (on worker1): "
    )
    assert "`labctl docker -- service update --force web` replaces the service's tasks" in said


@pytest.fixture
def exchanged(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of the nodes whose engines were let tell each other again, each time."""
    times: list[list[str]] = []
    monkeypatch.setattr("labctl.lab.services.exchange", lambda nodes: times.append([node.name for node in nodes]))
    return times


def mended(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("labctl.waiting.SystemClock", FakeClock)
    return mend_services(lab.nodes[0], lab.nodes, lambda _: None, lab.heard.append)


def test_engines_tell_each_other_again_only_where_a_service_does_not_serve(
    lab: Lab, exchanged: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mended(lab, monkeypatch) == "1 service: 4 names found, 2 published ports answer"
    assert exchanged == []

    lab.names["manager1"] = {**WEB, "tasks.web": []}
    monkeypatch.setattr("labctl.lab.services.exchange", lambda _: lab.names.update(manager1=WEB))
    assert mended(lab, monkeypatch) == "1 service: 4 names found, 2 published ports answer"
    (told,) = lab.heard
    assert isinstance(told, Noted)
    assert told.text.endswith("10.0.1.4 (on worker1); the engines tell each other again")


def test_what_that_does_not_help_is_a_warning_with_the_next_way(
    lab: Lab, exchanged: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.names["manager1"] = {**WEB, "web": []}

    assert mended(lab, monkeypatch) == ""
    assert exchanged == [["manager1", "worker1"]]
    assert lab.heard[1:] == [
        Warned(
            "service web: on manager1 the name web does not lead to its VIP 10.0.1.2: "
            "`labctl docker -- service update --force web` replaces the service's tasks"
        )
    ]


def test_a_start_does_not_fail_for_a_node_that_says_nothing_of_services(
    lab: Lab, exchanged: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.nodes[1].shell.answers[ASKED] = ""

    assert mended(lab, monkeypatch) == ""
    (told,) = lab.heard
    assert isinstance(told, Warned)
    assert told.text.startswith("the services were not tried: worker1 was asked")


def test_a_port_that_does_not_answer_is_told_with_who_asked(lab: Lab) -> None:
    lab.ports = {"manager1": ["", "no answer"], "worker1": ["", ""]}

    said = lab.refused()
    assert "service web: on worker1 published port 8000/tcp does not answer (from manager1: no answer): " in said
    assert "`labctl restart worker1` starts the node over" in said


def test_a_port_of_host_mode_is_asked_only_where_its_tasks_are(lab: Lab) -> None:
    lab.services = [service({**TCP, "PublishMode": "host"})]
    lab.tasks = [task(1, "worker1"), task(2, "worker1")]
    lab.ports = {"manager1": [""], "worker1": ["connection refused"]}
    lab.nodes[0].shell.answers[ASKED] = json.dumps({"tasks": [], "ports": [""]})
    good = {"listening": [80], "names": WEB}
    lab.nodes[1].shell.answers[ASKED] = json.dumps(
        {"tasks": [good, {**good, "names": {}}], "ports": ["connection refused"]}
    )

    assert "on worker1 published port 8000/tcp does not answer (from worker1: connection refused)" in lab.refused()


def test_a_port_that_an_engine_chose_is_the_tasks_own(lab: Lab) -> None:
    chosen = {**TCP, "PublishMode": "host", "PublishedPort": 32768}
    lab.services = [service({**chosen, "PublishedPort": 0})]
    lab.tasks = [task(1, "manager1", PortStatus={"Ports": [chosen]})]
    lab.ports = {"manager1": [""], "worker1": ["connection refused"]}
    lab.nodes[1].shell.answers[ASKED] = json.dumps({"tasks": [], "ports": ["connection refused"]})

    assert "on manager1 published port 32768/tcp does not answer (from worker1: connection refused)" in lab.refused()


def test_a_port_of_a_service_that_is_being_updated_is_left_alone(lab: Lab) -> None:
    lab.services = [service(TCP, UpdateStatus={"State": "updating", "StartedAt": LONG_AGO})]
    lab.ports = {"manager1": [], "worker1": []}

    assert lab.tried() == "1 service: 4 names found, 0 published ports answer"
    (told,) = lab.heard
    assert "web: 2 of 2 tasks run; update in progress" in str(told)


def test_a_container_that_does_not_listen_is_no_failure_of_the_lab(lab: Lab) -> None:
    lab.listening["worker1"] = [8080]
    lab.ports["worker1"] = ["connection refused", ""]

    assert lab.tried().startswith("1 service")
    assert lab.heard == [Noted("service web publishes 8000, and 1 of its 2 tasks do not listen at 80")]


def test_udp_is_said_not_to_be_tried(lab: Lab) -> None:
    lab.services = [service(TCP, {**TCP, "Protocol": "udp", "PublishedPort": 53})]

    assert lab.tried() == "1 service: 4 names found, 2 published ports answer"
    assert lab.heard == [Noted("not tried, since only TCP tells: 53/udp of web")]


def test_a_service_that_has_not_converged_is_told_apart_and_its_tasks_are_tried(lab: Lab) -> None:
    lab.services = [{**service(TCP)}]
    lab.services[0]["Spec"]["Mode"] = {"Replicated": {"Replicas": 3}}
    lab.tasks.append(task(3, "", state="pending", Err="no suitable node"))

    assert lab.tried() == "1 service: 4 names found, 2 published ports answer"
    (told,) = lab.heard
    assert isinstance(told, Noted)
    assert told.text.startswith("not converged, and tried as far as its tasks run: web: 2 of 3 tasks run; ")
    assert "no suitable node" in told.text


def test_a_task_that_comes_and_goes_is_waited_for_and_blamed_on_nobody(lab: Lab) -> None:
    """Each look finds another task that the names do not know yet."""
    number = iter(range(10, 200))

    def tasks(*_: object) -> list[dict[str, Any]]:
        return [task(1, "manager1"), task(2, "worker1"), task(next(number), "worker1")]

    lab.nodes[0].api["GET /tasks"] = tasks
    lab.nodes[1].shell.answers[ASKED] = json.dumps(
        {"tasks": [{"listening": [80], "names": WEB}, None], "ports": ["", ""]}
    )

    assert lab.tried().startswith("1 service")


def test_a_node_that_cannot_be_asked_is_an_error(lab: Lab) -> None:
    lab.nodes[1].shell.answers[ASKED] = Result(ASKED, 127, "", "python3: not found")

    with pytest.raises(CommandFailed, match="not found"):
        lab.tried()


@pytest.mark.parametrize("answer", ["", "[]", "{}", "3", '{"tasks": [], "ports": ["", ""]}'])
def test_a_node_that_answers_something_else_is_an_error(lab: Lab, answer: str) -> None:
    lab.nodes[1].shell.answers[ASKED] = answer

    with pytest.raises(LabError, match="worker1 was asked about its tasks, and answers something else"):
        lab.tried()


def test_a_question_and_the_addresses_of_an_answer() -> None:
    asked = question(7, "tasks.web")
    assert asked[:2] == b"\0\x07"
    assert b"\x05tasks\x03web\0" in asked

    record = b"\xc0\x0c\0\x01\0\x01\0\0\x02\x58\0\x04"
    head = b"\0\x07\x81\x80\0\x01\0\x02\0\0\0\0\x03web\0\0\x01\0\x01"
    assert decoded(head + record + bytes([10, 0, 1, 3]) + record + bytes([10, 0, 1, 4])) == ["10.0.1.3", "10.0.1.4"]


@pytest.mark.parametrize("answer", [b"", b"\0\x07\x81\x80", b"\0\x07\x81\x80\0\x01\0\x01\0\0\0\0\x03web"])
def test_an_answer_that_is_cut_off_is_none(answer: bytes) -> None:
    with pytest.raises(ValueError, match="not an answer"):
        decoded(answer)
