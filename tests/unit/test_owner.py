"""Whose a lab is: an id that is made once, and another's that is refused by name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labctl.errors import UsageError
from labctl.events import Event, Warned
from labctl.owner import Owner, is_anothers, is_mine, marks, mend_id, own_mark, owner_of, refuse_others
from labctl.spec import labels
from labctl.state import lab_dir

THEIRS = "alice@0123456789abcdef"
pytestmark = pytest.mark.usefixtures("state")


def test_an_id_is_made_once_however_many_want_one() -> None:
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: own_mark(), range(64)))

    assert len(made) == 1
    assert own_mark() in made


def test_what_is_made_says_whose_it_is() -> None:
    found = marks("demo", "network")

    assert found == {labels.LAB: "demo", labels.KIND: "network", labels.OWNER: own_mark()}
    assert is_mine(found, "demo") and not is_mine(found, "other")


def test_who_only_looks_gets_no_id(state: Path) -> None:
    assert owner_of(THEIRS, "demo") == Owner("alice", is_you=False)
    assert is_anothers({labels.OWNER: THEIRS})
    assert not (state / "owner").exists()


def test_the_login_name_proves_nothing() -> None:
    name = own_mark().partition("@")[0]

    theirs = owner_of(f"{name}@0123456789abcdef", "demo")

    assert not theirs.is_you
    assert str(theirs) == f"{name} (another state folder)"


def test_what_an_older_labctl_made_is_yours_where_the_keys_are() -> None:
    assert not owner_of(None, "demo").is_you
    (lab_dir("demo") / "ca.pem").write_text("key")
    assert owner_of(None, "demo").is_you
    assert not is_anothers({})


def test_anothers_lab_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="lab demo belongs to alice") as caught:
        refuse_others("demo", owner_of(THEIRS, "demo"))

    assert "`labctl status -l demo` looks at it" in (caught.value.hint or "")
    assert "--others" not in (caught.value.hint or ""), "who wants to change it does not want it gone"
    with pytest.raises(UsageError, match="lab demo belongs to somebody else"):
        refuse_others("demo", owner_of(None, "demo"))


@pytest.mark.parametrize(
    ("verb", "first", "also"),
    [("up", "`labctl up --name NAME`", "--others"), ("down", "`labctl down -l demo --others`", "status")],
)
def test_the_hint_for_anothers_lab_fits_what_was_typed(verb: str, first: str, also: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_others("demo", owner_of(THEIRS, "demo"), verb=verb)

    assert (caught.value.hint or "").startswith(first)
    assert also in (caught.value.hint or "")


def test_a_name_on_a_label_cannot_move_the_terminal() -> None:
    assert str(owner_of("\x1b[2Jeve@0123456789abcdef", "demo")) == "??2Jeve"


@pytest.mark.parametrize("damage", ["", "not an id\n", None])
def test_a_lost_id_comes_back_from_beside_a_labs_keys_and_that_is_said_once(state: Path, damage: str | None) -> None:
    (lab_dir("demo") / "ca.pem").write_text("key")
    mark = marks("demo", "network")[labels.OWNER]
    (state / "owner").unlink()
    if damage is not None:
        (state / "owner").write_text(damage)
    said: list[Event] = []

    assert owner_of(mark, "demo").is_you
    mend_id(said.append)
    mend_id(said.append)

    assert own_mark() == mark
    assert len(said) == 1 and isinstance(said[0], Warned)
    assert "your labs stay yours" in said[0].text


def test_stale_keys_make_nobody_elses_lab_yours(state: Path) -> None:
    (lab_dir("demo") / "ca.pem").write_text("key")
    marks("demo", "network")
    (state / "owner").write_text("")

    assert not owner_of(THEIRS, "demo").is_you
    assert is_anothers({labels.LAB: "demo", labels.OWNER: THEIRS})


def test_a_lab_of_before_the_copies_gets_one_when_it_is_looked_at(state: Path) -> None:
    mark = own_mark()
    (lab_dir("demo") / "ca.pem").write_text("key")
    assert owner_of(mark, "demo").is_you

    (state / "owner").write_text("")

    assert owner_of(mark, "demo").is_you


def test_a_folder_without_an_id_is_not_mended(state: Path) -> None:
    said: list[Event] = []

    mend_id(said.append)

    assert not said
    assert not (state / "owner").exists()
