"""Commands on nodes: exec on many, ssh on one, scp between them; with and without a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from labctl.lab import Context, Lab, UpOptions
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING, no_hang
from tests.integration.verbs import LABCTL, is_a_terminal_there, is_ctrl_p_the_shells, labctl, terminal

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """A manager and two workers."""
    return make_lab(workers=2, registry=False, options=UpOptions(verify=False))


# -- exec


def test_exec_runs_everywhere_with_each_nodes_name_before_its_lines(lab: Lab) -> None:
    said = labctl("exec", "--", "hostname; echo again", lab=lab.name)

    assert said.code == 0
    assert sorted(said.out.splitlines()) == [
        "manager1 | again",
        "manager1 | manager1",
        "worker1  | again",
        "worker1  | worker1",
        "worker2  | again",
        "worker2  | worker2",
    ]


def test_exec_takes_filters_and_tells_in_json(lab: Lab) -> None:
    said = labctl("exec", "@worker", "-o", "json", "--", "sh", "-c", "hostname; echo bad >&2; exit 4", lab=lab.name)

    assert said.code == 4
    rows = json.loads(said.out)
    assert [(row["node"], row["code"], row["stdout"], row["stderr"]) for row in rows] == [
        ("worker1", 4, "worker1\n", "bad\n"),
        ("worker2", 4, "worker2\n", "bad\n"),
    ]
    assert all(0 < row["seconds"] < 60 for row in rows)


def test_what_stands_behind_the_dashes_is_not_ours(lab: Lab) -> None:
    said = labctl("exec", "w1", "--", "printf", "%s|", "-l", "--limit", "--", "$HOME", "a b", lab=lab.name)

    assert said.out == "worker1 | -l|--limit|--|$HOME|a b|\n"


def test_the_exit_code_is_the_highest(lab: Lab) -> None:
    assert labctl("exec", "--", "exit $(hostname | tr -dc 0-9)", lab=lab.name).code == 2


def test_a_command_is_ended_at_its_limit_on_the_node_too(lab: Lab) -> None:
    with no_hang():
        said = labctl("exec", "w1,w2", "--limit", "1", "--", "sleep 4321", lab=lab.name)

    assert said.code == 124
    assert "worker1 | ended after 1 s, the limit" in said.err
    assert lab.node("w1").run("pgrep -fx 'sleep 4321'").code == 1


def test_endless_output_is_cut_and_told_and_ssh_streams_it_all(lab: Lab) -> None:
    script = "[ $(hostname) = manager1 ] || head -c 99m /dev/zero; echo end"
    said = labctl("exec", "w1,m1", "-o", "json", "--", script, lab=lab.name, limit=120)

    rows = {row["node"]: row for row in json.loads(said.out)}
    assert rows["manager1"]["stderr"] == "" and rows["manager1"]["stdout"] == "end\n"
    assert rows["worker1"]["stdout"].endswith("end\n")
    assert rows["worker1"]["stderr"].startswith("output cut: ")
    assert len(labctl("ssh", "w1", "head -c 99m /dev/zero | tr '\\0' x", lab=lab.name, limit=120).out) == 99 << 20


def test_a_node_that_is_down_is_a_row(lab: Lab) -> None:
    lab.stop([lab.node("w2")])
    try:
        said = labctl("exec", "-o", "json", "--", "true", lab=lab.name)
        plain = labctl("exec", "--", "hostname", lab=lab.name)
    finally:
        lab.start([lab.node("w2")])

    assert said.code == 3
    assert [row["code"] for row in json.loads(said.out)] == [0, 0, None]
    assert sorted(plain.out.splitlines()) == ["manager1 | manager1", "worker1  | worker1"]
    assert "worker2  | node worker2 is exited; `labctl start worker2`" in plain.err


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("nodes", ["w1,w2", "w1"])
def test_ctrl_c_ends_exec_here_and_on_the_nodes(lab: Lab, nodes: str, number: int, code: int) -> None:
    process = subprocess.Popen(
        [*LABCTL, "exec", "-l", lab.name, nodes, "--", "sleep", "4324"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    wait_until("the command's begin", lambda: _there(lab, "sleep 4324"), limit=HANGING)
    process.send_signal(number)
    said, _ = process.communicate(timeout=HANGING)

    assert process.returncode == code
    assert len(said.decode().splitlines()) == 1, said
    for name in nodes.split(","):
        _wait_gone(lab, "sleep 4324", node=name)


def test_ctrl_c_does_not_wait_for_a_node_that_is_frozen(lab: Lab, context: Context) -> None:
    process = subprocess.Popen([*LABCTL, "exec", "-l", lab.name, "w1,w2", "--", "sleep", "4325"])
    wait_until("the command's begin", lambda: _there(lab, "sleep 4325"), limit=HANGING)
    container = f"{lab.name}-worker2"
    context.engine.post(f"/containers/{container}/pause")
    try:
        process.send_signal(signal.SIGINT)

        assert process.wait(HANGING) == 130
        _wait_gone(lab, "sleep 4325")
    finally:
        context.engine.post(f"/containers/{container}/unpause")
        lab.node("w2").run("pkill -f 'sleep 4325'")


# -- ssh


def test_a_command_goes_through_with_its_flags_and_its_exit_code(lab: Lab) -> None:
    assert labctl("ssh", "w1", "ls", "-d", "--color=never", "/etc/docker", lab=lab.name).out == "/etc/docker\n"
    assert labctl("ssh", "w1", "--", "hostname", lab=lab.name).out == "worker1\n"
    assert labctl("ssh", "w1", "exit 7", lab=lab.name).code == 7
    assert labctl("ssh", "w1", "kill -9 $$", lab=lab.name).code == 137
    said = labctl("ssh", "w1", "echo out; echo err >&2", lab=lab.name)
    assert (said.out, said.err) == ("out\n", "err\n")
    assert labctl("ssh", "w1", "pwd", lab=lab.name).out == "/home/docker\n", "as after a login"
    assert (
        labctl("ssh", "docker@w1", "docker ps -q && sudo -n id -un; echo $USER", lab=lab.name).out == "root\ndocker\n"
    )
    assert labctl("ssh", "root@w1", "pwd; id -un", lab=lab.name).out == "/root\nroot\n"
    for who, told in (("nobody2@w1", "worker1 has no user nobody2"), ("a;b@w1", "'a;b' is no user's name")):
        said = labctl("ssh", who, "true", lab=lab.name)
        assert (said.code, told in said.err) == (2, True)


def test_what_is_piped_in_comes_out_as_it_was(lab: Lab) -> None:
    content = os.urandom(3_000_000)

    done = subprocess.run(
        [*LABCTL, "ssh", "-l", lab.name, "w1", "cat"], input=content, capture_output=True, timeout=60, check=True
    )

    assert done.stdout == content


def test_a_command_whose_reader_has_gone_is_ended(lab: Lab) -> None:
    script = f"{' '.join(LABCTL)} ssh -l {lab.name} w1 'yes labctl-was-here' | head -c 10"

    assert subprocess.run(["sh", "-c", script], capture_output=True, timeout=60, check=True).stdout == b"labctl-was"
    _wait_gone(lab, "yes labctl-was-here")


def test_ctrl_c_ends_the_command_on_the_node_too(lab: Lab) -> None:
    process = subprocess.Popen(
        [*LABCTL, "ssh", "-l", lab.name, "w1", "echo begun; sleep 4322"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGINT)

    assert process.wait(30) == 130
    process.stdout.close()
    _wait_gone(lab, "sleep 4322")


def _there(lab: Lab, command: str) -> None:
    if not lab.node("w1").run(["pgrep", "-fx", command]).ok:
        raise Pending(f"{command} does not run yet")


def _wait_gone(lab: Lab, command: str, *, node: str = "w1") -> None:
    def look() -> None:
        if lab.node(node).run(["pgrep", "-fx", command]).ok:
            raise Pending(f"{command} runs")

    wait_until(f"{command} being ended", look, limit=HANGING)


def test_a_shell_at_a_terminal(lab: Lab) -> None:
    with terminal([*LABCTL, "ssh", "-l", lab.name, "w1"], lines=30, columns=100) as seat:
        is_a_terminal_there(seat, r"\(worker\) ~ \$ ")
        is_ctrl_p_the_shells(seat)
        seat.wait_for(r"42 answers")
        seat.type("sleep 4323\n")
        time.sleep(0.5)  # for the command to have begun; Ctrl-C then is for it
        seat.type("\x03")
        seat.wait_for(r"\^C")
        seat.type("exit 9\n")
        assert seat.wait() == 9
        assert not seat.is_raw(), "the terminal is as it was"


@pytest.mark.parametrize("way", ["exec", "ssh"])
@pytest.mark.parametrize("told", ["SIGHUP", "SIGTERM", "nothing"])
def test_what_runs_at_a_terminal_ends_with_it(lab: Lab, told: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that is closed sends its session's leader SIGHUP; who was started by another hears nothing."""
    monkeypatch.setenv("LABCTL_TRANSPORT", way)
    deaf = ["/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"] if told == "nothing" else []
    with terminal([*deaf, *LABCTL, "ssh", "-l", lab.name, "w1", "echo begun; sleep 4324"]) as seat:
        seat.wait_for("begun")
        if told == "SIGTERM":
            seat.end(signal.SIGTERM)
        else:
            seat.hang_up()
        assert seat.code() == (143 if told == "SIGTERM" else 129)

    _wait_gone(lab, "sleep 4324")


def test_one_command_at_a_terminal_has_one_too(lab: Lab) -> None:
    with terminal([*LABCTL, "ssh", "-l", lab.name, "w1", "tty && exit 3"]) as seat:
        seat.wait_for(r"/dev/pts/\d+")
        assert seat.wait() == 3


def test_a_file_in_what_is_mounted_inside_is_written_and_read(lab: Lab) -> None:
    node = lab.node("w1")
    content = bytes(range(256)) * 1000

    node.put(content, "/run/labctl-test/deep/file", mode=0o640)

    assert node.run("stat -c '%a %s' /run/labctl-test/deep/file").stdout == "640 256000\n"
    assert node.get("/run/labctl-test/deep/file") == content


# -- scp


def folder(path: Path) -> Path:
    (path / "sub dir").mkdir(parents=True)
    (path / "a.txt").write_text("one\n")
    (path / "a.txt").chmod(0o750)
    (path / "sub dir" / "b.bin").write_bytes(bytes(range(256)))
    return path


def test_a_file_there_and_back(lab: Lab, tmp_path: Path) -> None:
    source = folder(tmp_path / "site") / "a.txt"

    assert labctl("scp", str(source), "w1:~", lab=lab.name).code == 0
    assert lab.node("w1").run("cd /home/docker && cat a.txt && stat -c '%a %U' a.txt").stdout == "one\n750 docker\n"
    assert labctl("scp", "-q", "w1:a.txt", "back.txt", lab=lab.name, cwd=tmp_path).err == ""
    assert (tmp_path / "back.txt").read_text() == "one\n"
    assert labctl("scp", "w1:/run/docker.pid", str(tmp_path), lab=lab.name).code == 0, "what is mounted inside too"


def test_a_copy_onto_itself_is_refused_and_one_that_is_mounted_is_written(lab: Lab, tmp_path: Path) -> None:
    node = lab.node("w1")
    node.expect("echo precious > /tmp/keep; chown docker /tmp/keep; ln -sf keep /tmp/link; mkdir -p /tmp/into")

    for source, target in (("/tmp/keep", "/tmp/keep"), ("/tmp/link", "/tmp"), ("/tmp/keep", "/tmp/../tmp/link")):
        said = labctl("scp", f"w1:{source}", f"docker@worker1:{target}", lab=lab.name)
        assert (said.code, "are the same file" in said.err) == (2, True), said.err
    inside = labctl("scp", "-r", "w1:/tmp/into", "w1:/tmp/into/sub", lab=lab.name)
    assert (inside.code, "itself" in inside.err) == (2, True)
    assert node.expect("cat /tmp/keep; ls -A /tmp/into").stdout == "precious\n"
    # A container's /etc/hosts is a mount: no other file can take its place.
    assert labctl("scp", "w1:/etc/hosts", "hosts", lab=lab.name, cwd=tmp_path).code == 0
    with (tmp_path / "hosts").open("a") as hosts:
        hosts.write("192.0.2.1 by-scp\n")
    assert labctl("scp", "hosts", "w1:/etc/hosts", lab=lab.name, cwd=tmp_path).code == 0
    assert "by-scp" in node.expect("cat /etc/hosts; ls -A /etc").stdout
    node.expect("rm -r /tmp/keep /tmp/link /tmp/into")


@pytest.mark.parametrize("way", ["exec", "ssh"])
def test_ctrl_c_ends_the_look_through_a_folder_that_leads_everywhere(
    lab: Lab, way: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LABCTL_TRANSPORT", way)
    node = lab.node("w1")
    # find waits for a folder that is a dead end: what it would do in a large tree takes as long as that does.
    slow = "#!/bin/sh\nexec sleep 4325\n"
    node.put(slow.encode(), "/usr/local/bin/find", mode=0o755)
    node.expect("mkdir -p /tmp/wide")
    try:
        process = subprocess.Popen([*LABCTL, "scp", "-r", "-l", lab.name, "w1:/tmp/wide", str(tmp_path / "here")])
        wait_until("its begin", lambda: _there(lab, "sleep 4325"), limit=HANGING)
        process.send_signal(signal.SIGINT)

        assert process.wait(HANGING) == 130
        _wait_gone(lab, "sleep 4325")
    finally:
        node.expect("rm -r /usr/local/bin/find /tmp/wide")


def test_a_folder_there_across_and_back(lab: Lab, tmp_path: Path) -> None:
    source = folder(tmp_path / "site")

    assert labctl("scp", "-r", str(source), "docker@w1:", lab=lab.name).code == 0
    assert lab.node("w1").run("stat -c '%U %a' /home/docker/site/a.txt").stdout == "docker 750\n"
    assert labctl("scp", "-r", "docker@w1:site", "w2:/tmp/copy", lab=lab.name).code == 0
    assert labctl("scp", "-r", "w2:/tmp/copy", str(tmp_path / "back"), lab=lab.name).code == 0
    assert (tmp_path / "back" / "sub dir" / "b.bin").read_bytes() == bytes(range(256))


def test_modes_are_kept_there_across_and_back(lab: Lab, tmp_path: Path) -> None:
    source = folder(tmp_path / "modes")
    for path, mode in ((source, 0o750), (source / "sub dir", 0o700), (source / "a.txt", 0o4640)):
        path.chmod(mode)
    script = "cd ~{user}/modes && stat -c %a . 'sub dir' a.txt"

    for user in ("root", "docker"):
        assert labctl("scp", "-r", str(source), f"{user}@w1:", lab=lab.name).code == 0
        assert lab.node("w1").run(script.format(user=user)).stdout.split() == ["750", "700", "640"]
    lab.node("w1").expect("chmod 4710 ~root/modes/a.txt && chmod 1750 ~root/modes")
    assert labctl("scp", "-r", "root@w1:modes", "w2:/tmp", lab=lab.name).code == 0
    assert labctl("scp", "-r", "w2:/tmp/modes", str(tmp_path / "back"), lab=lab.name).code == 0

    back = tmp_path / "back"
    assert [path.stat().st_mode & 0o7777 for path in (back, back / "sub dir", back / "a.txt")] == [0o750, 0o700, 0o710]


HOSTILE_TAR = """#!/usr/bin/python3
import io, sys, tarfile
with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as out:
    for name, kind, text in ENTRIES:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind.encode(), text, len(text) if kind == "0" else 0
        out.addfile(entry, io.BytesIO(text.encode()))
"""


@pytest.mark.parametrize(
    "entries",
    [[("../escaped", "0", "x")], [("up", "2", ".."), ("up/escaped", "0", "x")], [("x", "1", "../escaped")]],
    ids=["dots", "a link", "a hard link"],
)
def test_a_node_with_programs_of_its_own_writes_nothing_elsewhere(
    lab: Lab, tmp_path: Path, entries: list[tuple[str, str, str]]
) -> None:
    node = lab.node("w1")
    node.expect("mkdir -p /tmp/dir")
    node.put(HOSTILE_TAR.replace("ENTRIES", repr(entries)).encode(), "/usr/local/bin/tar", mode=0o755)
    node.put(b"#!/bin/sh\necho /root/..\n", "/usr/local/bin/realpath", mode=0o755)
    (tmp_path / "here").mkdir()
    try:
        copied = labctl("scp", "-r", "w1:/tmp/dir", "here/", lab=lab.name, cwd=tmp_path)
        named = labctl("scp", "-r", "w1:.", "here", lab=lab.name, cwd=tmp_path)
    finally:
        node.run("rm -f /usr/local/bin/tar /usr/local/bin/realpath")

    assert (copied.code, named.code) == (2, 2)
    assert "worker1:.: it has no name that it could have in here" in named.err
    assert [path.name for path in tmp_path.rglob("*")] == ["here"], "nothing of a refused copy stays"


def test_with_delta_only_what_differs_is_sent(lab: Lab, tmp_path: Path) -> None:
    source = folder(tmp_path / "delta")
    assert labctl("scp", "-r", str(source), "w1:/tmp", lab=lab.name).code == 0
    before = lab.node("w1").run("stat -c %Z '/tmp/delta/sub dir/b.bin'").stdout
    (source / "a.txt").write_text("two\n")

    assert labctl("scp", "-r", "-d", str(source), "w1:/tmp", lab=lab.name).code == 0

    assert lab.node("w1").run("cat /tmp/delta/a.txt").stdout == "two\n"
    assert lab.node("w1").run("stat -c %Z '/tmp/delta/sub dir/b.bin'").stdout == before


def test_links_that_lead_nowhere_keep_nothing_else_from_being_copied(lab: Lab, tmp_path: Path) -> None:
    source = folder(tmp_path / "links")
    (source / "nowhere").symlink_to("/none")
    (source / "sub dir" / "up").symlink_to("..")
    (source / "again").symlink_to("sub dir")
    told = "warning: left out, for they lead to no file: again/up, nowhere, sub dir/up"

    there = labctl("scp", "-r", str(source), "w1:/tmp", lab=lab.name)

    assert (there.code, there.err.splitlines()[0]) == (0, told)
    found = lab.node("w1").run("cd /tmp/links && find . -type f").stdout.splitlines()
    assert sorted(found) == ["./a.txt", "./again/b.bin", "./sub dir/b.bin"]
    lab.node("w1").run("ln -s /none /tmp/links/nowhere; ln -s .. '/tmp/links/sub dir/up'; ln -s self /tmp/links/self")
    back = labctl("scp", "-r", "w1:/tmp/links", str(tmp_path / "back"), lab=lab.name)

    assert back.code == 0, back.err
    assert "left out, for they lead to no file: nowhere, self, sub dir/up" in back.err
    assert (tmp_path / "back" / "again" / "b.bin").read_bytes() == bytes(range(256))
    again = labctl("scp", "-r", "-d", "w1:/tmp/links/.", str(tmp_path / "back"), lab=lab.name)
    assert again.code == 0, again.err


def test_what_cannot_be_copied_is_told_in_one_line(lab: Lab, tmp_path: Path) -> None:
    source = folder(tmp_path / "site")
    refused = [
        (("nope", "w1:"), "nope: there is no such file"),
        (("w1:nope", "."), "worker1:nope: there is no such file"),
        ((str(source), "w1:"), "is a folder"),
        ((str(source / "a.txt"), "w1:/none/x"), "worker1:/none/x: cannot create"),
        ((str(source / "a.txt"), "w1:/none/"), "worker1:/none/: there is no such folder"),
        ((str(source / "a.txt"), "docker@w1:/root/x"), "Permission denied"),
        (("docker@w1:/etc/shadow", "."), "Permission denied"),
        (("wroker1:x", "."), "did you mean worker1"),
    ]
    for arguments, reason in refused:
        said = labctl("scp", *arguments, lab=lab.name, cwd=tmp_path)
        assert said.code == 2
        assert reason in said.err
        assert len(said.err.splitlines()) <= 2
    assert not (tmp_path / "nope").exists()


def test_a_copy_that_nobody_waits_for_any_more_ends_on_the_node_too(lab: Lab) -> None:
    node = lab.node("worker2")
    output = node.stream(["/bin/sh", "-c", "yes | cat"])
    next(iter(output))

    output.close()  # type: ignore[attr-defined]  # a generator

    wait_until("the end of it", lambda: _gone(node.run("pgrep -x yes").ok), limit=5)


def _gone(there: bool) -> None:
    if there:
        raise Pending("it runs")
