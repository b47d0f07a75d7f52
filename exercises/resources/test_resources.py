"""What each service is limited to, what it reserves, and how the tasks ended that wanted more."""

import pytest

from labctl.checks import not_yet, wrong

REPORT, VAULT, LEDGER = "report", "vault", "ledger"
MB = 1024 * 1024
KILLED = 137  # the exit code of what the kernel has killed
LS = "labctl docker -- service ls"
LEAST, MOST = 100, 200  # MB that report's limit should be between
KEPT, ALLOWED = 50, 100  # MB that ledger should reserve, and use at most


def inspect(name):
    """The command that shows a service with its limits and reservations."""
    return f"labctl docker -- service inspect --pretty {name}"


def megabytes(service, kind):
    """What a service is limited to (Limits) or reserves (Reservations); 0 for nothing."""
    given = service.spec["TaskTemplate"].get("Resources") or {}
    return (given.get(kind) or {}).get("MemoryBytes", 0) / MB


# -- limit


@pytest.mark.step("limit")
def test_report_is_limited(swarm):
    """The service report is limited to 20 MB."""
    report = swarm.service(REPORT)
    limit = megabytes(report, "Limits")
    if not limit and megabytes(report, "Reservations"):
        wrong(
            "{name} has a reservation, and no limit",
            look=inspect(REPORT),
            hint="`--limit-memory` says how much it may use, `--reserve-memory` how much is kept for it.",
            name=REPORT,
        )
    if not limit:
        not_yet("{name} has no limit yet", look=inspect(REPORT), name=REPORT)
    if limit != 20:
        wrong(
            "{name} should be limited to 20 MB",
            found="{limit} MB",
            look=inspect(REPORT),
            name=REPORT,
            limit=round(limit),
        )


@pytest.mark.step("limit")
def test_its_tasks_are_killed(swarm):
    """A task of report was killed by the kernel."""
    if not any(task.exit_code == KILLED for task in swarm.service(REPORT).tasks()):
        not_yet("no task of {name} was killed yet", look=f"labctl docker -- service ps {REPORT}", name=REPORT)


# -- enough


@pytest.mark.step("enough")
def test_the_limit_fits(swarm):
    """The service report is limited to something between 100 MB and 200 MB."""
    limit = megabytes(swarm.service(REPORT), "Limits")
    if not limit:
        wrong("{name} has no limit any more", look=inspect(REPORT), name=REPORT)
    if not LEAST <= limit <= MOST:
        not_yet(
            "{name}'s limit should be between 100 MB and 200 MB",
            found="{limit} MB",
            look=inspect(REPORT),
            hint="`docker service update --limit-memory 128M {name}`.",
            name=REPORT,
            limit=round(limit),
        )


@pytest.mark.step("enough")
def test_report_runs(swarm):
    """Its task runs."""
    swarm.service(REPORT).must_run()


# -- reserve


@pytest.mark.step("reserve")
def test_vault_waited(swarm):
    """With a reservation of 900 GB there was no node for vault."""
    vault = swarm.service(VAULT)
    if not any(asked_for(task) > 100 * 1024 for task in vault.tasks()):
        not_yet("{name} has not tried a reservation of 900 GB", look=inspect(VAULT), name=VAULT)


def asked_for(task):
    """The megabytes that a task reserves."""
    return ((task.raw["Spec"].get("Resources") or {}).get("Reservations") or {}).get("MemoryBytes", 0) / MB


@pytest.mark.step("reserve")
def test_vault_reserves_100_mb(swarm):
    """The service vault reserves 100 MB."""
    reserved = megabytes(swarm.service(VAULT), "Reservations")
    if reserved > 100 * 1024:
        not_yet(
            "no node can keep so much free for {name}: insufficient resources",
            found="{reserved} GB",
            look=f"labctl docker -- service ps --no-trunc {VAULT}",
            name=VAULT,
            reserved=round(reserved / 1024),
        )
    if not reserved:
        not_yet("{name} reserves nothing", look=inspect(VAULT), name=VAULT)
    if reserved != 100:
        wrong(
            "{name} should reserve 100 MB",
            found="{reserved} MB",
            look=inspect(VAULT),
            name=VAULT,
            reserved=round(reserved),
        )


@pytest.mark.step("reserve")
def test_vault_runs(swarm):
    """Its task runs."""
    swarm.service(VAULT).must_run()


# -- booked


@pytest.mark.step("booked")
def test_four_are_wanted(swarm):
    """The service ledger is still set to run four tasks."""
    ledger = swarm.service(LEDGER)
    if ledger.replicas != 4:
        wrong(
            "{name} should still have four tasks",
            found=ledger.replicas,
            look=LS,
            hint="`docker service scale {name}=4`.",
            name=LEDGER,
        )


@pytest.mark.step("booked")
def test_ledger_is_booked_as_asked(swarm):
    """Each of its tasks reserves 50 MB, and may use 100 MB."""
    ledger = swarm.service(LEDGER)
    reserved, limit = megabytes(ledger, "Reservations"), megabytes(ledger, "Limits")
    if not reserved:
        wrong(
            "{name} keeps nothing free for its tasks",
            look=inspect(LEDGER),
            hint="`docker service update --reserve-memory 50M {name}`.",
            name=LEDGER,
        )
    if reserved != KEPT:
        not_yet(
            "{name} should reserve 50 MB",
            found="{reserved} MB",
            look=inspect(LEDGER),
            name=LEDGER,
            reserved=round(reserved),
        )
    if not limit:
        wrong(
            "{name} may use as much as it likes",
            look=inspect(LEDGER),
            hint="`docker service update --limit-memory 100M {name}`.",
            name=LEDGER,
        )
    if limit != ALLOWED:
        wrong(
            "{name} should be limited to 100 MB",
            found="{limit} MB",
            look=inspect(LEDGER),
            name=LEDGER,
            limit=round(limit),
        )


@pytest.mark.step("booked")
def test_all_four_run(swarm):
    """All four run."""
    swarm.service(LEDGER).must_run()
