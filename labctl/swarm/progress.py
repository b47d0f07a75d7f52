"""How far a service is on its way to what it shall be. Pure: the API's answers in, a verdict out.

replicated, global   every slot's task runs the present spec, and has run for a moment; for as long as Docker's own
                     CLI watches a change, where this is a wait for one (`proving`)
one-shot             a restart condition other than `any`, and the task ended by itself with exit code 0: completed
jobs                 so many tasks of the present iteration have ended well: completed

Swarm calls a server that it stopped for a failing health check `complete` too, when the server stops cleanly. Only the
node's engine knows better (see `health.py`); without its answer, a service that has a health check or publishes ports
is taken for a server, never for a one-shot.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from labctl.swarm.amounts import Amounts
from labctl.swarm.howfar import Progress, shortened
from labctl.swarm.state import Service, Task
from labctl.swarm.versions import last_of_slots, of_present_spec, on_old, runs_present_spec
from labctl.waiting import stretched
from labctl.words import Phrase

__all__ = [
    "GIVEN_UP",
    "MAX_REPLICAS",
    "MISSING_IMAGE",
    "NO_NODE",
    "NO_RESOURCES",
    "NO_SOURCE",
    "PORT_TAKEN",
    "UNMET",
    "UNMET_FOR",
    "Progress",
    "has_check",
    "judge",
    "reserved",
    "runs_present_spec",
    "shortened",
]

# Seconds that a task must have run before it counts; longer where one of its slot has ended before it,
# or a container that dies every two seconds would look alive half of the time.
SETTLED = 1.0
SETTLED_AFTER_FAILURE = 5.0
YOUNG = Phrase("running for a few seconds only")  # the task runs, and may be one that ends at once
# Errors from before a container's first instruction do not go away by themselves; after so many of the same the
# wait is over. A container that ends with an error is waited for: what it needs may still be on its way up.
START_FAILURES = 3
MISSING_IMAGE = "No such image"
CALLED_OFF = "context canceled"
GIVEN_UP = "will not be started again"  # so in what is said of it: its policy allows no more attempts
NO_SOURCE = "bind source path does not exist"
MISSING_IMAGE_FAILURES = 2
# What the scheduler says of a placement that no node meets: only a person can change that. Seconds, since a node that
# would meet it may be on its way up.
UNMET = "scheduling constraints not satisfied"
UNMET_FOR = 15.0
NO_NODE = Phrase("no node may run it")  # so of a global service, for which the scheduler then makes no task to say so
PORT_TAKEN = "host-mode port already in use"
NO_RESOURCES = "insufficient resources"
MAX_REPLICAS = "max replicas per node limit"
# As hopeless as these, by the scheduler's other filters.
LASTING = (UNMET, PORT_TAKEN, "unsupported platform", "missing plugin", MAX_REPLICAS)
IN_PROGRESS = {"updating": Phrase("update in progress"), "rollback_started": Phrase("rollback in progress")}
ENDED_WELL = Phrase("it ended with exit code 0")
MOST_HOSTS = 4


@dataclass(frozen=True)
class _Slot:
    """One slot: `state` is up, YOUNG, done, lost, or the task's own state where it is still on its way."""

    state: str
    reason: str = ""
    host: str = ""

    @property
    def runs(self) -> bool:
        """Whether its task runs, and has for a moment."""
        return self.state in ("up", YOUNG)


def judge(
    service: Service,
    tasks: Sequence[Task],
    *,
    hosts: Mapping[str, str],
    age: Callable[[Task], float],
    old_update: str = "",
    old_tasks: Collection[str] = (),
    sizes: Sequence[Amounts] = (),
    proving: Callable[[Task], float] = lambda _task: 0.0,
) -> Progress:
    """Return how far the service is. `tasks` are all of its tasks, old ones too.

    `hosts` maps node ids to names, `age` tells how many seconds a task has been in its state, `sizes` are what nodes
    have. A service is done when its tasks have run for `proving` seconds. What came of the update that began at
    `old_update` is not news once all tasks run, nor how the tasks failed whose ids are `old_tasks`.
    """
    present = of_present_spec(service, tasks)
    last = last_of_slots(service, tasks)
    looked_at = [_slot_of(service, found, hosts, age, last=last, proving=proving) for found in present.values()]
    planned = {key: slot for key, slot in zip(present, looked_at, strict=True) if slot is not None}
    planned = _without_scaled_away(service, planned, present)
    slots, old = list(planned.values()), on_old(service, tasks)
    completed = sum(slot.state == "done" for slot in slots)
    running = sum(slot.state == "running" if service.is_job else slot.runs for slot in slots)
    good = sum(slot.state in ("up", "done") for slot in slots)
    wanted = len(old | set(planned)) if service.is_global else service.replicas
    stuck = [found for found, slot in zip(present.values(), looked_at, strict=True) if slot and not slot.runs]
    # A paused update stays paused, also when somebody has mended what stopped it and every task runs.
    is_mended = running + completed == wanted and service.update_began == old_update
    failed = ("" if is_mended else _failure(service, tasks, stuck, old_update, old_tasks)) or _lost(slots)
    hopeless = failed or _unmet(service, tasks, chain.from_iterable(present.values()), age, sizes)
    reason = hopeless or _reason(slots, wanted, service) or _update_reason(service, tasks)
    if not (done := not reason and good == wanted and (wanted > 0 or not service.is_global)) and not reason:
        reason = NO_NODE if service.is_global else Phrase("{more} too many are being stopped", more=good - wanted)
    return Progress(
        service.name, running, wanted, done, reason, trouble=bool(hopeless or any(slot.reason for slot in slots)),
        hopeless=bool(hopeless), is_job=service.is_job, completed=completed, is_global=service.is_global,
        old=len(old - {key for key, slot in planned.items() if slot.runs}),
    )  # fmt: skip


def _without_scaled_away(
    service: Service, planned: dict[object, _Slot], present: Mapping[object, Sequence[Task]]
) -> dict[object, _Slot]:
    """The slots without those that others make superfluous, of which only failed tasks are remembered.

    Swarm stops what runs in a slot that is scaled away, and may keep the tasks that failed there before for ever.
    """
    alive = {key for key in planned if any(not task.is_over for task in present[key])}
    if service.is_global or service.is_job or len(alive) < service.replicas:
        return planned
    return {key: slot for key, slot in planned.items() if key in alive or slot.state in ("done", "lost")}


def _failure(
    service: Service, tasks: Sequence[Task], stuck: Sequence[list[Task]], old_update: str, old_tasks: Collection[str]
) -> str:
    """What failed for good: the update, or the start of tasks, told so often that nothing else will come of it."""
    # After a rollback the present spec is the old one: what failed is of the one that was left.
    given_up = service.update_state.startswith("rollback") and not _is_back(service, old_update)
    failures = _start_failures([tasks] if given_up else stuck, old_tasks)
    news = [task for task in tasks if task.id not in old_tasks]
    return _update_failure(service, old_update, failures, news) or _told_often(failures, service)


def _slot_of(
    service: Service,
    tasks: Sequence[Task],
    hosts: Mapping[str, str],
    age: Callable[[Task], float],
    *,
    last: Collection[str],
    proving: Callable[[Task], float],
) -> _Slot | None:
    """Look at a slot's tasks, newest first; None for one that is no longer wanted."""
    if service.is_job and any(task.state == "complete" and not task.ended for task in tasks):
        return _Slot("done")
    # The newest task need not be the one that shall run: an update that starts tasks first may have given it up.
    newest = next((task for task in tasks if not task.is_over and task.desired != "shutdown"), tasks[0])
    before = [task for task in tasks if task is not newest]
    if newest.is_over:
        return _ended(service, newest, is_last=newest.id in last)
    if newest.desired == "shutdown":
        return None
    host = hosts.get(newest.node_id, "")
    failed = next((task for task in before if task.is_over and task.state != "shutdown"), None)
    if newest.state == "running" and not service.is_job:
        needed = SETTLED_AFTER_FAILURE if failed else SETTLED
        if age(newest) >= needed:
            return _Slot("up") if age(newest) >= proving(newest) else _Slot(YOUNG, "", host)
        if failed:
            return _Slot(Phrase("just started after a failure"), shortened(failed.ended or failed.reason), host)
        return _Slot(Phrase("just started"), "", host)
    if newest.reason or newest.ended:
        return _Slot(newest.state, shortened(newest.ended or newest.reason), host)
    if failed is not None:
        return _Slot(Phrase("starting again"), shortened(failed.ended or failed.reason) or ENDED_WELL, host)
    return _Slot(newest.state, "", host)


def _ended(service: Service, newest: Task, *, is_last: bool) -> _Slot | None:
    """Look at a slot whose task has ended.

    Swarm takes a task's restart in the same step in which it writes it off (`shutdown`): one that is written off and
    has none behind it was the last attempt, however many were allowed within which window, and are still remembered.
    """
    policy = service.raw["Spec"]["TaskTemplate"].get("RestartPolicy") or {}
    condition = policy.get("Condition") or "any"
    reason = shortened(newest.ended or newest.reason)
    if newest.state == "complete" and (condition != "any" or service.is_job):
        if newest.ended or (has_check(service) and newest.ended is None) or service.ports:
            return _Slot("lost", reason or Phrase("it is a server, and it ended with exit code 0"))
        return _Slot("done")
    if newest.state in ("shutdown", "remove", "orphaned"):
        return None
    has_limit = condition == "none" or bool(policy.get("MaxAttempts"))
    if has_limit and is_last and newest.desired == "shutdown":
        well = ENDED_WELL if newest.state == "complete" else Phrase("exit code {code}", code=newest.exit_code)
        return _Slot("lost", reason or well)
    return _Slot(newest.state, reason or ENDED_WELL)


def has_check(service: Service) -> bool:
    """Whether the service has a health check of its own, which no program needs that ends by itself."""
    check = service.raw["Spec"]["TaskTemplate"].get("ContainerSpec", {}).get("Healthcheck") or {}
    words = check.get("Test") or ["NONE"]
    return bool(words[0] != "NONE")


def _lost(slots: Sequence[_Slot]) -> str:
    lost = [slot for slot in slots if slot.state == "lost"]
    if not lost:
        return ""
    return Phrase("{count} failed and will not be started again: {reason}", count=len(lost), reason=lost[0].reason)


def _unmet(
    service: Service,
    tasks: Sequence[Task],
    present: Iterable[Task],
    age: Callable[[Task], float],
    sizes: Sequence[Amounts],
) -> str:
    """The scheduler's word on tasks that have waited long enough for a node that can never have them."""
    wanted = reserved(service)
    too_much = bool(sizes) and not any(wanted.fit(size) for size in sizes)
    lasting = (*LASTING, *([NO_RESOURCES] if too_much else []))
    # A task that is being stopped still holds its port.
    stopping = any(task.desired == "shutdown" and not task.is_over and task.node_id for task in tasks)
    waiting = [
        task
        for task in present
        if not task.is_over
        and task.state == "pending"
        and any(reason in task.reason for reason in lasting)
        and not (stopping and PORT_TAKEN in task.reason)
    ]
    if not waiting or min(age(task) for task in waiting) < stretched(UNMET_FOR):
        return ""
    return Phrase("{count} pending: {reason}", count=len(waiting), reason=shortened(waiting[0].reason))


def reserved(service: Service) -> Amounts:
    """What the service reserves for each task."""
    return Amounts.of((service.raw["Spec"]["TaskTemplate"].get("Resources") or {}).get("Reservations"))


def _update_failure(service: Service, old_update: str, failures: Counter[str], tasks: Sequence[Task]) -> str:
    """What went wrong with the update, where one did: the swarm's own message, and the error behind it.

    The message names the task that ended it, as long as the swarm remembers that; others may have failed long before.
    """
    named = [task.ended or task.reason for task in tasks if task.id in service.update_message]
    errors = [error for error, _ in failures.most_common(1)]
    if service.update_state in ("paused", "rollback_paused"):
        why = _why(service.update_message, named or errors)
        is_update = service.update_state == "paused"
        return Phrase("paused: {reason}" if is_update else "rollback paused: {reason}", reason=why)
    if service.update_state == "rollback_completed" and not _is_back(service, old_update):
        # The swarm's last message names no task any more.
        why = _why(service.update_message, named or errors or _ends(service, tasks))
        return Phrase("rolled back: {reason}", reason=why)
    return ""


def _why(message: str, errors: Sequence[str]) -> Phrase:
    """The swarm's own message, and the first of the errors behind it."""
    if not errors or not errors[0]:
        return Phrase("{message}", message=shortened(message))
    return Phrase("{message}: {reason}", message=shortened(message), reason=shortened(errors[0]))


def _ends(service: Service, tasks: Iterable[Task]) -> list[str]:
    """How tasks ended that were of another spec than the service has now; the first one ended its update."""
    ended = [task for task in tasks if task.state in ("failed", "complete") and not task.reason.endswith(CALLED_OFF)]
    left = [task for task in ended if not runs_present_spec(task, service)]
    left.sort(key=lambda task: (task.state != "failed" and not task.ended, task.created))
    return [task.ended or task.reason or ENDED_WELL for task in left]


def _rolls_back(service: Service) -> bool:
    return (service.raw["Spec"].get("UpdateConfig") or {}).get("FailureAction") == "rollback"


def _is_back(service: Service, old_update: str) -> bool:
    """Whether the service was rolled back before: what it came back to is then what it shall be."""
    return service.update_state == "rollback_completed" and service.update_began == old_update


def _start_failures(slots: Iterable[Sequence[Task]], old_tasks: Collection[str]) -> Counter[str]:
    """The errors that kept containers from starting, and how often each did.

    A start that was called off, by a rollback say, follows from another error and is none.
    """
    return Counter(
        task.reason
        for task in chain.from_iterable(slots)
        if task.id not in old_tasks
        and task.reason
        and not task.reason.endswith(CALLED_OFF)
        and (task.state == "rejected" or task.reason.startswith("starting container failed"))
    )


def _told_often(failures: Counter[str], service: Service) -> str:
    """The error that came often enough to believe that it stays; empty for none, and while a rollback will mend it."""
    if service.update_state == "updating" and _rolls_back(service):
        return ""
    for error, count in failures.most_common():
        enough = MISSING_IMAGE_FAILURES if error.startswith(MISSING_IMAGE) else START_FAILURES
        if count >= enough:
            return Phrase("{count} attempts failed: {reason}", count=count, reason=shortened(error))
    return ""


def _reason(slots: Sequence[_Slot], wanted: int, service: Service) -> str:
    """Why not all is well: the slots that are on their way, those alike told together, and errors first."""
    waiting: dict[tuple[str, str], list[str]] = defaultdict(list)
    for slot in slots:
        if slot.state not in ("up", "done", "lost"):
            waiting[slot.state, slot.reason].append(slot.host)
    told: list[Phrase] = []
    for (state, reason), hosts in sorted(waiting.items(), key=lambda item: (not item[0][1], -len(item[1]))):
        where = sorted({host for host in hosts if host})
        values = {"count": len(hosts), "state": state}
        if reason:
            told.append(Phrase("{count} {state}: {reason}", **values, reason=reason))
        elif where:
            names = f"{', '.join(where[:MOST_HOSTS])}{', …' if len(where) > MOST_HOSTS else ''}"
            told.append(Phrase("{count} {state} on {nodes}", **values, nodes=names))
        else:
            told.append(Phrase("{count} {state}", **values))
    if (missing := wanted - len(slots)) > 0:
        told.append(_missing(missing, service))
    return Phrase.listed(told)


def _missing(count: int, service: Service) -> Phrase:
    """Of slots without a task of the present spec."""
    if not service.update_state:
        return Phrase("{count} not planned yet", count=count)
    if not service.update_message:
        return Phrase("{count} not updated yet", count=count)
    return Phrase("{count} not updated yet: {reason}", count=count, reason=shortened(service.update_message))


def _update_reason(service: Service, tasks: Sequence[Task]) -> str:
    """Why an update is not through although every slot has its new task."""
    if service.update_state in IN_PROGRESS:
        return IN_PROGRESS[service.update_state]
    old = sum(task.desired == "running" and not task.is_over and not runs_present_spec(task, service) for task in tasks)
    return Phrase("{count} of the old version still run", count=old) if old and not service.is_job else ""
