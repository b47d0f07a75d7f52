"""What is true after each step with autolock. A locked manager is asked itself: the swarm only knows it is away."""

import pytest

from labctl.checks import not_yet, wrong

NODES = "labctl ssh m1 docker node ls"
KEY = "labctl ssh m1 docker swarm unlock-key"


def info(machine):
    """`active` or `locked`, as the engine of a manager says of itself."""
    return 'labctl ssh {name} "docker info | grep Swarm:"'.replace("{name}", machine.name)


def must_be_locked(swarm, *, before=False):
    """Autolock is on; `before` where nobody has switched it on yet."""
    spec = swarm.view.engine.get_json("/swarm")["Spec"]
    if (spec.get("EncryptionConfig") or {}).get("AutoLockManagers"):
        return
    if before:
        not_yet("autolock is off", look='labctl ssh m1 "docker info | grep Autolock"')
    wrong(
        "the swarm should stay locked: autolock is off",
        look='labctl ssh m1 "docker info | grep Autolock"',
        hint="`docker swarm update --autolock=true`",
    )


def key_of(node):
    """The key as an open manager tells it."""
    return node("m1").run("docker swarm unlock-key --quiet").stdout.strip()


def state_of(machine):
    """Its engine's word for its place in the swarm."""
    return str(machine.engine.info()["Swarm"]["LocalNodeState"])


def must_be_open(swarm, short):
    """A manager is open, and the others reach it."""
    machine = swarm.machine(short)
    state = state_of(machine)
    if state == "locked":
        not_yet("{node} is locked", look=info(machine), node=machine.name)
    if state != "active":
        not_yet("{node} is not in the swarm", found=state, look=info(machine), node=machine.name)
    for node in swarm.nodes():
        if node.hostname == machine.name and node.state == "ready":
            if node.role != "manager":
                wrong("{node} should be a manager", found=node.role, look=NODES, node=machine.name)
            if node.reachability == "reachable":
                return
    not_yet("the others do not reach {node} yet", look=NODES, node=machine.name)


# -- lock


@pytest.mark.step("lock")
def test_autolock_is_on(swarm):
    """Autolock is on."""
    must_be_locked(swarm, before=True)


@pytest.mark.step("lock")
def test_you_have_the_key(swarm, node, answer):
    """You have the key."""
    if answer("key") != key_of(node):
        wrong("that is not the key", look=KEY, hint="All of it, with `SWMKEY-1-` in front.")


# -- locked


@pytest.mark.every(2)
@pytest.mark.step("locked")
def test_manager_2_is_locked(swarm):
    """Manager 2 came back locked."""
    must_be_locked(swarm)
    second, third = swarm.machine("m2"), swarm.machine("m3")
    if state_of(second) == "locked":
        return
    if state_of(third) == "locked":
        wrong(
            "{node} is locked, but it should be another one",
            look=info(third),
            hint="`docker swarm unlock` there opens it. Then end the engine of manager 2.",
            node=third.name,
        )
    not_yet("{node} is not locked", found=state_of(second), look=info(second), node=second.name)


# -- unlock


@pytest.mark.every(2)
@pytest.mark.step("unlock")
def test_manager_2_is_open(swarm):
    """Manager 2 is open, and the others reach it."""
    must_be_open(swarm, "m2")


# -- rotate


@pytest.mark.every(2)
@pytest.mark.step("rotate")
def test_there_is_another_key(swarm, node, answer):
    """The key is another one, and autolock is still on."""
    must_be_locked(swarm)
    if key_of(node) == answer("key"):
        not_yet("the key is still the old one", look=KEY)


# -- lostkey


@pytest.mark.step("lostkey")
def test_autolock_is_still_on(swarm):
    """Autolock is still on."""
    must_be_locked(swarm)


@pytest.mark.every(2)
@pytest.mark.step("lostkey")
def test_manager_3_is_open(swarm):
    """Manager 3 is a manager again, and the others reach it."""
    must_be_open(swarm, "m3")
