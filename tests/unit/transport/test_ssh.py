"""SSH for real, against a server in this process: good days, bad days, and nothing that waits for ever."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko
import pytest

from labctl.errors import CommandFailed, HostError, LabctlError, LabError, NodeDown, NotFoundError, UsageError
from labctl.pki import make_ssh_key
from labctl.transport.known_hosts import HostKey, KnownHosts
from labctl.transport.ssh import Ssh
from labctl.transport.ssh_connection import CHANNELS, Limits
from tests.guard import LONG, no_hang

from .conftest import QUICK, Reach, Serve, key_in


@pytest.fixture
def ssh(serve: Serve, reach: Reach) -> Ssh:
    return reach(serve())


# -- commands


def test_a_command_ends_with_its_code_and_both_of_its_outputs(ssh: Ssh) -> None:
    result = ssh.run("echo out; echo err >&2; exit 3")

    assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert result.shown == "echo out; echo err >&2; exit 3"
    assert result.seconds > 0


def test_a_list_goes_to_no_shell(ssh: Ssh) -> None:
    words = ["a b", "$HOME", "it's", '"', "*", "", "ü", "line\nbreak"]

    assert ssh.run(["printf", "<%s>", *words]).stdout == "".join(f"<{word}>" for word in words)


def test_a_command_begins_at_the_root_with_the_roots_path(ssh: Ssh) -> None:
    assert ssh.run("pwd; echo $PATH").stdout.splitlines() == [
        "/",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]


def test_what_is_put_in_comes_out(ssh: Ssh) -> None:
    assert ssh.run("cat", stdin="grüße\n".encode()).stdout == "grüße\n"
    assert ssh.run("wc -c", stdin=bytes(3_000_000)).stdout.strip() == "3000000"
    assert ssh.run("cat", stdin=b"").stdout == ""


def test_without_an_input_there_is_nothing_to_read(ssh: Ssh) -> None:
    assert ssh.run("cat", limit=20).ok


def test_a_command_that_reads_nothing_of_a_large_input_ends_all_the_same(ssh: Ssh) -> None:
    assert ssh.run("exit 5", stdin=bytes(20_000_000), limit=20).code == 5


def test_the_environment_is_given_as_it_is(ssh: Ssh) -> None:
    env = {"A": "it's $HOME `x`\n\"", "_B1": "", "with.dot": "yes"}

    found = ssh.run(["env", "-0"], env=env).stdout.split("\0")

    assert {f"{key}={value}" for key, value in env.items()} <= set(found)


def test_the_node_ends_a_command_at_its_limit(ssh: Ssh) -> None:
    with no_hang():
        result = ssh.run("echo begun; sleep 600", limit=0.5)

    assert result.timed_out
    assert result.stdout == "begun\n"


def test_a_command_that_a_signal_ended_has_a_shells_code(ssh: Ssh) -> None:
    result = ssh.run("kill -9 $$")

    assert (result.code, result.stderr) == (137, "")


def test_a_command_whose_very_shell_was_killed_has_a_code_too(ssh: Ssh) -> None:
    assert ssh.run("kill -9 0", limit=20).code != 0


def test_what_stays_behind_in_the_background_is_not_waited_for(ssh: Ssh) -> None:
    with no_hang():
        result = ssh.run("sleep 600 & echo $!; exit 4", limit=LONG)

    assert result.code == 4
    os.kill(int(result.stdout), signal.SIGKILL)


def test_ten_megabytes_come_whole(ssh: Ssh) -> None:
    result = ssh.run("head -c 10000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2")

    assert (len(result.stdout), len(result.stderr)) == (10_000_000, 1_000_000)


# -- secrets and root


def test_a_secret_is_in_no_result_and_on_no_command_line_that_sudo_or_sshd_logs(serve: Serve, reach: Reach) -> None:
    server = serve()

    result = reach(server).run("echo SWMTKN-1 | tr a-z A-Z; exit 1", env={"PASSWORD": "hunter2"}, hide=["SWMTKN-1"])

    assert "SWMTKN-1" not in result.shown
    assert not [line for line in server.executed if "SWMTKN-1" in line or "hunter2" in line]


def test_another_user_becomes_root_by_sudo(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\n[ "$1 $2 $3" = "-n -H --" ] || exit 99\nshift 3\nWAS_ROOT=yes exec "$@"\n')
    sudo.chmod(0o755)
    server = serve(path=str(tmp_path))

    assert reach(server, sudo=True).run("echo $WAS_ROOT").stdout == "yes\n"
    assert reach(server).run("echo $WAS_ROOT").stdout == "\n"


def test_a_user_who_may_not_become_root_is_told(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text("#!/bin/sh\necho 'sudo: a password is required' >&2; exit 1\n")
    sudo.chmod(0o755)
    ssh = reach(serve(path=str(tmp_path)), sudo=True)

    with pytest.raises(LabError, match="vagrant may not become root on w1: sudo: a password is required"):
        ssh.run("true")
    with pytest.raises(LabError, match="vagrant may not become root on w1"):
        list(ssh.stream(["true"]))


# -- files and streams


def test_a_file_comes_back_as_it_was_put(ssh: Ssh, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    path = tmp_path / "deep" / "er" / "a file"

    ssh.put(content, str(path), mode=0o640)

    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.parent.stat().st_mode & 0o777 == 0o755
    assert ssh.get(str(path)) == content
    ssh.put(b"", str(path))
    assert ssh.get(str(path)) == b""
    assert [entry.name for entry in path.parent.iterdir()] == ["a file"]


def test_a_folder_is_not_replaced_by_a_file(ssh: Ssh, tmp_path: Path) -> None:
    (tmp_path / "data" / "kept").mkdir(parents=True)

    for path in (f"{tmp_path}/data", f"{tmp_path}/data/", f"{tmp_path}/none/"):
        with pytest.raises(UsageError, match=f"{path} on .* is a folder"):
            ssh.put(b"x", path)

    assert [path.name for path in tmp_path.glob("data/*")] == ["kept"]


def test_a_file_that_cannot_be_written_is_told_with_path_and_node(ssh: Ssh, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(LabError, match=r"cannot write /proc/none/x on w1: mkdir: .*No such file"):
        ssh.put(b"x", "/proc/none/x")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("path", ["/etc/none", "/etc"])
def test_what_is_no_file_is_not_found(ssh: Ssh, path: str) -> None:
    with pytest.raises(NotFoundError, match=f"no file on w1 named '{path}'"):
        ssh.get(path)


def test_a_stream_carries_more_than_any_window(ssh: Ssh) -> None:
    chunks = [os.urandom(100_000) for _ in range(100)]

    assert b"".join(ssh.stream(["cat"], stdin=iter(chunks))) == b"".join(chunks)


def test_a_stream_that_fails_says_so_at_its_end(ssh: Ssh) -> None:
    stream = ssh.stream(["/bin/sh", "-c", "echo half; echo reason >&2; exit 2"])

    assert next(stream) == b"half\n"
    with pytest.raises(CommandFailed, match=r"w1: .* exited 2: reason"):
        next(stream)


def test_a_stream_that_nobody_reads_any_more_gives_its_channel_back(ssh: Ssh) -> None:
    for _ in range(CHANNELS + 2):
        stream = ssh.stream(["yes"])
        next(stream)
        stream.close()  # type: ignore[attr-defined]  # it is a generator

    assert ssh.run("echo here").stdout == "here\n"


def test_an_input_that_fails_is_told(ssh: Ssh) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise LabError("the source broke")

    with pytest.raises(LabError, match="the source broke"):
        list(ssh.stream(["cat"], stdin=broken()))


# -- one connection


def test_many_commands_share_one_connection_and_no_more_channels_than_sshd_allows(serve: Serve, reach: Reach) -> None:
    server = serve()
    ssh = reach(server)

    with ThreadPoolExecutor(20) as pool:
        said = list(pool.map(lambda number: ssh.run(f"sleep 0.2; echo {number}").stdout, range(20)))

    assert said == [f"{number}\n" for number in range(20)]
    assert len(server.connections) == 1
    assert server.most_at_once <= CHANNELS


def test_a_server_that_allows_fewer_sessions_is_waited_for(serve: Serve, reach: Reach) -> None:
    ssh = reach(serve(max_sessions=2))

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda number: ssh.run(f"sleep 0.2; echo {number}").stdout, range(6)))

    assert said == [f"{number}\n" for number in range(6)]


def test_a_node_that_is_looked_up_again_is_not_logged_in_to_again(serve: Serve, reach: Reach) -> None:
    server = serve()
    reach(server).run("true")

    assert reach(server, known=False).run("echo same").stdout == "same\n"

    assert len(server.connections) == 1


def test_threads_that_come_at_once_log_in_once(serve: Serve, reach: Reach) -> None:
    server = serve()
    ssh = reach(server)
    ssh.close()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: ssh.run("true").ok, range(8)))

    assert len(server.connections) == 2  # pin's, and one


def test_a_connection_that_died_is_opened_again(serve: Serve, reach: Reach) -> None:
    server = serve()
    ssh = reach(server)
    for _ in range(3):
        assert ssh.run("echo here").stdout == "here\n"
        server.drop()

    assert len(server.connections) == 3


def test_a_closed_transport_may_be_used_again(ssh: Ssh) -> None:
    ssh.close()
    ssh.close()

    assert ssh.run("true").ok


# -- bad days


def test_a_host_that_was_never_recorded_is_refused(serve: Serve, reach: Reach) -> None:
    server = serve()
    ssh = reach(server, known=False)

    with pytest.raises(LabError, match="w1 shows a host key that was never recorded"):
        ssh.run("true")

    assert server.executed == []


def test_a_host_key_that_changed_is_told_with_both_fingerprints(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    known = KnownHosts(tmp_path / "known_hosts")
    ssh = reach(serve(), alias="w1.lab")
    first = known.keys("w1.lab")[0].fingerprint
    other = paramiko.PKey.from_path(key_in(tmp_path, "other"))
    changed = reach(serve(host_key=other), known=False, alias="w1.lab")

    for attempt in (lambda: changed.run("true"), changed.pin):
        with pytest.raises(LabError) as caught:
            attempt()
        assert first in caught.value.message
        assert other.fingerprint in caught.value.message
        assert "`labctl down` and `labctl up`" in (caught.value.hint or "")
    assert ssh.run("true").ok


def test_any_of_the_keys_that_are_recorded_will_do(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    server = serve()
    old, new = make_ssh_key("x").certificate.decode().strip(), f"ssh-ed25519 {server.host_key.get_base64()}"
    (tmp_path / "known_hosts").write_text(f"w1.lab {new}\nw1.lab {old}\n")

    assert reach(server, known=False, alias="w1.lab").run("echo here").stdout == "here\n"


@pytest.mark.skipif(shutil.which("ssh-keyscan") is None, reason="no ssh-keyscan here")
def test_the_mend_of_a_changed_host_key_mends_it(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    server = serve()
    name = f"[127.0.0.1]:{server.port}"
    KnownHosts(tmp_path / "known_hosts").pin(name, HostKey.parse(make_ssh_key("x").certificate.decode()), "w1")
    ssh = reach(server, known=False)
    with pytest.raises(LabError, match="another host key") as caught:
        ssh.run("true")

    typed = (caught.value.hint or "").split("`")[1]
    subprocess.run(["sh", "-c", typed], check=True, capture_output=True, timeout=60)

    assert ssh.run("echo here").stdout == "here\n"


def test_a_key_that_is_refused_is_told_and_the_host_is_not_recorded(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    server = serve()
    ssh = reach(server, known=False, key=key_in(tmp_path, "stranger"))

    with pytest.raises(LabError, match=r"w1 does not let vagrant in with the key .*stranger"):
        ssh.pin()

    assert not (tmp_path / "known_hosts").exists()
    with pytest.raises(LabError, match="w1 does not let root in"):
        reach(server, user="root")


def test_nothing_of_the_users_own_has_a_say(
    serve: Serve, reach: Reach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No SSH or fabric configuration, no agent (this one would hang), no key and no known host of the user's."""
    server = serve()
    own = tmp_path / "home" / ".ssh"
    own.mkdir(parents=True)
    (own / "config").write_text("Host *\n  ProxyCommand false\n  User nobody\n  Port 1\n  IdentityFile /none\n")
    shutil.copy(tmp_path / "user", own / "id_ed25519")
    (own / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {server.host_key.get_name()} AAAA\n")
    (own.parent / ".fabric.py").write_text("raise SystemExit('read')\n")
    monkeypatch.setenv("HOME", str(own.parent))
    monkeypatch.setenv("FABRIC_GATEWAY", "nobody")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))

        with no_hang():
            assert reach(server).run("echo here").stdout == "here\n"
            with pytest.raises(LabError, match="w1 does not let vagrant in with the key"):
                reach(server, key=key_in(tmp_path, "stranger")).run("true")

        agent.setblocking(False)
        with pytest.raises(BlockingIOError):
            agent.accept()


def test_a_host_that_asks_for_more_than_the_key_is_refused_and_nobody_is_asked(
    serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(asks=True)
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))

    with no_hang(), pytest.raises(LabError, match="w1 does not let vagrant in with the key"):
        reach(server)

    assert server.executed == []


def test_a_host_with_several_keys_is_asked_for_one_that_is_recorded(serve: Serve, reach: Reach, tmp_path: Path) -> None:
    rsa = paramiko.RSAKey.generate(2048)
    server = serve(other_host_keys=[rsa])
    (tmp_path / "known_hosts").write_text(f"w1.lab ssh-rsa {rsa.get_base64()}\n")

    assert reach(server, known=False, alias="w1.lab").run("echo here").stdout == "here\n"


@pytest.mark.parametrize("content", [None, b"", b"not a key"])
def test_a_key_that_cannot_be_read_is_told(serve: Serve, reach: Reach, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "broken").write_bytes(content)

    with pytest.raises(LabError, match=r"the SSH key .*broken cannot be read"):
        reach(serve(), key=tmp_path / "broken")


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_10.0\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_node_that_takes_connections_and_says_nothing_is_down(serve: Serve, reach: Reach, greeting: bytes) -> None:
    ssh = reach(serve(silent=True, greeting=greeting), known=False, limits=QUICK)

    with (
        no_hang(),
        pytest.raises(NodeDown, match=r"w1 is not answering over SSH \(127.0.0.1:\d+: it takes connections") as caught,
    ):
        ssh.run("true")
    assert "labctl restart w1" in (caught.value.hint or "")


def test_all_who_wait_for_a_silent_node_learn_of_it_at_once(serve: Serve, reach: Reach) -> None:
    server = serve(silent=True)
    ssh = reach(server, known=False, limits=QUICK)

    def attempt(_: int) -> type[Exception] | None:
        try:
            ssh.run("true")
        except LabctlError as problem:
            return type(problem)
        return None

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(attempt, range(8))) == {NodeDown}
    assert len(server.connections) <= 2


def test_a_node_that_refuses_connections_is_down(serve: Serve, reach: Reach) -> None:
    server = serve()
    server.stop()

    with pytest.raises(NodeDown, match=r"not answering over SSH \(127.0.0.1:\d+: Connection refused\)") as caught:
        reach(server, known=False).run("true")
    assert "labctl restart w1" in (caught.value.hint or "")


def test_with_patience_a_server_that_is_still_starting_is_waited_for(reach: Reach, serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    ssh = reach(serve(), known=False, port=port, patience=20)
    starting = threading.Timer(0.5, lambda: serve(port=port))
    starting.start()

    ssh.pin()

    assert ssh.run("echo here").stdout == "here\n"
    starting.join()


def test_patience_ends(reach: Reach, serve: Serve) -> None:
    server = serve()
    server.stop()
    began = time.monotonic()

    with no_hang(), pytest.raises(NodeDown):
        reach(server, known=False, patience=1.0).run("true")

    assert time.monotonic() - began >= 0.4


def test_a_node_that_lets_in_and_then_starts_nothing_is_down(serve: Serve, reach: Reach) -> None:
    ssh = reach(serve(deaf=True), limits=Limits(channel=1))

    with no_hang(), pytest.raises(NodeDown):
        ssh.run("true")


def test_a_connection_that_dies_while_a_command_runs_is_an_error(serve: Serve, reach: Reach) -> None:
    server = serve()
    ssh = reach(server)
    threading.Timer(0.5, server.drop).start()

    with no_hang(), pytest.raises(NodeDown, match="the connection was lost while a command ran"):
        ssh.run("echo begun; sleep 3")

    with pytest.raises(NodeDown):
        stream = ssh.stream(["/bin/sh", "-c", "echo begun; sleep 3"])
        next(stream)
        server.drop()
        next(stream)
    assert ssh.run("echo again").stdout == "again\n"


def test_a_node_that_falls_silent_is_given_up_after_the_commands_limit(
    serve: Serve, reach: Reach, tmp_path: Path
) -> None:
    # A machine that was suspended: its own limit does not run out, and nothing comes.
    timeout = tmp_path / "timeout"
    timeout.write_text("#!/bin/sh\nexec sleep 600\n")
    timeout.chmod(0o755)
    ssh = reach(serve(), limits=Limits(answer=1))

    with no_hang(), pytest.raises(NodeDown, match=r"silent for 3\.2 s while a command ran"):
        ssh.run("true", limit=0.2, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})


@pytest.mark.parametrize("package", ["fabric", "paramiko"])
def test_without_the_packages_the_mend_is_told(
    serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    ssh = reach(serve(), known=False)
    monkeypatch.delitem(sys.modules, "labctl.transport.ssh_login", raising=False)
    monkeypatch.setitem(sys.modules, package, None)

    for attempt in (lambda: ssh.run("true"), ssh.pin):
        with pytest.raises(HostError, match=f"SSH needs a package that is not installed: {package}") as caught:
            attempt()
    assert caught.value.hint == "pip install 'swarm-labctl[vagrant]'"


def test_nothing_of_paramiko_is_printed(serve: Serve, reach: Reach, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NodeDown):
        reach(serve(silent=True), known=False, limits=QUICK).run("true")

    assert capfd.readouterr() == ("", "")


def test_what_ssh_needs_is_not_imported_before_a_node_is_reached_by_it() -> None:
    made = "Ssh('127.0.0.1', node='w1', user='root', key=Path('key'), known_hosts=Path('known'))"
    code = f"import sys; from pathlib import Path; from labctl.transport.ssh import Ssh; {made}; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {"fabric", "invoke", "paramiko"} & set(done.stdout.split()) == set()


def test_of_endless_output_the_last_part_is_kept(ssh: Ssh) -> None:
    result = ssh.run("head -c 40000000 /dev/zero | tr '\\0' x; echo end")

    assert len(result.stdout) == 16 << 20
    assert result.stdout.endswith("xend\n")
    assert result.dropped == 40_000_004 - (16 << 20)
