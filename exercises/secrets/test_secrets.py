"""What is true after each step with the secret. Every check only reads."""

import pytest

from labctl.checks import not_yet, wrong

STORE, FILE = "store", "store.conf"
OLD, NEW = "store-1", "store-2"
SECRETS = "labctl docker -- secret ls"
INSPECT = "labctl docker -- service inspect --pretty store"
TASKS = "labctl docker -- service ps --no-trunc store"


def must_find_file(store):
    """The secret that redis finds as its file; tells of a secret that lies elsewhere."""
    if not store.secrets:
        wrong(
            "store gets no secret",
            look=INSPECT,
            hint="A service gets only what it asks for. `docker service rm store`, then make it with `--secret`.",
        )
    if FILE not in store.secrets:
        place, secret = next(iter(store.secrets.items()))
        wrong(
            f"the secret lies in /run/secrets/{place}, and redis reads /run/secrets/{FILE}",
            look=INSPECT,
            hint=f"`--secret source={secret},target={FILE}` when it is made; `--secret-add` takes the same words.",
        )
    return store.secrets[FILE]


# -- create


@pytest.mark.step("create")
def test_there_is_a_secret(swarm):
    """There is a secret store-1."""
    swarm.secret(OLD)


# -- use


@pytest.mark.step("use")
def test_the_service_gets_it(swarm):
    """The service store gets a secret as store.conf."""
    must_find_file(swarm.service(STORE))


@pytest.mark.step("use")
def test_the_service_runs(swarm):
    """It runs."""
    swarm.service(STORE).must_run()


@pytest.mark.step("use")
def test_redis_wants_a_password(swarm):
    """Redis lets nobody in without a password."""
    said = swarm.service(STORE).run("redis-cli ping")
    if "PONG" in said.stdout:
        wrong(
            "redis lets everybody in: it does not read the secret",
            found="PONG",
            look=INSPECT,
            hint="`redis-server /run/secrets/store.conf` stands at the end of the command, and the secret begins with "
            "the word requirepass. `docker service rm store`, and make it anew.",
        )
    if "NOAUTH" not in said.stdout + said.stderr:
        not_yet("redis does not answer yet", found=(said.stdout + said.stderr).strip()[:80], look=TASKS)


# -- read


@pytest.mark.step("read")
def test_you_know_the_password(swarm, answer):
    """You know the password."""
    said = answer("password").split()
    held = swarm.service(STORE).file(f"/run/secrets/{FILE}").text.split()
    if said[-1:] != held[-1:]:
        wrong(
            "that is not the password",
            found=" ".join(said),
            look="labctl docker -- service ps store",
            hint=f"It is the second word in /run/secrets/{FILE}, in the container, on the node that runs it.",
        )


# -- rotate


@pytest.mark.step("rotate")
def test_there_is_a_second_secret(swarm):
    """There is a secret store-2."""
    swarm.secret(NEW)


@pytest.mark.step("rotate", "retire")
def test_the_service_takes_the_second(swarm):
    """The service store gets store-2 as store.conf."""
    store = swarm.service(STORE)
    secret = must_find_file(store)
    if secret == NEW:
        return
    there_before = [task for task in store.tasks() if NEW in secrets_of(task)]
    if there_before:
        wrong(
            f"store takes {secret} again",
            look=INSPECT,
            hint=f"`docker service update --secret-rm {secret} --secret-add source={NEW},target={FILE} store`",
        )
    not_yet(f"store still gets {secret}", look=INSPECT)


@pytest.mark.step("rotate", "retire")
def test_redis_began_anew(swarm):
    """Its task was made anew, and runs."""
    store = swarm.service(STORE)
    store.must_run()
    if any(NEW not in secrets_of(task) for task in store.running()):
        not_yet("the task with the old secret still runs", look=TASKS)


def secrets_of(task):
    """The names of the secrets that a task was made with."""
    given = task.raw["Spec"].get("ContainerSpec", {}).get("Secrets") or ()
    return [one["SecretName"] for one in given]


# -- retire


@pytest.mark.step("retire")
def test_the_old_one_is_gone(swarm):
    """The secret store-1 is gone."""
    names = [raw["Spec"]["Name"] for raw in swarm.view.engine.swarm_objects("secrets")]
    if OLD in names:
        not_yet("the secret store-1 is still there", found=", ".join(sorted(names)), look=SECRETS)
