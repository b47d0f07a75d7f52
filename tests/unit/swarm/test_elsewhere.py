"""What one node lacks and another has: the scheduler comes to that one sooner or later."""

from __future__ import annotations

import pytest

from labctl.engine.fake import Answer
from labctl.errors import EngineRefused, EngineUnreachable
from labctl.swarm.elsewhere import absent_images, is_elsewhere, missing_image
from labctl.transport import Result

from ..nodes import FakeNode, fake_node

NO_IMAGE = "2 attempts failed: No such image: atsea_app:latest"
NO_FOLDER = '3 attempts failed: invalid mount config for type "bind": bind source path does not exist: /srv/only'


def having(name: str, image: Answer) -> FakeNode:
    return fake_node(name, api={"GET /images/atsea_app:latest/json": image})


@pytest.mark.parametrize(("second", "found"), [({"Id": "sha256:1"}, True), (EngineRefused("no", status=404), False)])
def test_an_image_that_was_built_on_one_node_is_waited_for(second: Answer, found: bool) -> None:
    nodes = [having("manager1", EngineRefused("no such image", status=404)), having("worker1", second)]

    assert is_elsewhere(NO_IMAGE, nodes) is found


NOBODY = EngineRefused("manifest unknown", status=404)


@pytest.mark.parametrize(
    ("registry", "local", "absent"),
    [
        (NOBODY, NOBODY, True),
        (EngineRefused("dial tcp: no such host", status=500), NOBODY, True),
        (NOBODY, {"Id": "sha256:1"}, False),
        ({"Descriptor": {}}, NOBODY, False),
        (EngineRefused("denied", status=403), NOBODY, False),
        (EngineUnreachable("gone"), NOBODY, False),
    ],
    ids=["unknown", "out-of-reach", "on-a-node", "served", "wants-a-login", "no-answer"],
)
def test_an_image_is_absent_that_no_node_has_and_none_can_pull(registry: Answer, local: Answer, absent: bool) -> None:
    first, second = having("manager1", NOBODY), having("worker1", local)
    first.api["GET /distribution/atsea_app:latest/json"] = registry

    assert absent_images(["atsea_app:latest"] * 2, [first, second]) == ({"atsea_app:latest"} if absent else set())
    assert absent_images(["atsea_app:latest"], [fake_node("worker2", state="exited")]) == set()


def test_an_engine_that_does_not_answer_has_nothing() -> None:
    assert not is_elsewhere(NO_IMAGE, [having("manager1", EngineUnreachable("gone"))])


@pytest.mark.parametrize("code", [0, 1])
def test_a_folder_that_is_on_one_node_is_waited_for(code: int) -> None:
    node = fake_node("worker1")
    node.shell.answers["test -e /srv/only"] = Result("test", code)

    assert is_elsewhere(NO_FOLDER, [node, fake_node("worker2", state="exited")]) is (code == 0)


def test_what_fails_everywhere_is_not_looked_for() -> None:
    assert not is_elsewhere("3 attempts failed: exec: no such file", [fake_node("worker1")])
    assert missing_image("1 pending") is None
