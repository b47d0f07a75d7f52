"""One suite for all ways to a node: the engine's exec and SSH, to the same container; and the fake one."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import pytest

from labctl.errors import CommandFailed, NodeDown, NotFoundError, UsageError
from labctl.lab import Context, Lab, UpOptions, bring_up, find_lab
from labctl.node import Node
from labctl.spec import LabSpec
from labctl.state import lab_path
from labctl.swarm import SwarmView
from labctl.transport import DockerExec, FakeTransport, Result, Transport
from labctl.transport.ssh import Ssh
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING
from tests.integration.verbs import LABCTL, is_a_terminal_there, is_ctrl_p_the_shells, labctl, terminal

from .transport_contract import TransportContract

WAYS = ["exec", "ssh"]
BARE = {"workers": 0, "swarm": "empty", "registry": False}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """One bare node."""
    return make_lab(**BARE, options=UpOptions(verify=False))


def by(way: str, context: Context, lab: Lab) -> Node:
    """The lab's node, to be reached that way."""
    assert way in ("exec", "ssh")
    return find_lab(Context(context.engine, transport="ssh" if way == "ssh" else "exec"), lab.name).nodes[0]


@pytest.fixture(params=[*WAYS, "sudo"])
def transport(request: pytest.FixtureRequest, context: Context, lab: Lab) -> Transport:
    """The way to the node: by exec, by SSH as root, and by SSH as a user who may become root, as on a machine."""
    if request.param == "sudo":
        by("ssh", context, lab)  # writes down the host key
        folder = lab_path(lab.name)
        return Ssh(
            lab.nodes[0].address,
            node="manager1",
            user="docker",
            key=folder / "id_ed25519",
            known_hosts=folder / "known_hosts",
            alias=f"labctl-{lab.name}",
            sudo=True,
        )
    found = by(request.param, context, lab).transport
    assert isinstance(found, Ssh if request.param == "ssh" else DockerExec)
    return found


@pytest.mark.lab
class TestContainers(TransportContract):
    """The whole contract, on a node that is a container."""


# -- the fake keeps what can be kept without a node


def test_the_fake_hides_secrets_keeps_files_and_fails_as_the_others_do() -> None:
    fake = FakeTransport({"echo SWMTKN-1": "SWMTKN-1\n", "false": Result("false", 1, "", "no\n")})

    assert fake.run("echo SWMTKN-1", hide=["SWMTKN-1"]).shown == "echo ***"
    fake.put(b"\0\xff", "/etc/x", mode=0o600)
    assert fake.get("/etc/x") == b"\0\xff"
    with pytest.raises(NotFoundError):
        fake.get("/etc/none")
    with pytest.raises(UsageError, match="/etc on the fake node is a folder"):
        fake.put(b"x", "/etc")
    with pytest.raises(CommandFailed, match="exited 1: no"):
        list(fake.stream(["false"]))


@pytest.mark.lab
@pytest.mark.parametrize("transport", ["sudo"], indirect=True)
def test_a_user_who_becomes_root_leaves_nothing_of_the_command_on_sudos_command_line(transport: Transport) -> None:
    code = "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = sudo ] && tr '\\0' ' ' < $p/cmdline; done; : SWMTKN-1"

    said = transport.run(code, env={"PASSWORD": "hunter2"})

    assert said.stdout.startswith("sudo -n -H -- /bin/sh -c eval ")
    assert "SWMTKN-1" not in said.stdout
    assert "hunter2" not in said.stdout


# -- a node that goes away and comes back


@pytest.mark.lab
@pytest.mark.parametrize("way", WAYS)
def test_a_node_that_is_down_says_so_and_answers_again_when_it_is_back(
    way: str, context: Context, own_lab: Callable[..., Lab]
) -> None:
    lab = own_lab(**BARE, options=UpOptions(verify=False))
    node = by(way, context, lab)
    assert node.transport.run("true").ok

    lab.stop()
    with pytest.raises(NodeDown, match="node manager1 is"):
        node.transport.run("true")
    lab.start()

    assert node.transport.run("hostname").stdout == "manager1\n"


@pytest.mark.lab
def test_a_node_that_dies_while_a_command_runs_is_not_waited_for(context: Context, own_lab: Callable[..., Lab]) -> None:
    lab = own_lab(**BARE, options=UpOptions(verify=False))
    stream = by("ssh", context, lab).transport.stream(["/bin/sh", "-c", "echo begun; sleep 600"])
    assert next(stream) == b"begun\n"

    lab.kill([lab.nodes[0]])

    with pytest.raises(NodeDown):
        next(stream)


# -- swarms over SSH


@pytest.fixture
def no_exec(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command reach a node by the host's engine."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a command went by the engine's exec")

    for method in ("run", "put", "get", "stream", "interactive"):
        monkeypatch.setattr(DockerExec, method, refuse)


@pytest.mark.lab
def test_a_swarm_is_formed_grown_and_left_over_ssh_alone(context: Context, lab_name: str, no_exec: None) -> None:
    over_ssh = Context(context.engine, transport="ssh")
    try:
        bring_up(over_ssh, LabSpec(name=lab_name, workers=1))
        bring_up(over_ssh, LabSpec(name=lab_name, workers=2))
        lab = find_lab(over_ssh, lab_name)

        members = {member.hostname: member.state for member in SwarmView(lab.manager().engine).nodes()}
        assert members == {"manager1": "ready", "worker1": "ready", "worker2": "ready"}
        assert lab.node("w2").expect("docker info --format '{{.Swarm.LocalNodeState}}'").stdout == "active\n"
        lab.remove_nodes([lab.node("w2")])
        assert [member.hostname for member in SwarmView(lab.manager().engine).nodes()] == ["manager1", "worker1"]
    finally:
        find_lab(context, lab_name).down()


# -- `labctl ssh` and its kin


@pytest.mark.lab
def test_labctl_ssh_is_the_same_shell_either_way(lab: Lab) -> None:
    for way in WAYS:
        flag = ("--transport", way)
        said = labctl("ssh", *flag, "m1", "pwd; id -un; echo err >&2; exit 7", lab=lab.name)
        assert (said.code, said.out, said.err) == (7, "/home/docker\ndocker\n", "err\n")
        assert labctl("ssh", *flag, "m1", "kill -9 $$", lab=lab.name).code == 137
        assert labctl("ssh", *flag, "m1", "wc -c", lab=lab.name, stdin=bytes(3_000_000)).out.strip() == "3000000"
        assert labctl("exec", *flag, "--", "hostname", lab=lab.name).out == "manager1 | manager1\n"


@pytest.mark.lab
def test_a_terminal_over_ssh(lab: Lab) -> None:
    with terminal([*LABCTL, "ssh", "--transport", "ssh", "-l", lab.name, "m1"], lines=30, columns=100) as seat:
        is_a_terminal_there(seat, r"~ \$ ")
        seat.type("exit 9\n")
        assert seat.wait() == 9
        assert not seat.is_raw(), "the terminal is as it was"


@pytest.mark.lab
@pytest.mark.parametrize("way", WAYS)
def test_a_terminal_by_somebody_elses_client(way: str, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: OpenSSH's client sits there, or Docker's."""
    monkeypatch.setenv("LABCTL_TERMINAL", "client")
    with terminal([*LABCTL, "ssh", "--transport", way, "-l", lab.name, "m1"], lines=30, columns=100) as seat:
        is_a_terminal_there(seat, r"~ \$ ")
        is_ctrl_p_the_shells(seat)
        seat.type("exit 9\n")
        assert seat.wait() == 9
        assert not seat.is_raw(), "the terminal is as it was"


@pytest.mark.lab
def test_ctrl_c_ends_the_command_on_the_node_too(lab: Lab) -> None:
    process = subprocess.Popen(
        [*LABCTL, "ssh", "--transport", "ssh", "-l", lab.name, "m1", "echo begun; sleep 4340"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 130
    process.stdout.close()

    def look() -> None:
        if lab.nodes[0].run(["pgrep", "-fx", "sleep 4340"]).ok:
            raise Pending(
                lab.nodes[0].run("ps -eo pid,ppid,pgid,sid,etimes,user,args; ls -l /tmp/.labctl-pid-*").stdout
            )

    wait_until("the command being ended", look, limit=HANGING)


@pytest.mark.lab
def test_a_host_key_that_changed_stops_everything(context: Context, own_lab: Callable[..., Lab]) -> None:
    lab = own_lab(**BARE, options=UpOptions(verify=False))
    assert labctl("exec", "--transport", "ssh", "--", "true", lab=lab.name).code == 0
    again = "rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key"
    assert lab.nodes[0].run(f"{again}; pkill -HUP -x sshd -o").ok

    def look() -> str:
        said = labctl("ssh", "--transport", "ssh", "m1", "true", lab=lab.name)
        if said.code == 0:
            raise Pending("sshd still shows the old key")
        return said.err

    said = wait_until("sshd showing its new key", look, limit=HANGING)

    assert "manager1 shows another host key than at its first boot: SHA256:" in said
    assert "`labctl down` and `labctl up`" in said
    assert labctl("ssh", "m1", "true", lab=lab.name).code == 0, "exec asks for no key"
