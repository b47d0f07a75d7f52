"""What is true after each step of the voting app. Every check only reads; the one probe says so."""

import pytest

from labctl.checks import not_yet, patiently, wrong

STACK = "voting"
VOTE, RESULT = 5000, 5001
VOTER = "ann"
PROBE = "labctl-probe"
FRONT, BACK = "voting_frontend", "voting_backend"
NETWORKS = {"vote": {FRONT}, "redis": {FRONT}, "worker": {FRONT, BACK}, "db": {BACK}, "result": {BACK}}
LATER = ("vote", "change", "scale", "heal", "outage", "return", "update")
NODES = "labctl docker -- node ls"
TASKS = "labctl docker -- service ps voting_vote"
SERVICES = "labctl docker -- service ls"


def sql(swarm, query):
    """The rows that the database answers, each as text."""
    answer = swarm.service("voting_db").run(f'psql -U postgres -At -c "{query}"')
    if 'relation "votes" does not exist' in answer.stderr:
        not_yet("the worker has not created the table yet", look="labctl docker -- service logs voting_worker")
    if not answer.ok:
        not_yet(
            "the database does not answer: {said}",
            look="labctl docker -- service logs voting_db",
            said=answer.stderr.strip(),
        )
    return answer.stdout.split()


def vote_of(swarm, voter):
    """What the table says that somebody voted; a list, since it should not have two."""
    return sql(swarm, f"SELECT vote FROM votes WHERE id = '{voter}'")


# -- the ground under all of it


@pytest.mark.guard
def test_two_nodes_are_ready(swarm):
    """At least two nodes are ready."""
    ready = [node.hostname for node in swarm.nodes() if node.state == "ready"]
    if len(ready) < 2:
        wrong("fewer than two nodes are ready", found=", ".join(ready) or "none", look="labctl status")


@pytest.mark.step(*LATER)
def test_the_stack_is_there(swarm):
    """The stack voting is deployed."""
    swarm.stack(STACK)


@pytest.mark.step("deploy")
def test_all_five_services(swarm):
    """The stack voting has its five services."""
    others = [
        service.stack for service in swarm.services() if service.stack and service.image.startswith("labctl/vote:")
    ]
    if others and STACK not in others:
        wrong(
            "the stack is called {other}, not {stack}",
            look="labctl docker -- stack ls",
            hint="`docker stack rm {other}` removes it. Then deploy the file as {stack}.",
            other=others[0],
            stack=STACK,
        )
    stack = swarm.stack(STACK)
    for name in NETWORKS:
        stack.service(name)


@pytest.mark.step("deploy")
def test_networks(swarm):
    """Each service is on the right networks; only worker is on both."""
    stack = swarm.stack(STACK)
    for name, wanted in NETWORKS.items():
        found = stack.service(name).networks
        if found != wanted:
            wrong(
                "{name} should be on {wanted}",
                found=", ".join(sorted(found)) or "no network",
                look=f"labctl docker -- service inspect --pretty voting_{name}",
                name=name,
                wanted=", ".join(sorted(wanted)),
            )


@pytest.mark.step("deploy")
def test_ports(swarm):
    """Port 5000 is published for voting, 5001 for the result."""
    stack = swarm.stack(STACK)
    for name, port in (("vote", VOTE), ("result", RESULT)):
        published = stack.service(name).published
        if port not in published:
            wrong(
                "{name} should publish port {port}",
                found=", ".join(map(str, published)) or "no port",
                look="labctl docker -- stack services voting",
                name=name,
                port=port,
            )


@pytest.mark.step("deploy")
def test_database_is_on_a_manager(swarm):
    """The database may only run on a manager, where its volume is."""
    constraints = swarm.stack(STACK).service("db").spec["TaskTemplate"].get("Placement", {}).get("Constraints") or []
    if "node.role==manager" not in [constraint.replace(" ", "") for constraint in constraints]:
        wrong(
            "db should be placed on managers only",
            found=", ".join(constraints) or "no constraint",
            look="labctl docker -- service inspect --pretty voting_db",
        )


@pytest.mark.step("deploy")
def test_services_run(swarm):
    """All tasks of every service are running."""
    swarm.stack(STACK).must_run()


@pytest.mark.step("deploy")
def test_pages_answer_on_every_node(swarm):
    """Both pages answer on every node that is ready."""
    for name, port in (("vote", VOTE), ("result", RESULT)):
        for node, answer in swarm.http_everywhere(port).items():
            if not answer.ok:
                not_yet(
                    "the page of {name} does not answer on {node}",
                    found=answer,
                    look=f"curl {answer.url}",
                    name=name,
                    node=node,
                )


@pytest.mark.step("deploy")
def test_worker_reaches_the_database(swarm):
    """The worker has reached the database and made its table."""
    vote_of(swarm, VOTER)


@pytest.mark.step("vote")
@pytest.mark.every(2)
def test_vote_is_in_the_table(swarm):
    """Ann's vote for a is in the table."""
    rows = vote_of(swarm, VOTER)
    if not rows:
        refuse_nobody(swarm)
    if rows != ["a"]:
        wrong(
            "ann's vote is for {rows}; it should be for a",
            look=f"curl http://{swarm.machine('m1').address}:{RESULT}/api/tally",
            hint="Vote once more as ann: the new vote takes the place of the old one.",
            rows=", ".join(rows),
        )


def refuse_nobody(swarm):
    """Tell that ann has not voted, and who has."""
    others = [voter for voter in sql(swarm, "SELECT id FROM votes ORDER BY id LIMIT 4") if not voter.startswith(PROBE)]
    if others:
        not_yet(
            "there are votes, but none from ann",
            found=", ".join(others[:3]),
            look="labctl docker -- service logs voting_worker",
            hint="The cookie says who votes: `--cookie voter_id=ann`, in small letters. A browser has another name.",
        )
    not_yet(
        "the table has no vote from ann",
        look="labctl docker -- service logs voting_worker",
        hint="Did the page answer `Not counted`? Send `vote=a` or `vote=b`; it accepts nothing else.",
    )


@pytest.mark.step("vote")
def test_queue_is_empty(swarm):
    """The queue is empty: the worker keeps up."""
    waiting = swarm.service("voting_redis").run("redis-cli LLEN votes").stdout.strip()
    if waiting != "0":
        not_yet("votes wait on the queue", found=waiting, look="labctl docker -- service logs voting_worker")


@pytest.mark.step("vote")
def test_result_page_counts_the_table(swarm):
    """The page with the result counts what is in the table."""
    answer = swarm.http("m1", RESULT, "/api/tally")
    if not answer.ok:
        not_yet("the result cannot be read", found=answer, look=f"curl {answer.url}")
    shown = {choice: answer.json()[choice] for choice in "ab"}
    rows = sql(swarm, "SELECT vote FROM votes")
    stored = {choice: rows.count(choice) for choice in "ab"}
    if shown != stored:
        not_yet(
            "the table has {stored}",
            found="the page says {shown}",
            look=f"curl {answer.url}",
            stored=stored,
            shown=shown,
        )


@pytest.mark.step("vote")
@pytest.mark.probe
def test_every_worker_takes_votes(swarm):
    """A vote through each worker's port arrives in the table."""
    workers = sorted(node.hostname for node in swarm.nodes() if node.role == "worker" and node.state == "ready")
    for worker in workers:
        answer = swarm.http(worker, VOTE, form={"vote": "a"}, cookie=f"voter_id={PROBE}-{worker}")
        if not answer.ok:
            not_yet("{worker} does not accept votes", found=answer, look=f"curl {answer.url}", worker=worker)

    def all_arrived():
        arrived = sql(swarm, f"SELECT id FROM votes WHERE id LIKE '{PROBE}-%'")
        missing = [worker for worker in workers if f"{PROBE}-{worker}" not in arrived]
        if missing:
            not_yet(
                "labctl's own vote through {missing} has not arrived",
                look="labctl docker -- service logs voting_worker",
                missing=missing[0],
            )

    patiently(all_arrived)
    sql(swarm, f"DELETE FROM votes WHERE id LIKE '{PROBE}-%'")


@pytest.mark.step("change")
def test_one_vote_each(swarm):
    """Ann has one row in the table, not two."""
    rows = vote_of(swarm, VOTER)
    if not rows:
        not_yet("the table has no vote from ann")
    if len(rows) != 1:
        wrong("ann should have one row", found=len(rows))


@pytest.mark.step("change")
@pytest.mark.every(2)
def test_second_vote_replaced_the_first(swarm):
    """Ann's last vote is for b."""
    rows = vote_of(swarm, VOTER)
    if rows != ["b"]:
        not_yet(
            "ann's vote is still for {rows}",
            look="labctl docker -- service logs --since 1m voting_worker",
            hint="`curl --cookie voter_id=ann --data vote=b http://{address}:{vote}/`",
            rows=", ".join(rows),
            address=swarm.machine("w2").address,
            vote=VOTE,
        )


@pytest.mark.step("scale")
def test_one_task_for_each_node(swarm):
    """The service vote has one replica for each node."""
    vote, nodes = swarm.service("voting_vote"), len({node.hostname for node in swarm.nodes()})
    result = swarm.service("voting_result")
    if vote.replicas <= 2 and result.replicas > 1:
        wrong(
            "scale voting_vote, not voting_result",
            found="voting_result has {result} replicas",
            look=SERVICES,
            hint="`docker service scale voting_result=1` takes it back. People vote on voting_vote.",
            result=result.replicas,
        )
    if vote.replicas <= 2:
        not_yet("vote should have {nodes} replicas, one for each node", found=vote.replicas, look=SERVICES, nodes=nodes)
    if vote.replicas < nodes:
        wrong(
            "there are {nodes} nodes",
            found="vote has {vote} replicas",
            look=SERVICES,
            nodes=nodes,
            vote=vote.replicas,
        )


@pytest.mark.step("scale")
def test_all_tasks_run(swarm):
    """All its tasks run."""
    swarm.service("voting_vote").must_run()


@pytest.mark.step("heal")
def test_a_container_was_killed(swarm):
    """A container of vote was killed."""
    if not killed(swarm.service("voting_vote")):
        stopped = [task for task in swarm.service("voting_vote").tasks() if task.state == "complete"]
        if stopped:
            wrong("a container of vote stopped normally, with exit code 0", look=TASKS)
        not_yet("no container of vote was killed", look=TASKS)


@pytest.mark.step("heal")
def test_it_came_back(swarm):
    """A new task runs in the place of the killed one."""
    vote = swarm.service("voting_vote")
    running = {task.slot for task in vote.running()}
    missing = {task.slot for task in killed(vote) if task.slot <= vote.replicas} - running
    if missing:
        not_yet("no task runs yet in the place of voting_vote.{missing}", look=TASKS, missing=min(missing))


def killed(vote):
    """The tasks that ended by SIGKILL."""
    return [task for task in vote.tasks() if task.state == "failed" and task.exit_code == 137]


# -- outage and return


@pytest.mark.step("outage")
def test_a_worker_went_down(swarm):
    """A worker went down."""
    if outages(swarm):
        return
    for node in swarm.nodes():
        if node.availability == "drain":
            wrong(
                "{node} is drained but not shut down",
                look=NODES,
                hint="`docker node update --availability active {node}` undoes that. "
                "Shut the machine down from its own shell: `labctl ssh w2`, then `sudo shutdown now`.",
                node=node.hostname,
            )
    not_yet("no worker has been shut down yet", look=NODES)


@pytest.mark.step("outage")
def test_tasks_moved(swarm):
    """New tasks replaced its tasks on other nodes."""
    if not any(moved(swarm, node) for node in outages(swarm)):
        not_yet("no task of the stack has moved yet; the managers wait for three heartbeats", look=TASKS)


@pytest.mark.step("outage")
def test_app_runs(swarm):
    """All tasks of the app are running again."""
    swarm.stack(STACK).must_run()


@pytest.mark.step("return")
def test_a_worker_was_down(swarm):
    """A worker was down."""
    if not outages(swarm):
        not_yet("no worker has been shut down yet", look=NODES)


@pytest.mark.step("return")
def test_all_nodes_are_ready(swarm):
    """Every node is ready again."""
    for node in swarm.nodes():
        if node.state != "ready":
            not_yet("{node} is {state}", look=NODES, node=node.hostname, state=node.state)


def outages(swarm):
    """The workers that are down, or were started after the stack was deployed."""
    deployed = min(service.created for service in swarm.stack(STACK).services.values())
    workers = [node for node in swarm.nodes() if node.role == "worker"]
    since = swarm.up_since(*(node.hostname for node in workers))
    return [node for node in workers if since[node.hostname] is None or since[node.hostname] > deployed]


def moved(swarm, node):
    """Tasks that the node had, and whose slot has a later task of the same version elsewhere."""
    tasks = swarm.stack(STACK).tasks()
    return [
        task
        for task in tasks
        if task.node_id == node.id and task.desired == "shutdown" and task.state != "failed"
        if any(
            later.service_id == task.service_id
            and later.slot == task.slot
            and later.node_id != node.id
            and later.created > task.created
            and later.image == task.image
            for later in tasks
        )
    ]


OBSERVED = pytest.mark.observer(port=VOTE)


@OBSERVED
@pytest.mark.step("update")
def test_new_version_was_asked_for(swarm, observer):
    """The service vote is set to labctl/vote:2."""
    image = swarm.service("voting_vote").image
    if image == "labctl/vote:1":
        if observer.lost:
            observer.forget()
        not_yet("vote still runs version 1", look=SERVICES)
    if image != "labctl/vote:2":
        wrong("vote should run labctl/vote:2", found=image, look=SERVICES)


@pytest.mark.step("update")
def test_update_is_through(swarm):
    """Every task of vote runs the new version."""
    vote = swarm.service("voting_vote")
    vote.must_run()
    old = {task.image for task in vote.running()} - {vote.facts.image}
    if old:
        not_yet("tasks of another version still run", found=", ".join(sorted(old)), look=TASKS)


@OBSERVED
@pytest.mark.step("update")
def test_no_request_was_lost(observer):
    """No request was lost during the update."""
    counts = observer.counts
    if sum(counts.values()) < FEWEST:
        not_yet(
            "labctl saw too little of the update; go back with `docker service rollback voting_vote`, and try again"
        )
    if observer.lost:
        wrong(
            "requests were lost during the update",
            found="{lost} of {total}",
            look="labctl docker -- service inspect --pretty voting_vote",
            lost=observer.lost,
            total=observer.total,
        )


FEWEST = 20  # requests; an update takes seconds, and the observer sends many in each
