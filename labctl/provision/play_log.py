"""What ansible-playbook says while it runs, and what of it a user needs: the task, the failure, the sum."""

from __future__ import annotations

import json
import re
from collections import deque
from dataclasses import dataclass

__all__ = ["Failure", "PlayLog", "Recap"]

TAIL = 12  # lines that are kept for a failure that no task explains
_TASK = re.compile(r"(?:TASK|RUNNING HANDLER) \[(.*?)\]")
_FAILED = re.compile(
    r"(?:fatal|failed): \[([^\]]+?)(?: -> [^\]]*)?\](?:.*?(UNREACHABLE|FAILED)!)?.*?=> (\{.*)", re.DOTALL
)
_RETRY = re.compile(r"FAILED - RETRYING: \[([^\]]+)\]: (.*?) \((\d+) retries left\)")
_RECAP = re.compile(r"(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)")


@dataclass(frozen=True)
class Recap:
    """How many tasks held already, or now do (`ok`), and how many of these changed something."""

    ok: int
    changed: int


@dataclass(frozen=True)
class Failure:
    """Which task failed on which node, and why, in one line."""

    node: str
    task: str
    reason: str


class PlayLog:
    """Reads the lines of a run as they come."""

    def __init__(self) -> None:
        self.task = ""
        self.failures: list[Failure] = []
        self.recaps: dict[str, Recap] = {}
        self._tail: deque[str] = deque(maxlen=TAIL)

    def hear(self, line: str) -> str:
        """Take in a line; returns what there is to tell, "" for nothing."""
        text = line.strip()
        if text:
            self._tail.append(text)
        if found := _TASK.match(text):
            self.task = found[1].rpartition(" : ")[2]
            return self.task
        if found := _RETRY.search(text):
            return f"{found[1]}: {found[2]}: failed, trying again"
        if found := _FAILED.match(text):
            reason = _reason(found[3])
            if found[2] == "UNREACHABLE":
                reason = f"it cannot be reached: {reason}"
            self.failures.append(Failure(found[1], self.task, reason))
            return f"{found[1]}: {self.task}: failed"
        if found := _RECAP.match(text):
            self.recaps[found[1]] = Recap(int(found[2]), int(found[3]))
        return ""

    def last_words(self) -> str:
        """The last line that sounds like an error, else the last one."""
        wrong = [line for line in self._tail if re.match(r"(E:|\[?ERROR\]?|fatal)", line, re.IGNORECASE)]
        return (wrong or list(self._tail) or ["it said nothing"])[-1]


def _reason(text: str) -> str:
    """The one line of a module's answer that says what went wrong."""
    try:
        said = json.loads(text)
    except ValueError:
        return text[:300]
    whole = [str(said.get(key) or "").strip() for key in ("msg", "stderr", "module_stderr", "stdout", "module_stdout")]
    message, *output = whole
    detail = next((part.splitlines()[-1] for part in output if part), "")
    first = " ".join(message.split())
    return f"{first}: {detail}" if detail and detail not in first else first or "it did not say why"
