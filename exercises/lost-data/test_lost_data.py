"""What is true once the data is back, and has a place that it can rely on."""

import pytest

from labctl.checks import not_yet, wrong

NOTE, TEXT = "plan", "tea at four"
FOLDER = "/data"
LS = "labctl docker -- service ls"
BEGIN_AGAIN = "`labctl exercise reset`, then begin again: that creates the data again."
STAY = "A constraint keeps it there: `docker service update --constraint-add node.hostname==NODE {service}`."


def inspect(name):
    """The command that shows what a service is like."""
    return f"labctl docker -- service inspect --pretty {name}"


def service_of(swarm, name):
    """The service, with one task; one that was removed is told as that."""
    if name not in {service.name for service in swarm.services()}:
        not_yet("there is no service {name} any more", look=LS, hint=BEGIN_AGAIN, name=name)
    service = swarm.service(name)
    if service.replicas != 1:
        wrong(
            "{name} should run one task: two tasks would each keep data of their own",
            found=service.replicas,
            look=LS,
            hint="`docker service scale {name}=1`.",
            name=name,
        )
    return service


def has_place(service):
    """Whether something that outlives the container is mounted where redis writes."""
    mounts = service.spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or ()
    return any(one["Target"].rstrip("/") == FOLDER and one.get("Source") and one["Type"] != "tmpfs" for one in mounts)


def must_stay(service):
    """It can be placed on one node only."""
    allowed = service.allowed_nodes()
    if len(allowed) != 1:
        wrong(
            "{service} may still go to another node, and there its volume is empty",
            found=", ".join(sorted(allowed)) if allowed else "no node meets its constraints",
            look=inspect(service.name),
            hint=STAY,
            service=service.name,
        )


# -- find


@pytest.mark.step("find")
def test_notes_is_there(swarm):
    """The service notes is set to run one task, and has a volume."""
    if not has_place(service_of(swarm, "notes")):
        wrong(
            "notes no longer keeps its data in a volume",
            look=inspect("notes"),
            hint="`docker service update --mount-add type=volume,source=notes-data,target={folder} notes`.",
            folder=FOLDER,
        )


@pytest.mark.step("find")
def test_notes_runs(swarm):
    """Its task runs."""
    swarm.service("notes").must_run()


@pytest.mark.every(2)
@pytest.mark.step("find")
def test_the_notes_are_back(swarm):
    """The note called plan is back."""
    notes = swarm.service("notes")
    said = notes.run(f"redis-cli get {NOTE}").stdout.strip()
    if said == TEXT:
        return
    home, look = swarm.machine("w1").name, "labctl docker -- service ps notes"
    if home not in swarm.volume("notes-data").nodes:
        not_yet(
            "the volume notes-data of {home} is gone, and the notes with it", look=look, hint=BEGIN_AGAIN, home=home
        )
    if said:
        wrong("the note {note} is not yesterday's", found=said, look=look, note=NOTE)
    allowed = notes.allowed_nodes()
    if len(allowed) == 1:
        node = allowed.pop()
        wrong("notes is bound to {node} now, and has no note called {note} there", look=look, node=node, note=NOTE)
    not_yet("notes has no note called {note}", look=look, note=NOTE)


@pytest.mark.step("find")
def test_notes_stays_with_its_data(swarm):
    """It stays where its data is."""
    must_stay(swarm.service("notes"))


# -- alone


@pytest.mark.step("alone")
def test_list_has_a_place(swarm):
    """The service list keeps its data in a place that outlives its containers."""
    the_list = service_of(swarm, "list")
    if has_place(the_list):
        return
    if the_list.constraints:
        wrong("list stays on its node but still keeps its data in its container", look=inspect("list"))
    not_yet("list would forget everything again at the next update", look=inspect("list"))


@pytest.mark.step("alone")
def test_list_stays_with_its_data(swarm):
    """It stays where its data is."""
    must_stay(swarm.service("list"))


@pytest.mark.step("alone")
def test_list_runs(swarm):
    """Its task runs."""
    swarm.service("list").must_run()


@pytest.mark.every(2)
@pytest.mark.step("alone")
def test_a_note_outlived_its_task(swarm):
    """A note outlived the task that wrote it."""
    the_list = swarm.service("list")
    began = max((task.created for task in the_list.running()), default=0.0)
    look = "labctl docker -- service ps list"
    if the_list.run("redis-cli dbsize").stdout.strip() in ("", "0"):
        not_yet(
            "list has no note", look=look, hint="On its node: `docker exec CONTAINER redis-cli set proof it-lasts`."
        )
    times = the_list.run(f"find {FOLDER} -type f -exec stat -c %Y {{}} +").stdout.split()
    oldest = min((int(time) for time in times if time.isdigit()), default=None)
    if oldest is None or oldest >= began:
        not_yet(
            "list has a note, but the task that wrote it still runs",
            look=look,
            hint="`docker service update --force list` replaces the task. The note should still be there after that.",
        )
