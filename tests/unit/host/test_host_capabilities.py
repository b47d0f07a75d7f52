"""Which capabilities a node is given, on which engine and kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from labctl.host.capabilities import NEEDED, USEFUL, grantable, lacking, node_confinement
from labctl.host.facts import EngineFacts

EVERYTHING = (1 << 41) - 1
SYS_RESOURCE = 1 << 24
Named = Callable[[str], EngineFacts]


def test_names_have_no_prefix_and_act_on_no_kernel() -> None:
    names = {*NEEDED, *USEFUL}
    assert not any(name.startswith("CAP_") for name in names)
    assert not names & {"SYS_MODULE", "SYS_TIME", "SYS_RAWIO", "SYS_BOOT", "SYSLOG", "MAC_ADMIN", "MAC_OVERRIDE", "ALL"}


def test_a_whole_bounding_set_gives_all(engine_named: Named) -> None:
    engine = replace(engine_named("ubuntu-29"), bounding_set=EVERYTHING)
    assert grantable(engine) == sorted((*NEEDED, *USEFUL))
    assert lacking(engine) == []


def test_what_the_host_has_not_got_is_left_out(engine_named: Named) -> None:
    engine = replace(engine_named("ubuntu-29"), bounding_set=EVERYTHING & ~SYS_RESOURCE)
    assert "SYS_RESOURCE" not in grantable(engine)
    assert lacking(engine) == []


def test_what_no_lesson_asks_for_is_not_given() -> None:
    assert not {"BPF", "PERFMON", "CHECKPOINT_RESTORE", "IPC_OWNER", "LEASE", "NET_BROADCAST"} & {*NEEDED, *USEFUL}


def test_an_engine_out_of_sight_is_taken_to_have_all(engine_named: Named) -> None:
    assert grantable(engine_named("desktop-28")) == sorted((*NEEDED, *USEFUL))


def test_confinement_follows_the_engine(engine_named: Named) -> None:
    plain = node_confinement(engine_named("debian-20.10").info)
    assert plain == {"SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"]}
    guarded = node_confinement(engine_named("remapped-26").info)
    assert guarded["UsernsMode"] == "host"
    assert guarded["SecurityOpt"] == [
        "seccomp=unconfined",
        "apparmor=unconfined",
        "label=disable",
        "no-new-privileges=false",
    ]
