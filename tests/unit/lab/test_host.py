"""The host's own door: what is asked of it is looked at before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from labctl.errors import NotFoundError, UsageError
from labctl.host import Report, Row, Verdict
from labctl.lab.host import Host

BAD = Report([Row("limits", "limits", Verdict.MEND, "too low", "sysctl", fixable=True)])


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda host: host.check(0), "nodes=0: expected a whole number"),
        (lambda host: host.check(True), "nodes=True"),
        (lambda host: host.check("4"), "nodes='4'"),
        (lambda host: host.check(backend="kvm"), "backend='kvm': expected one of dind, vagrant"),
        (lambda host: host.fix(backend="kvm"), "backend='kvm'"),
        (lambda host: host.build_images("nginx"), "names='nginx' is one name"),
        (lambda host: host.build_box("vmware"), "provider='vmware': expected one of libvirt"),
        (lambda host: host.load_bundle("/no/such/file"), "there is no file"),
        (lambda host: host.save_bundle("/no/such/folder/file"), "there is no folder"),
    ],
)
@pytest.mark.usefixtures("state")
def test_what_cannot_be_meant_is_refused(ask: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        ask(Host())


@pytest.mark.usefixtures("state")
def test_an_image_that_labctl_does_not_build_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="nginx"):
        Host().build_images(["ngins"])


@pytest.mark.parametrize(("backend", "name"), [("dind", "mend"), ("vagrant", "mend_virtual")])
def test_a_fix_is_of_the_backend_that_is_meant_and_asks_before(
    backend: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def mend(report: Report, *, confirm: Any, emit: Any, nodes: int) -> Report:
        assert (report, nodes) == (BAD, 3)
        assert confirm("Raise the limits?") is False
        return report

    monkeypatch.setattr("labctl.host.examine", lambda _nodes: BAD)
    monkeypatch.setattr("labctl.host.examine_virtual", lambda _nodes: BAD)
    monkeypatch.setattr(f"labctl.host.{name}", mend)

    def confirm(question: str) -> bool:
        asked.append(question)
        return False

    found = Host().fix(3, backend=backend, confirm=confirm)

    assert found.to_mend == tuple(BAD) and asked == ["Raise the limits?"]


def test_what_was_found_a_moment_ago_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("labctl.host.examine", lambda _nodes: pytest.fail("it was looked at already"))
    monkeypatch.setattr("labctl.host.mend", lambda report, **_how: report)

    assert Host().fix(3, found=BAD) is BAD


def test_a_host_keeps_nothing() -> None:
    assert vars(Host()) == {}
