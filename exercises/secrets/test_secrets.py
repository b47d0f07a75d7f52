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
            "the secret is at /run/secrets/{place}, but redis reads /run/secrets/{file}",
            look=INSPECT,
            hint="Create the service with `--secret source={secret},target={file}`; "
            "`--secret-add` takes the same value.",
            place=place,
            file=FILE,
            secret=secret,
        )
    return store.secrets[FILE]


# -- create


@pytest.mark.step("create")
def test_there_is_a_secret(swarm):
    """The secret store-1 exists."""
    swarm.secret(OLD)


# -- use


@pytest.mark.step("use")
def test_the_service_gets_it(swarm):
    """The service store gets a secret as store.conf."""
    secret = must_find_file(swarm.service(STORE))
    if secret not in (OLD, NEW):
        wrong(
            "store uses {secret}, not store-1",
            look=INSPECT,
            hint="`docker service rm store`, then create it with `source=store-1`. "
            "`docker secret rm {secret}` removes the other.",
            secret=secret,
        )


@pytest.mark.step("use")
def test_the_service_runs(swarm):
    """The service is running."""
    store = swarm.service(STORE)
    ended = [task for task in store.tasks() if task.exit_code]
    if ended and not store.running():
        wrong(
            "redis does not take its file, and ends: what the secret holds should be requirepass, and a password",
            look="labctl docker -- service logs store",
            hint="`docker service rm store`, then `docker secret rm store-1`. Then make both again.",
        )
    store.must_run()


@pytest.mark.step("use")
def test_redis_wants_a_password(swarm):
    """Redis requires a password."""
    said = swarm.service(STORE).run("redis-cli ping")
    if "PONG" in said.stdout:
        wrong(
            "redis accepts anyone: it does not read the secret",
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
            hint="It is the second word in /run/secrets/{file}, in the container, on the node that runs it.",
            file=FILE,
        )


# -- rotate


@pytest.mark.step("rotate")
def test_there_is_a_second_secret(swarm):
    """The secret store-2 exists."""
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
            "store uses {secret} again",
            look=INSPECT,
            hint="`docker service update --secret-rm {secret} --secret-add source={new},target={file} store`",
            secret=secret,
            new=NEW,
            file=FILE,
        )
    not_yet("store still uses {secret}", look=INSPECT, secret=secret)


@pytest.mark.step("rotate", "retire")
def test_redis_began_anew(swarm):
    """A new task is running."""
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
