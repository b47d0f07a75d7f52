"""How far a service is, as a value, and in words that can be said in other languages."""

from __future__ import annotations

from dataclasses import dataclass

from labctl.words import Phrase

__all__ = ["Progress", "shortened"]

LONGEST_REASON = 200
# What a runtime puts between the fact that a container did not start and the reason; it says nothing by itself.
NOISE = (
    "failed to create task for container: ",
    "failed to create shim task: ",
    "OCI runtime create failed: ",
    "runc create failed: ",
)


@dataclass(frozen=True)
class Progress:
    """A service has `running` of `wanted` tasks of its present spec; `reason` says why not all.

    `old` more slots are served by a task of the spec before. `completed` tasks ended well and will not run again:
    those of jobs and of one-shot services. `trouble` tells that the reason is an error and no ordinary delay,
    `hopeless` that waiting will not help.
    """

    service: str
    running: int
    wanted: int
    done: bool
    reason: str = ""
    trouble: bool = False
    hopeless: bool = False
    is_job: bool = False
    completed: int = 0
    is_global: bool = False
    old: int = 0

    def __str__(self) -> str:
        return str(self.told)

    @property
    def told(self) -> Phrase:
        """How far it is and why, as a sentence."""
        values = {"running": self.running, "wanted": self.wanted, "completed": self.completed}
        if self.is_job and self.wanted == 1:
            count = Phrase("{completed} of {wanted} task ended well", **values)
        elif self.is_job:
            count = Phrase("{completed} of {wanted} tasks ended well", **values)
        elif self.wanted == 1:
            count = Phrase("{running} of {wanted} task runs", **values)
        else:
            count = Phrase("{running} of {wanted} tasks run", **values)
        if self.old and not self.is_job:
            count = Phrase("{count} the new version, {old} the old one", count=count, old=self.old)
        if self.completed and not self.is_job:
            count = Phrase("{count}, {completed} completed", count=count, completed=self.completed)
        sentence = "{service}: {count}; {reason}" if self.reason else "{service}: {count}"
        return Phrase(sentence, service=self.service, count=count, reason=self.reason)

    @property
    def count(self) -> str:
        """The count as `docker service ls` shows it: 2/2, or 0/1 (1/1 completed); of whatever version they are.

        Of a global job Docker wants only what has not completed: 0/0 (3/3 completed).
        """
        done = f" ({self.completed}/{self.wanted} completed)" if self.is_job or self.completed else ""
        wanted = self.wanted - self.completed if self.is_job and self.is_global else self.wanted
        return f"{self.serving}/{wanted}{done}"

    @property
    def serving(self) -> int:
        """How many slots have a task that runs, the new version or still the old one."""
        return self.running + self.old


def shortened(text: str) -> str:
    """An engine's error in one line, without what a runtime says in every one of them; labctl's own words stay."""
    if isinstance(text, Phrase) and len(text) <= LONGEST_REASON:
        return text
    for noise in NOISE:
        text = text.replace(noise, "")
    text = " ".join(text.split()).removesuffix(": unknown")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
