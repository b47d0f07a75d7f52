"""Stacks on a real swarm: carried whole, waited for, told in the scheduler's words, and removed to the last network."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labctl.cli.main import run
from labctl.lab import Lab
from labctl.lab.verify import PROBE_IMAGE
from labctl.swarm.stack import NAMESPACE
from tests.guard import no_hang

pytestmark = pytest.mark.lab

WEB = f"""
services:
  web:
    image: {PROBE_IMAGE}
    ports: ["18099:8080"]
    deploy:
      replicas: 2
      update_config: {{monitor: 2s, failure_action: ACTION}}
      restart_policy: {{delay: 1s}}
"""
Labctl = Callable[..., tuple[int, str, str]]


@pytest.fixture
def labctl(shared_lab: Lab, capsys: pytest.CaptureFixture[str]) -> Labctl:
    """Run a command on the lab; returns its exit code, stdout and stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run([*words, "-l", shared_lab.name])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def stack(shared_lab: Lab, labctl: Labctl, tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Write a stack file; the stack `it` is removed afterwards."""

    def write(text: str) -> Path:
        path = tmp_path / "stack.yml"
        path.write_text(text)
        return path

    yield write
    labctl("stack", "rm", "it")


def on_each_node(lab: Lab, command: str) -> list[str]:
    return [node.expect(command).stdout.strip() for node in lab.nodes]


def test_a_stack_is_deployed_waited_for_and_reached(labctl: Labctl, stack: Callable[..., Path]) -> None:
    code, out, err = labctl("stack", "deploy", str(stack(WEB.replace("ACTION", "pause"))), "it")

    assert code == 0
    assert "it_web 2/2" in err
    (url,) = out.split()
    with urllib.request.urlopen(url, timeout=10) as page:
        assert page.status == 200
    with no_hang():  # nothing changes, so there is nothing to wait for
        assert labctl("stack", "deploy", str(stack(WEB.replace("ACTION", "pause"))), "it")[0] == 0
    services = json.loads(labctl("stack", "services", "it", "-o", "json")[1])
    assert [(one["name"], one["running"], one["wanted"], one["converged"]) for one in services] == [
        ("it_web", 2, 2, True)
    ]
    tasks = json.loads(labctl("stack", "ps", "it", "-o", "json")[1])
    assert {(task["state"], task["desired"]) for task in tasks} == {("running", "running")}
    assert "it     1" in labctl("stack", "ls")[1]


def test_what_the_file_names_goes_with_it(
    labctl: Labctl, stack: Callable[..., Path], tmp_path: Path, shared_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "web.env").write_text("FROM_FILE=yes\n")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "site").write_text("site")
    (tmp_path / "pw.txt").write_text("hush")
    monkeypatch.setenv("WHO", "ann")
    monkeypatch.setenv("BARE", "bare")
    text = f"""
services:
  web:
    image: {PROBE_IMAGE}
    env_file: ./web.env
    environment: [BARE, "GREETS=${{WHO:-nobody}}"]
    secrets: [pw]
    configs: [{{source: site, target: /site}}]
    deploy: {{placement: {{constraints: [node.role == manager]}}}}
secrets: {{pw: {{file: pw.txt}}}}
configs: {{site: {{file: conf/site}}}}
"""

    assert labctl("stack", "deploy", str(stack(text)), "it")[0] == 0

    container = "$(docker ps -q -f name=it_web)"
    said = (
        shared_lab.nodes[0]
        .expect(f"docker exec {container} env; docker exec {container} cat /run/secrets/pw /site; ls /tmp")
        .stdout
    )
    assert {"FROM_FILE=yes", "BARE=bare", "GREETS=ann"} <= set(said.split())
    assert "hushsite" in said
    assert "labctl-stack" not in said, "nothing of it stays on the manager"


@pytest.mark.parametrize(
    ("service", "told"),
    [
        ("{image: 'nope/nope:1'}", "it_a: 0 of 1 task runs; 2 attempts failed: No such image: nope/nope:1"),
        (
            "{image: 'IMAGE', deploy: {placement: {constraints: [node.labels.x == y]}}}",
            "1 pending: no suitable node (scheduling constraints not satisfied on 3 nodes)",
        ),
        (
            "{image: 'IMAGE', deploy: {resources: {reservations: {memory: 9000G}}}}",
            "1 pending: no suitable node (insufficient resources on 3 nodes)",
        ),
        (
            "{image: 'IMAGE', ports: [{target: 1, published: 21998, mode: host}], deploy: {replicas: 4}}",
            "1 pending: no suitable node (host-mode port already in use on 3 nodes)",
        ),
        (
            "{image: 'IMAGE', entrypoint: /bin/false, deploy: {restart_policy: {condition: none}}}",
            "it_a: 0 of 1 task runs; 1 failed and will not be started again: task: non-zero exit (1)",
        ),
        (
            "{image: alpine, command: [sh, -c, 'sleep 2; exit 6'], deploy: {restart_policy: {condition: none}}}",
            "it_a: 0 of 1 task runs; 1 failed and will not be started again: task: non-zero exit (6)",
        ),
    ],
    ids=["image", "placement", "memory", "port", "exit", "exit after a moment"],
)
def test_why_a_stack_does_not_come_up(labctl: Labctl, stack: Callable[..., Path], service: str, told: str) -> None:
    text = f"services: {{a: {service.replace('IMAGE', PROBE_IMAGE)}}}"

    code, _, err = labctl("stack", "deploy", str(stack(text)), "it", "--limit", "12")

    assert code == 1
    assert told in err


def test_jobs_and_one_shot_services_are_done_when_they_ended_well(labctl: Labctl, stack: Callable[..., Path]) -> None:
    text = f"""
services:
  once:
    image: {PROBE_IMAGE}
    entrypoint: /bin/true
    deploy: {{restart_policy: {{condition: on-failure}}}}
  job:
    image: {PROBE_IMAGE}
    entrypoint: /bin/true
    deploy: {{mode: replicated-job, replicas: 3}}
  everywhere:
    image: {PROBE_IMAGE}
    entrypoint: /bin/true
    deploy: {{mode: global-job}}
"""

    code, _, err = labctl("stack", "deploy", str(stack(text)), "it")

    assert code == 0
    assert "it_once 0/1 (1/1 completed)" in err
    assert "it_job 0/3 (3/3 completed)" in err
    assert "it_everywhere 0/0 (3/3 completed)" in err
    assert "3 services completed" in err
    services = json.loads(labctl("stack", "services", "it", "-o", "json")[1])
    assert {one["name"]: (one["running"], one["completed"], one["converged"]) for one in services} == {
        "it_once": (0, 1, True), "it_job": (0, 3, True), "it_everywhere": (0, 3, True),
    }  # fmt: skip


# Stopped by its health check it ends with exit code 0, as redis and others do.
STOPS_CLEANLY = """
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"]
    healthcheck: {test: ["CMD-SHELL", "echo no row; exit 3"], interval: 1s, retries: 1, timeout: 5s}
"""


def test_a_server_whose_health_check_fails_does_not_run(labctl: Labctl, stack: Callable[..., Path]) -> None:
    restart = "    deploy: {restart_policy: {condition: on-failure}}\n"
    text = f"services:\n  a:\n    image: alpine{STOPS_CLEANLY}{restart}"

    code, _, err = labctl("stack", "deploy", str(stack(text)), "it", "--limit", "60")

    assert code == 1
    assert "health check `echo no row; exit 3` exited 3: no row" in err
    assert "it_a: 0 of 1 task runs" in err


@pytest.mark.parametrize(
    ("action", "told"),
    [("pause", "paused: update paused due to failure"), ("rollback", "rolled back: rollback completed")],
)
def test_an_update_that_fails_is_told_with_its_reason(
    labctl: Labctl, stack: Callable[..., Path], action: str, told: str
) -> None:
    good = WEB.replace("ACTION", action)
    assert labctl("stack", "deploy", str(stack(good)), "it")[0] == 0

    code, _, err = labctl("stack", "deploy", str(stack(good.replace(PROBE_IMAGE, "nope/nope:2"))), "it")

    assert code == 1
    assert told in err
    assert "No such image: nope/nope:2" in err
    assert labctl("stack", "deploy", str(stack(good)), "it")[0] == 0, "the good file mends it"


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ('    entrypoint: ["sh", "-c", "sleep 3; exit 3"]\n', "task: non-zero exit (3)"),
        ('    healthcheck: {test: ["CMD-SHELL", "exit 4"], interval: 1s, retries: 1}\n', "`exit 4` exited 4"),
    ],
    ids=["exit", "health check"],
)
def test_an_update_that_was_rolled_back_is_told_with_its_cause(
    labctl: Labctl, stack: Callable[..., Path], added: str, told: str
) -> None:
    # The managers must have heard that a task runs before they hear that it ended: a busy host needs seconds for that.
    good = WEB.replace("ACTION", "rollback").replace("monitor: 2s", "monitor: 10s")
    assert labctl("stack", "deploy", str(stack(good)), "it")[0] == 0

    code, _, err = labctl("stack", "deploy", str(stack(good.rstrip() + "\n" + added)), "it")

    assert code == 1
    (said,) = [line for line in err.splitlines() if line.startswith("labctl: ")]
    assert "rolled back: " in said and told in said


def test_a_removal_leaves_nothing_and_a_deploy_right_after_it_works(
    labctl: Labctl, stack: Callable[..., Path], shared_lab: Lab
) -> None:
    path = str(stack(WEB.replace("ACTION", "pause")))
    assert labctl("stack", "deploy", path, "it")[0] == 0

    assert labctl("stack", "rm", "it")[0] == 0

    mark = f"--filter label={NAMESPACE}=it"
    assert on_each_node(shared_lab, f"docker ps -aq {mark}; docker network ls -q {mark}") == ["", "", ""]
    assert labctl("stack", "deploy", path, "it")[0] == 0


def test_a_slip_in_one_name_keeps_no_other_stack(labctl: Labctl, stack: Callable[..., Path]) -> None:
    assert labctl("stack", "deploy", str(stack(WEB.replace("ACTION", "pause"))), "it")[0] == 0

    code, _, err = labctl("stack", "rm", "it", "nope")

    assert code == 2
    assert "no stack named 'nope'" in err
    assert "no stack named 'it'" in labctl("stack", "services", "it")[2]


def test_dockers_own_command_works_too(labctl: Labctl, stack: Callable[..., Path], shared_lab: Lab) -> None:
    shared_lab.nodes[0].put(stack(WEB.replace("ACTION", "pause")).read_bytes(), "/tmp/own.yml")

    shared_lab.nodes[0].expect("docker stack deploy -c /tmp/own.yml it")

    assert "it_web" in labctl("stack", "services", "it")[1]


def test_several_files_are_one_stack_and_an_unknown_version_is_no_matter(
    labctl: Labctl, stack: Callable[..., Path], tmp_path: Path, shared_lab: Lab
) -> None:
    (tmp_path / "over").mkdir()
    (tmp_path / "web.env").write_text("FROM_FILE=yes\n")
    over = tmp_path / "over" / "local.yml"
    over.write_text("services: {web: {environment: [OVER=yes], env_file: web.env, networks: [n]}}\nnetworks: {n: }\n")
    base = stack(f'version: "3.13"\nservices:\n  web: {{image: {PROBE_IMAGE}}}\n')

    code, _, err = labctl("stack", "deploy", "-c", str(base), "-c", str(over), "it", "--resolve-image", "never")

    assert code == 0, err
    assert '`version: "3.13"` was left out' in err
    inspect = "docker service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Env}}' it_web"
    assert shared_lab.nodes[0].expect(inspect).stdout.strip() == "[FROM_FILE=yes OVER=yes]"
    assert 'OVER: "yes"' in labctl("stack", "config", "-c", str(base), "-c", str(over))[1]


def test_a_changed_secret_is_deployed_as_the_error_says(
    labctl: Labctl, stack: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"services: {{web: {{image: {PROBE_IMAGE}, build: ., secrets: [pw]}}}}\nsecrets:\n  pw: {{file: pw.txt}}\n"
    (tmp_path / "pw.txt").write_text("one")
    assert labctl("stack", "deploy", str(stack(text)), "it")[0] == 0
    (tmp_path / "pw.txt").write_text("two")

    code, _, err = labctl("stack", "deploy", str(stack(text)), "it")

    assert code == 1
    assert "warning: Ignoring unsupported options: build\n" in err
    assert "secret pw has another content than it_pw" in err
    assert "name: it_pw_${PW_HASH}" in err
    assert "stack rm" not in err
    monkeypatch.setenv("PW_HASH", "2")
    named = text.replace("{file: pw.txt}", "{name: 'it_pw_${PW_HASH}', file: pw.txt}")
    assert labctl("stack", "deploy", str(stack(named)), "it")[0] == 0


def test_bad_files_change_nothing(labctl: Labctl, stack: Callable[..., Path], tmp_path: Path) -> None:
    for text, told in (
        ("services: {a: {image: x, foo: 1}}", "stack.yml:1: services.a Additional property foo is not allowed"),
        ("services: {a: {image: x, env_file: no.env}}", "stack.yml:1: the environment of a is in no.env"),
        ("services: [", "stack.yml:1:"),
    ):
        code, _, err = labctl("stack", "deploy", str(stack(text)), "it")
        assert code == 2
        assert told in err
    assert labctl("stack", "deploy", str(tmp_path / "nowhere.yml"), "it")[0] == 2
    assert "it " not in labctl("stack", "ls")[1]
