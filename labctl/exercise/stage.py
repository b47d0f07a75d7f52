"""The lab made ready for an exercise: its images, ports and files; and its code blocks run there."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from labctl.assets import digest_of
from labctl.checks.nodes import node_named
from labctl.concurrent import Stop, each
from labctl.engine.client import tar_of
from labctl.errors import CommandFailed, HostError, LabctlError, LabError, NodeDown, NotFoundError, UsageError
from labctl.events import Emit, Noted
from labctl.exercise.language import FILLED_IN
from labctl.exercise.model import GROUPS, HOST, Exercise, Fence, Step
from labctl.exercise.progress import Answers
from labctl.host.programs import find_bash
from labctl.lab import Lab
from labctl.node import LOGIN_USER, Node
from labctl.spec import PortSpec
from labctl.transport import Result
from labctl.waiting import stretched
from labctl.words import counted

__all__ = [
    "BlockFailed",
    "Stage",
    "close_ports",
    "known_urls",
    "lacking",
    "lacks_registry",
    "prepare",
    "suggested_up",
    "way_to_fit",
]

SWARM_LIMIT = 5.0  # seconds for a manager to answer who is in its swarm
FENCE_LIMIT = 300.0  # seconds for one code block
OVERTAKEN = "update out of sequence"  # swarmkit: somebody wrote the object since docker read it; nothing is done
TRIES = 5  # of a block that was overtaken: after a promotion the managers write a node a few times within seconds
TRY_PAUSE = 1.0  # seconds between them
OWN_IMAGES = "labctl/"  # no registry of the world has these
MARK = ".labctl"  # in the exercise's folder on a node: which version of the files is there


class BlockFailed(CommandFailed):
    """A block of the exercise ended with an error."""

    def __init__(self, failed: CommandFailed, fence: Fence) -> None:
        LabError.__init__(self, failed.message, hint=failed.hint)
        self.result = failed.result
        self.fence = fence


@dataclass
class Stage:
    """An exercise on a lab. `urls` are where this host reaches the exercise's ports, by their names."""

    lab: Lab
    exercise: Exercise
    emit: Emit
    urls: Mapping[str, str] = field(default_factory=dict)

    @property
    def answers(self) -> Answers:
        """What the learner answered to the exercise's questions."""
        return Answers(self.lab.name, self.exercise.id)

    def fill(self, text: str) -> str:
        """Fill in {{node.m1.ip}}, {{node.m1.name}} and {{url.NAME}}; what is not known stays as it is."""

        def value(kind: str, rest: str, as_it_was: str) -> str:
            if kind == "url":
                return self.urls.get(rest, as_it_was)
            name, _, what = rest.partition(".")
            node = node_named(self.lab.nodes, name)
            return node.address if what == "ip" else node.name

        return FILLED_IN.sub(lambda found: value(found[1], found[2], found[0]), text)

    def play(self, step: Step, *, may_fail: bool = False, note: Callable[[str], None] = lambda _: None) -> None:
        """Solve a step by its own blocks, and answer its questions. Raises as `run` does."""
        for fence in step.played:
            note(self.fill(fence.code).splitlines()[0])
            self.run(fence, may_fail=may_fail)
        for question in step.questions:
            solution = question.filled(self.fill).solution
            if solution:
                self.answers.note(question.id, solution)
        self.refresh()

    def run(self, fence: Fence, *, may_fail: bool = False) -> list[Result]:
        """Run a code block where it belongs, and tell it as a person would type it; returns what came of it.

        What a block with `answer=` prints answers that question.

        It runs as the user that a learner is, what labctl runs behind the scenes as root; the first line that fails
        ends it. Raises CommandFailed or NodeDown when it cannot be run or ends with an error, unless the block or the
        caller says that it may.
        """
        code = self.fill(fence.code)
        may_fail = may_fail or fence.fail_ok
        user = "root" if fence.is_labctls else LOGIN_USER
        places = self._places(fence)
        if any(node is not None and not node.is_running for node in places):
            self.refresh()  # the block before may have started it
            places = self._places(fence)
        told = "here" if fence.node == HOST else ", ".join(node.name for node in places if node is not None)
        for line in code.splitlines():
            self.emit(Noted(f"{told} $ {line}"))
        try:
            done = each(places, lambda node: self._run(node, code, user, may_fail=may_fail))
        except CommandFailed as failed:
            raise BlockFailed(failed, fence) from None
        results = [result for result in done if result is not None]
        if fence.answer:
            self.answers.note(fence.answer, "".join(result.stdout for result in results).strip())
        return results

    def _places(self, fence: Fence) -> list[Node | None]:
        """The nodes where a block runs; None is this machine."""
        if fence.node == HOST:
            return [None]
        if fence.node in GROUPS:
            return list(self.lab.select(fence.node))
        return [node_named(self.lab.nodes, fence.node)]

    def _run(self, node: Node | None, code: str, user: str, *, may_fail: bool) -> Result | None:
        # A person stops at a line that fails, and so does this.
        typed = code if may_fail else f"set -e\n{code}"
        try:
            result = self._typed(node, typed, user)
        except NodeDown:
            if may_fail:
                return None
            raise
        if not result.ok and not may_fail:
            first, *more = code.splitlines()
            where = "here" if node is None else node.name
            raise CommandFailed(where, replace(result, shown=f"{first} …" if more else first))
        return result

    def _typed(self, node: Node | None, code: str, user: str) -> Result:
        """Type it as a person would: once more where the managers changed something in the middle of it.

        The commands before it in the block run again too; what they then say does not hide how the block first ended.
        """
        results: list[Result] = []
        while not results or (OVERTAKEN in results[-1].stderr and len(results) < TRIES):
            if results:
                time.sleep(TRY_PAUSE)
            results.append(self._on_host(code) if node is None else _on_node(node, code, user))
        last = results[-1]
        return last if last.ok or OVERTAKEN in last.stderr else results[0]

    def refresh(self) -> None:
        """Look at the lab's nodes again: a block may have stopped or started some."""
        self.lab = self.lab.refresh()

    def _on_host(self, code: str) -> Result:
        """On the learner's machine, where `labctl` is this labctl and means this lab."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        # Run as `python -m labctl`, it may be on nobody's path. -P: what lies in the user's folder is no module.
        is_found = shutil.which("labctl", path=path) is not None
        own = "" if is_found else f'labctl() {{ {shlex.quote(sys.executable)} -P -m labctl "$@"; }}\n'
        environment = {**os.environ, "PATH": path, "LABCTL_LAB": self.lab.name}
        shell = find_bash() or shutil.which("sh")
        if shell is None:
            raise HostError(
                "the exercise types a command in bash, which is not here", hint="Git for Windows brings it."
            )
        began = time.monotonic()
        try:
            done = subprocess.run(
                [shell, "-c", own + code],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=stretched(FENCE_LIMIT),
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise LabError(f"`{code}` did not end within {FENCE_LIMIT:g} s on this machine") from None
        return Result(code, done.returncode, done.stdout, done.stderr, time.monotonic() - began)


def _on_node(node: Node, code: str, user: str) -> Result:
    if not node.is_running:
        raise NodeDown(node.name, node.state)
    # As `labctl ssh` lets people in: what only root may do would fail for the learner, and not here.
    command = code if user == "root" else ["su", "-", user, "-c", code]
    return node.transport.run(command, limit=FENCE_LIMIT, stop=Stop())  # Ctrl-C ends it there too


def lacking(lab: Lab, exercise: Exercise) -> str:
    """What the lab lacks for the exercise, in words; empty for nothing."""
    needs = exercise.front.lab
    managers = sum(node.is_manager for node in lab.nodes)
    others = len(lab.nodes) - managers
    if lab.spec.swarm != needs.swarm and not (needs.swarm == "formed" and _was_formed(lab)):
        return f"{exercise.id} wants a lab whose swarm is {needs.swarm}, and {lab.name}'s is {lab.spec.swarm}"
    if lacks_registry(lab, exercise):
        return f"{exercise.id} uses images of labctl's own, and lab {lab.name} has no registry to get them from"
    if managers < needs.managers or others < needs.workers + needs.spare:
        wanted = f"{counted(needs.managers, 'manager')} and {counted(needs.workers + needs.spare, 'worker')}"
        return f"{exercise.id} needs {wanted}, and lab {lab.name} has {managers} and {others}"
    return ""


def _was_formed(lab: Lab) -> bool:
    """Whether somebody made one swarm of all the lab's engines by hand, as an exercise teaches."""
    try:
        members = {member.hostname for member in lab.swarm(limit=SWARM_LIMIT).nodes() if member.state == "ready"}
    except LabctlError:
        return False
    return all(node.name in members for node in lab.nodes)


def lacks_registry(lab: Lab, exercise: Exercise) -> bool:
    """Whether the exercise's images come from a registry, and the lab was made without: only a new one has it."""
    return not lab.spec.registry and any(image.startswith(OWN_IMAGES) for image in exercise.front.images)


def suggested_up(exercise: Exercise, lab: str | None) -> str:
    """The command that makes a lab fit for the exercise."""
    needs = exercise.front.lab
    size = f"--nodes {needs.nodes}" if needs.managers == 1 else f"--managers {needs.managers} --workers {needs.workers}"
    name = f" --name {lab}" if lab and lab != "lab" else ""
    return f"labctl up {size}{' --no-swarm' if needs.swarm == 'empty' else ''}{name}"


def way_to_fit(lab: Lab | None, exercise: Exercise, name: str | None) -> str:
    """What to type for a fit lab of that name; `lab` is the one that is not, recreated where nothing can be added."""
    if lab is None or not (lacks_registry(lab, exercise) or lab.spec.swarm != exercise.front.lab.swarm):
        return f"`{suggested_up(exercise, name)}`"
    anew = f"`labctl down -l {lab.name}` first; then `{suggested_up(exercise, name or lab.name)}`"
    if lab.spec.swarm == "empty" and not lacks_registry(lab, exercise):
        return f"`labctl exercise first-swarm -l {lab.name}` forms it. Or {anew}"
    return anew


def prepare(lab: Lab, exercise: Exercise, emit: Emit, note: Callable[[str], None]) -> Stage:
    """Make the lab ready: its images can be pulled, its ports are reachable here, its files are on the nodes.

    Run again it does only what is missing. Raises UsageError when the lab lacks nodes.
    """
    from labctl import edge, images
    from labctl.lab.restoring import restore_circle

    missing = lacking(lab, exercise)
    if missing:
        raise UsageError(missing, hint=f"{way_to_fit(lab, exercise, lab.name)} makes a lab that has them.")
    if exercise.front.lab.swarm == "formed":
        restore_circle(lab.nodes, lab.backend, emit)
    engine = lab.context.engine
    if exercise.front.images and lab.spec.registry:
        note("images")
        images.ensure(engine, exercise.front.images, emit, note)
    note("ports")
    urls = {
        name: edge.ensure_edge(engine, lab.name, lab.nodes, PortSpec(target=port, host=port), emit).url
        for name, port in exercise.front.ports.items()
    }
    if exercise.files:
        note("files")
        each([node for node in lab.nodes if node.is_running], lambda node: _put_files(node, exercise))
    return Stage(lab, exercise, emit, urls)


def known_urls(lab: Lab, exercise: Exercise) -> dict[str, str]:
    """Where this host reaches the exercise's ports, of those that it reaches by now."""
    from labctl import edge

    if not exercise.front.ports:
        return {}
    there = {one.target: one.url for one in edge.edges(lab.context.engine, lab.name)}
    return {name: there[port] for name, port in exercise.front.ports.items() if port in there}


def close_ports(lab: Lab, exercise: Exercise) -> None:
    """Take away the ways to the exercise's ports on this host, but for those that the lab itself shall have."""
    from labctl import edge

    own = {port.target for port in lab.spec.ports}
    for port in exercise.front.ports.values():
        if port not in own:
            with contextlib.suppress(NotFoundError):
                edge.remove_edge(lab.context.engine, lab.name, PortSpec(target=port, host=port))


def _put_files(node: Node, exercise: Exercise) -> None:
    """Put the exercise's files on a node, unless these very files were put there before: a learner edits them.

    They are the user's as whom `labctl ssh` comes in.
    """
    version = digest_of([exercise.folder / "files"])
    mark = f"{exercise.place}/{MARK}"
    if node.transport.run(f'[ "$(cat {mark} 2>/dev/null)" = {version} ]').ok:
        return
    files = {
        name: (path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644) for name, path in exercise.files.items()
    }
    node.transport.run(["mkdir", "-p", exercise.place])
    for _ in node.transport.stream(
        ["tar", "-x", "-C", exercise.place], stdin=[tar_of({**files, MARK: (version.encode(), 0o644)})]
    ):
        pass
    node.transport.run(["chown", "-R", f"{LOGIN_USER}:", exercise.place])
