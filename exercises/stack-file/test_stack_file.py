"""What is true after each step of the stack file: the swarm is asked, since what is written has to be deployed."""

import pytest

from labctl.checks import not_yet, wrong

STACK, PORT = "board", 8111
SERVICES = f"labctl docker -- stack services {STACK}"
WEB = f"labctl docker -- service inspect --pretty {STACK}_web"
REPORT = f"labctl docker -- service inspect --pretty {STACK}_report"
DB = f"labctl docker -- service inspect --pretty {STACK}_db"
SECRET, PASSWORD_FILE = f"{STACK}_psql-pw", "/run/secrets/psql-pw"
VOLUME, FOLDER = f"{STACK}_db-data", "/var/lib/postgresql/data"
FRONT, BACK, SUBNET = f"{STACK}_frontend", f"{STACK}_backend", "172.16.238.0/24"
MEGABYTE, HALF, SECOND = 2**20, 5 * 10**8, 10**9
FILES = "/exercise/stack-file"


def the(swarm, name):
    """A service of the stack; tells of a stack of another name."""
    others = {one.stack for one in swarm.services() if one.stack and PORT in one.published} - {STACK}
    if others and not swarm.services(stack=STACK):
        other = sorted(others)[0]
        wrong(
            "the stack is called {other}, not {stack}",
            look="labctl docker -- stack ls",
            hint="`docker stack rm {other}` removes it. Then deploy the file as {stack}.",
            other=other,
            stack=STACK,
        )
    return swarm.stack(STACK).service(name)


# -- where


@pytest.mark.step("where")
def test_web_is_on_workers(swarm):
    """The service web is set to run four tasks, on workers only."""
    web = the(swarm, "web")
    if web.replicas != 4:
        wrong("{name} should have four tasks", found=web.replicas, look=SERVICES, name=web.name)
    managers = {node.hostname for node in swarm.nodes() if node.role == "manager"}
    if web.allowed_nodes() & managers:
        wrong(
            "{name} should be on workers only",
            found=", ".join(web.constraints) if web.constraints else "no constraint",
            look=WEB,
            hint="`constraints: [node.role == worker]`, under `placement:`, under `deploy:`.",
            name=web.name,
        )


@pytest.mark.step("where")
def test_agent_is_on_each_node(swarm):
    """The service agent has one task on each node."""
    agent = the(swarm, "agent")
    if "Global" not in agent.spec["Mode"]:
        wrong(
            "{name} should have one task on each node, however many nodes there are",
            found="replicas: {count}",
            look=SERVICES,
            hint="A service keeps its mode: `docker service rm {name}`, then deploy the file with `mode: global`.",
            name=agent.name,
            count=agent.replicas,
        )


# -- limits


def resources(service, kind):
    """What a service has of `Limits` or `Reservations`."""
    return (service.spec["TaskTemplate"].get("Resources") or {}).get(kind) or {}


@pytest.mark.step("limits")
def test_web_has_limits(swarm):
    """Each task of web may use half a processor and 50 megabytes."""
    web = the(swarm, "web")
    limits = resources(web, "Limits")
    if not limits and resources(web, "Reservations"):
        wrong(
            "this is a reservation: it keeps room free, and limits nothing",
            look=WEB,
            hint="The word is `limits:`, in the place of `reservations:`.",
        )
    if not limits:
        not_yet("{name} has no limit yet", look=WEB, name=web.name)
    if limits.get("MemoryBytes") != 50 * MEGABYTE:
        wrong(
            "each task of {name} should have at most 50M of memory",
            found="{size} MiB" if limits.get("MemoryBytes") else "no limit",
            look=WEB,
            name=web.name,
            size=limits.get("MemoryBytes", 0) // MEGABYTE,
        )
    if limits.get("NanoCPUs") != HALF:
        wrong(
            "each task of {name} should have at most half a processor",
            found="{cpus} processors" if limits.get("NanoCPUs") else "no limit",
            look=WEB,
            hint='`cpus: "0.50"`',
            name=web.name,
            cpus=limits.get("NanoCPUs", 0) / SECOND,
        )


@pytest.mark.step("where", "limits")
def test_both_run(swarm):
    """All tasks of both run."""
    the(swarm, "web").must_run()
    the(swarm, "agent").must_run()


# -- restart


@pytest.mark.step("restart")
def test_report_has_a_policy(swarm):
    """The service report is made again after a failure, three times at most."""
    report = the(swarm, "report")
    policy = report.spec["TaskTemplate"].get("RestartPolicy") or {}
    if policy.get("Condition", "any") != "on-failure":
        wrong(
            "{name} should be made again only when it fails",
            found="condition: {condition}",
            look=REPORT,
            name=report.name,
            condition=policy.get("Condition", "any"),
        )
    if policy.get("MaxAttempts", 0) != 3:
        wrong(
            "{name} should be tried 3 times more, and then no more",
            found="max_attempts: {count}" if policy.get("MaxAttempts") else "no max_attempts: it is tried for ever",
            look=REPORT,
            name=report.name,
            count=policy.get("MaxAttempts", 0),
        )


@pytest.mark.step("restart")
def test_report_has_ended(swarm):
    """No task of it is left to come."""
    tasks = the(swarm, "report").tasks()
    if not tasks or any(task.desired in ("running", "ready") for task in tasks):
        not_yet("{name} has not given up yet", look=f"labctl docker -- service ps {STACK}_report", name="report")


# -- data


@pytest.mark.step("data")
def test_db_has_a_secret(swarm):
    """The service db reads its password from the secret psql-pw."""
    db = the(swarm, "db")
    environment = db.spec["TaskTemplate"]["ContainerSpec"].get("Env") or []
    if db.secrets.get("psql-pw") != SECRET or f"POSTGRES_PASSWORD_FILE={PASSWORD_FILE}" not in environment:
        wrong(
            "{name} should read its password from a secret",
            found=", ".join(one.split("=")[0] for one in environment) if environment else "no secret",
            look=DB,
            hint="Three places name it: `environment:` says where postgres looks, `secrets:` of the service hands it "
            "over, and `secrets:` at the end of the file says what it is.",
            name=db.name,
        )


@pytest.mark.step("data")
def test_db_has_a_volume(swarm):
    """Its data is on the volume db-data, on a manager."""
    db = the(swarm, "db")
    mounts = db.spec["TaskTemplate"]["ContainerSpec"].get("Mounts") or []
    if not any(one.get("Source") == VOLUME and one["Target"] == FOLDER for one in mounts):
        wrong(
            "{name} should keep its data on the volume db-data",
            found=", ".join(f"{one.get('Source')}:{one['Target']}" for one in mounts) if mounts else "no volume",
            look=DB,
            hint="`- db-data:{folder}`, under `volumes:` of the service.",
            name=db.name,
            folder=FOLDER,
        )
    workers = {node.hostname for node in swarm.nodes() if node.role == "worker"}
    if db.allowed_nodes() & workers:
        wrong(
            "{name} may go to another node, and its volume stays",
            found=", ".join(db.constraints) if db.constraints else "no constraint",
            look=DB,
            name=db.name,
        )


@pytest.mark.step("data")
def test_db_answers(swarm):
    """It runs, and answers."""
    db = the(swarm, "db")
    db.must_run()
    said = db.run("pg_isready -U postgres")
    if not said.ok:
        not_yet(
            "the database does not answer yet",
            found=said.stdout.strip(),
            look=f"labctl docker -- service logs {db.name}",
        )


# -- networks


@pytest.mark.step("networks")
def test_page_and_database_are_apart(swarm):
    """The service web is on frontend; db and report are on backend."""
    web, db, report = the(swarm, "web"), the(swarm, "db"), the(swarm, "report")
    if web.networks & db.networks == {f"{STACK}_default"}:
        not_yet("all services are still on {network}", look="labctl docker -- network ls", network=f"{STACK}_default")
    if web.networks & db.networks:
        wrong(
            "{web} and {db} should not be on the same network",
            found=", ".join(sorted(web.networks & db.networks)),
            look=WEB,
            web=web.name,
            db=db.name,
        )
    for service, wanted in ((web, FRONT), (db, BACK), (report, BACK)):
        if service.networks != {wanted}:
            wrong(
                "{name} should be on {wanted} alone",
                found=", ".join(sorted(service.networks)),
                look=f"labctl docker -- service inspect --pretty {service.name}",
                name=service.name,
                wanted=wanted,
            )


@pytest.mark.step("networks")
def test_backend_has_its_subnet(swarm):
    """The network backend has the addresses of 172.16.238.0/24."""
    configs = (swarm.network(BACK).get("IPAM") or {}).get("Config") or []
    subnets = [one.get("Subnet", "") for one in configs]
    if subnets != [SUBNET]:
        wrong(
            "{network} should have the subnet {subnet}",
            found=", ".join(subnets),
            look=f"labctl docker -- network inspect {BACK}",
            hint="A network keeps its subnet: `docker stack rm {stack}`, then deploy the file again.",
            network=BACK,
            subnet=SUBNET,
            stack=STACK,
        )


@pytest.mark.step("networks")
def test_agent_is_on_the_node(swarm):
    """The service agent is on the network of its node."""
    agent = the(swarm, "agent")
    # What the service wants tells at once: tasks that do not heed SIGTERM are exchanged slowly.
    on_overlay = bool(agent.networks & {FRONT, BACK, f"{STACK}_default"})
    if not on_overlay:
        agent.must_run()
    if on_overlay or agent.run("hostname").stdout.strip() not in set(swarm.hostnames().values()):
        wrong(
            "{name} should be on the network of its node",
            found=", ".join(sorted(agent.networks)),
            look=f"labctl docker -- service inspect --pretty {agent.name}",
            hint="`networks:` of agent has `outside`, and `outside` at the end of the file has `external: true` and "
            "`name: host`.",
            name=agent.name,
        )


@pytest.mark.step("networks")
def test_report_found_the_database(swarm):
    """The report has been written: its last task ended well."""
    report = the(swarm, "report")
    newest = max(report.tasks(), key=lambda task: task.created, default=None)
    if newest is None or newest.state != "complete":
        not_yet(
            "{name} has not found the database yet",
            found=newest.state if newest else "no task",
            look=f"labctl docker -- service ps {report.name}",
            hint="Has it given up? `docker service update --force {name}` begins anew.",
            name=report.name,
        )


# -- update


@pytest.mark.step("update")
def test_updates_go_two_by_two(swarm):
    """Updates of web go two tasks at a time, with ten seconds between."""
    web = the(swarm, "web")
    config = web.spec.get("UpdateConfig") or {}
    parallelism, delay = config.get("Parallelism", 1), config.get("Delay", 0) / SECOND
    if (parallelism, delay) == (1, 0):
        not_yet("updates of {name} go one task at a time, without a pause", look=WEB, name=web.name)
    if parallelism != 2:
        wrong("updates of {name} should go two tasks at a time", found=parallelism, look=WEB, name=web.name)
    if delay != 10:
        wrong("there should be ten seconds between", found="{delay} s", look=WEB, delay=f"{delay:g}")


@pytest.mark.step("update")
def test_the_page_is_the_new_one(swarm):
    """The command of web writes board 2."""
    web = the(swarm, "web")
    command = " ".join(web.spec["TaskTemplate"]["ContainerSpec"].get("Args") or [])
    if "board 2" not in command:
        wrong("the page still says board 1", look=WEB, hint="It is in `command:` of web. Deploy the file again.")


@pytest.mark.every(2)
@pytest.mark.step("update")
def test_every_node_has_the_new_page(swarm):
    """Port 8111 answers with board 2, on every node."""
    the(swarm, "web").must_run()
    swarm.must_answer_everywhere(PORT, text="board 2")


@pytest.mark.every(2)
@pytest.mark.step("update")
def test_the_file_says_so(node):
    """The stack file says so, too."""
    said = node("m1").run(f"cat {FILES}/board.yml").stdout
    if "board 2" not in said or "parallelism" not in said:
        wrong(
            "the file does not say so, and the next deployment would undo it",
            look=f"labctl ssh m1 cat {FILES}/board.yml",
            hint="What is changed by hand lives until the next deployment. Correct the file, then deploy it.",
        )
