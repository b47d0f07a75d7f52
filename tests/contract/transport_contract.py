"""What a command on a node may count on, whatever way it goes there; test_transports and the VM tests run it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from labctl.concurrent import Stop
from labctl.errors import CommandFailed, LabctlError, LabError, NotFoundError, UsageError
from labctl.transport import Terminal, Transport
from labctl.waiting import Pending, wait_until
from tests.guard import HANGING, LONG, no_hang

__all__ = ["TransportContract"]

ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class TransportContract:
    """Each test asks for a fixture `transport` that goes to a node that runs."""

    def test_a_command_ends_with_its_code_and_both_of_its_outputs(self, transport: Transport) -> None:
        result = transport.run("echo out; echo err >&2; exit 3")

        assert (result.code, result.stdout, result.stderr) == (3, "out\n", "err\n")
        assert result.shown == "echo out; echo err >&2; exit 3"
        assert result.seconds > 0

    def test_text_goes_to_the_shell_and_a_list_to_none(self, transport: Transport) -> None:
        words = ["a b", "$HOME", "it's", '"', "*", "", "ü", "line\nbreak", "-n"]

        assert transport.run(["printf", "<%s>", *words]).stdout == "".join(f"<{word}>" for word in words)
        assert transport.run("echo $((40 + 2)) | cat").stdout == "42\n"

    def test_it_is_roots_in_the_same_place_with_the_same_path(self, transport: Transport) -> None:
        said = transport.run("id -un; pwd; echo $PATH; echo $HOME; umask").stdout.splitlines()

        assert said == ["root", "/", ROOT_PATH, "/root", "0022"]

    def test_a_program_that_is_not_there(self, transport: Transport) -> None:
        result = transport.run(["labctl-no-such-program"])

        assert result.code in (126, 127)
        assert "labctl-no-such-program" in result.stderr

    def test_what_is_put_in_comes_out(self, transport: Transport) -> None:
        assert transport.run("cat", stdin="grüße\n".encode()).stdout == "grüße\n"
        assert transport.run("cat", stdin=b"").stdout == ""
        assert transport.run("wc -c", stdin=bytes(3_000_000)).stdout.strip() == "3000000"
        assert transport.run("cat", limit=20).ok, "without an input there is nothing to read"
        assert transport.run("exit 5", stdin=bytes(3_000_000), limit=20).code == 5

    def test_the_environment_is_given_as_it_is(self, transport: Transport) -> None:
        env = {"A": "it's $HOME `x`\n\"", "_B1": "", "WITH.DOT": "yes"}

        found = transport.run(["env", "-0"], env=env).stdout.split("\0")

        assert {f"{key}={value}" for key, value in env.items()} <= set(found)

    def test_a_secret_is_not_shown(self, transport: Transport) -> None:
        assert transport.run("echo SWMTKN-1", hide=["SWMTKN-1"]).shown == "echo ***"

    def test_the_node_ends_a_command_at_its_limit(self, transport: Transport) -> None:
        with no_hang():
            result = transport.run("echo begun; sleep 4331", limit=1)

        assert result.timed_out
        assert result.stdout == "begun\n"
        assert transport.run(["pgrep", "-fx", "sleep 4331"]).code == 1

    @pytest.mark.parametrize("command", ["sleep 4332", "trap '' HUP; echo $(sleep 4332)"])
    def test_a_stop_ends_a_command_and_all_that_it_started(self, transport: Transport, command: str) -> None:
        stop = Stop()
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(transport.run, command, limit=LONG, stop=stop)
            wait_until("its begin", lambda: self._expect(transport, "sleep 4332", there=True), limit=HANGING)

            stop()
            running.exception(timeout=HANGING)

        wait_until("its end", lambda: self._expect(transport, "sleep 4332", there=False), limit=HANGING)
        assert transport.run("ls /tmp/.labctl-pid-*").code == 2, "nothing of it stays behind"

    def test_a_stop_that_is_not_called_changes_nothing(self, transport: Transport) -> None:
        result = transport.run("cat; echo err >&2; kill -9 $$", stdin=b"in", stop=Stop())

        assert (result.code, result.stdout, result.stderr) == (137, "in", "err\n")

    def _expect(self, transport: Transport, command: str, *, there: bool) -> None:
        if transport.run(["pgrep", "-fx", command]).ok is not there:
            raise Pending(f"{command} runs: {not there}")

    def test_a_command_that_a_signal_ended_has_a_shells_code(self, transport: Transport) -> None:
        assert transport.run("kill -9 $$").code == 137
        assert transport.run("kill -15 $$").code == 143

    def test_what_stays_behind_in_the_background_is_not_waited_for(self, transport: Transport) -> None:
        with no_hang():
            result = transport.run("sleep 4333 & echo here; exit 4", limit=LONG)

        assert (result.code, result.stdout) == (4, "here\n")
        transport.run(["pkill", "-fx", "sleep 4333"])

    def test_ten_megabytes_come_whole(self, transport: Transport) -> None:
        result = transport.run("head -c 10000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2")

        assert (len(result.stdout), len(result.stderr)) == (10_000_000, 1_000_000)

    def test_twenty_at_once(self, transport: Transport) -> None:
        with ThreadPoolExecutor(20) as pool:
            said = list(pool.map(lambda number: transport.run(f"sleep 0.2; echo {number}").stdout, range(20)))

        assert said == [f"{number}\n" for number in range(20)]

    @pytest.mark.parametrize("folder", ["/tmp/labctl-contract", "/run/labctl-contract"])
    def test_a_file_comes_back_as_it_was_put(self, transport: Transport, folder: str) -> None:
        content = os.urandom(300_000)
        path = f"{folder}/deep/a file"

        transport.put(content, path, mode=0o640)

        assert transport.get(path) == content
        assert transport.run(["stat", "-c", "%a %U %s", path]).stdout == "640 root 300000\n"
        transport.put(b"shorter", path)
        assert transport.get(path) == b"shorter"
        assert transport.run(["stat", "-c", "%a", path]).stdout == "644\n"
        assert transport.run(["ls", "-A", f"{folder}/deep"]).stdout == "a file\n"
        transport.run(["rm", "-rf", folder])

    @pytest.mark.parametrize("path", ["/etc/labctl-none", "/etc", "/run/labctl-none", "/run"])
    def test_what_is_no_file_is_not_found(self, transport: Transport, path: str) -> None:
        with pytest.raises(NotFoundError, match=f"named '{path}'"):
            transport.get(path)

    def test_a_link_is_followed(self, transport: Transport) -> None:
        transport.put(b"content", "/tmp/labctl-contract-file")
        assert transport.run("stat -c %a /tmp").stdout == "1777\n", "a folder that is there stays as it is"
        transport.run(
            "ln -sf labctl-contract-file /tmp/labctl-contract-link; ln -sf none /tmp/labctl-contract-dangling"
        )

        assert transport.get("/tmp/labctl-contract-link") == b"content"
        with pytest.raises(NotFoundError):
            transport.get("/tmp/labctl-contract-dangling")
        transport.run("rm /tmp/labctl-contract-*")

    def test_a_file_that_cannot_be_written_is_told(self, transport: Transport) -> None:
        with pytest.raises(LabctlError):
            transport.put(b"x", "/proc/labctl/none")

    @pytest.mark.parametrize("folder", ["/tmp/labctl-contract", "/run/labctl-contract"])
    def test_a_folder_is_no_place_for_a_file_and_stays_with_all_in_it(self, transport: Transport, folder: str) -> None:
        transport.put(b"precious", f"{folder}/data/kept")

        for path in (f"{folder}/data", f"{folder}/data/", folder):
            with pytest.raises(UsageError, match=f"{path} on .* is a folder"):
                transport.put(b"x", path)

        assert transport.get(f"{folder}/data/kept") == b"precious"
        assert transport.run(["ls", "-A", folder, f"{folder}/data"]).stdout.split() == [
            f"{folder}:", "data", f"{folder}/data:", "kept",
        ]  # fmt: skip
        transport.run(["rm", "-rf", folder])

    def test_a_stream_carries_bytes_as_they_are(self, transport: Transport) -> None:
        chunks = [os.urandom(100_000) for _ in range(50)]

        assert b"".join(transport.stream(["cat"], stdin=iter(chunks))) == b"".join(chunks)

    def test_a_stream_that_fails_says_so_at_its_end(self, transport: Transport) -> None:
        stream = transport.stream(["/bin/sh", "-c", "echo half; echo reason >&2; exit 2"])

        assert next(stream) == b"half\n"
        with pytest.raises(CommandFailed, match="exited 2: reason"):
            list(stream)

    def test_a_stream_ends_at_its_limit(self, transport: Transport) -> None:
        with pytest.raises(CommandFailed) as caught:
            list(transport.stream(["sleep", "60"], limit=1))
        assert caught.value.result.timed_out

    def test_an_input_that_fails_is_told(self, transport: Transport) -> None:
        def broken() -> Iterator[bytes]:
            yield b"half"
            raise LabError("the source broke")

        with pytest.raises(LabError, match="the source broke"):
            list(transport.stream(["cat"], stdin=broken()))

    def test_from_a_node_to_itself(self, transport: Transport) -> None:
        transport.put(bytes(5_000_000), "/tmp/labctl-contract-a")

        there = transport.stream(
            ["/bin/sh", "-c", "cat > /tmp/labctl-contract-b"], stdin=transport.stream(["cat", "/tmp/labctl-contract-a"])
        )

        assert b"".join(there) == b""
        assert transport.run("cmp /tmp/labctl-contract-a /tmp/labctl-contract-b").ok
        transport.run("rm /tmp/labctl-contract-*")

    def test_a_terminal_has_a_size_and_a_kind_and_ends_with_a_code(self, transport: Transport) -> None:
        with transport.terminal(["/bin/bash", "-l"], user="docker", term="vt100", rows=30, columns=100) as seat:
            seat.send(b"stty size; echo term=$TERM; id -un\n")
            shown(seat, r"30 100\s+term=vt100\s+docker")
            seat.resize(41, 123)
            seat.send(b"sleep 0.5; stty size\n")
            shown(seat, r"41 123")
            seat.send(b"sleep 4337\n")
            wait_until("its begin", lambda: self._expect(transport, "sleep 4337", there=True), limit=HANGING)
            seat.send(b"\x03")
            wait_until("its end", lambda: self._expect(transport, "sleep 4337", there=False), limit=HANGING)
            seat.send(b"exit 9\n")
            while seat.read():
                pass
            assert seat.exit_code() == 9

    def test_a_terminal_that_is_closed_ends_its_read_and_all_that_it_started(self, transport: Transport) -> None:
        seat = transport.terminal(["/bin/bash", "-l"], user="docker")
        seat.send(b"sleep 4338\n")
        wait_until("its begin", lambda: self._expect(transport, "sleep 4338", there=True), limit=HANGING)
        with ThreadPoolExecutor(1) as pool, no_hang():
            reading = pool.submit(lambda: [*iter(seat.read, b"")])
            seat.close()
            reading.result(HANGING)

        wait_until("its end", lambda: self._expect(transport, "sleep 4338", there=False), limit=HANGING)
        assert transport.run("ls /tmp/.labctl-pid-*").code == 2, "nothing of it stays behind"


def shown(seat: Terminal, pattern: str) -> None:
    """Read what the terminal shows until it has the pattern."""
    said = ""
    while not re.search(pattern, said):
        data = seat.read()
        assert data, said
        said += data.decode(errors="replace")
