"""The session's lab: found or made by the first who needs it, removed by the last who leaves it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from labctl.pytest_plugin.keeping import Place, Use, forget, place_of, places_of
from labctl.pytest_plugin.options import is_kept, named_lab, report_dir, skips_engineless
from labctl.pytest_plugin.signals import heed_signals, unhurried
from labctl.pytest_plugin.telling import Progress, in_words, is_worker, say

if TYPE_CHECKING:
    from labctl.lab import Lab
    from labctl.pytest_plugin.happened import Happened
    from labctl.spec import LabSpec

__all__ = [
    "FAILED",
    "HAPPENED",
    "INTERRUPTED",
    "finish",
    "goes_with_session",
    "is_making",
    "lab_of_session",
    "lab_that_stands",
    "leaves_stacks",
    "tell_kept",
]

FAILED = pytest.StashKey[bool]()  # a test of this process has
INTERRUPTED = pytest.StashKey[bool]()
HAPPENED: pytest.StashKey[Happened] = pytest.StashKey()  # in the lab, where reports are wanted
REMOVED = "But lab {} is gone, since it did not come up: `labctl up --retain` keeps such a lab, to look into it."
KEPT = pytest.StashKey[list[str]]()


class _Refused(Exception):
    """There is no lab; the text is why."""

    def __init__(self, text: str, *, engineless: bool = False) -> None:
        super().__init__(text)
        self.engineless = engineless


@contextmanager
def lab_of_session(config: pytest.Config, wanted: object) -> Iterator[Lab]:
    """The lab, for as long as the block runs. Fails the test, in few words, where there is none."""
    place = place_of(config)
    heed_signals(config, lambda: True)
    try:
        lab = _entered(config, place, wanted)
    except _Refused as refused:
        if refused.engineless and skips_engineless(config):
            pytest.skip(f"labctl: {refused}")
        raise pytest.fail.Exception(f"labctl: {refused}", pytrace=False) from None
    if report_dir(config) is not None:
        from labctl.pytest_plugin.happened import Happened

        config.stash[HAPPENED] = Happened(lab)
    try:
        yield lab
    finally:
        if HAPPENED in config.stash:
            config.stash[HAPPENED].close()
        _left(config, place)


def _entered(config: pytest.Config, place: Place, wanted: object) -> Lab:
    from labctl import EngineUnreachable, Lab, LabctlError

    with place.held() as use:
        if use.problem:
            raise _Refused(use.problem, engineless=use.engineless)
        try:
            lab = Lab.find(use.name) if use.ready else _found_or_made(config, place, use, wanted)
        except LabctlError as problem:
            told = in_words(problem, use.name or use.gone or None, after=REMOVED.format(use.gone) * bool(use.gone))
            refused = _Refused(told, engineless=isinstance(problem, EngineUnreachable))
            if not use.ready:  # nobody needs to try that again; one that is ready is still to be removed
                use.problem, use.engineless, use.name = str(refused), refused.engineless, ""
            raise refused from None
        use.users.append(place.user)
        return lab


def _found_or_made(config: pytest.Config, place: Place, use: Use, wanted: object) -> Lab:
    from labctl import Lab

    if use.name and use.made:  # who was making it was killed
        _remove(use.name)
    if named := named_lab(config):
        use.name, use.made = named[0], False
        lab = Lab.find(use.name)
        say(config, f"testing on lab {lab.name} ({named[1]}), which stays")
    else:
        # A name of our own choice: it must be known before anything is there. Of 4 billion, none is taken.
        use.name, use.made = f"pytest-{secrets.token_hex(4)}", True
        place.note(use)
        try:
            lab = _made(config, use.name, wanted)
        except BaseException:
            _remove(use.name)  # `up` has taken it back, unless Ctrl-C came as it ended
            use.gone, use.name = use.name, ""
            raise
    use.ready = True
    return lab


def _made(config: pytest.Config, name: str, wanted: object) -> Lab:
    from labctl import Lab

    spec, keys = _spec_and_keys(config, wanted)
    began = time.monotonic()
    say(config, f"making lab {name} …")
    lab = Lab.up(spec, on_event=Progress(config), **{**keys, "name": name})  # type: ignore[arg-type]  # a test's own words
    nodes = "1 node" if len(lab.nodes) == 1 else f"{len(lab.nodes)} nodes"
    say(config, f"lab {name} is ready after {time.monotonic() - began:.0f} s ({nodes})")
    return lab


def _spec_and_keys(config: pytest.Config, wanted: object) -> tuple[LabSpec | Path | None, Mapping[str, object]]:
    from labctl import Lab, LabSpec, UsageError

    if isinstance(wanted, LabSpec):
        return wanted, {}
    if isinstance(wanted, Path):
        return config.rootpath / wanted, {}
    if isinstance(wanted, Mapping):
        import inspect
        from typing import get_type_hints

        from labctl.lab.wanted import SpecKeys

        own = {"spec", "cls", "keys", "on_event", "retain", "name"}
        known = {*inspect.signature(Lab.up).parameters, *get_type_hints(SpecKeys)} - own
        if strange := sorted(str(key) for key in wanted if key not in known):
            raise UsageError(
                f"lab_spec: no such key: {', '.join(strange)}", hint=f"There is: {', '.join(sorted(known))}."
            )
        return None, wanted
    raise UsageError(
        f"lab_spec returned {wanted!r}, which describes no lab",
        hint="It returns a LabSpec, the Path of a lab.yaml, or a dict of Lab.up's keywords: {'nodes': 3}.",
    )


def lab_that_stands(lab: Lab) -> Lab:
    """The lab as it now is. Fails the test where somebody has removed it."""
    from labctl import NotFoundError

    try:
        return lab.refresh()
    except NotFoundError:
        told = f"labctl: lab {lab.name} is gone: it was removed while the tests ran"
        raise pytest.fail.Exception(told, pytrace=False) from None


def leaves_stacks(config: pytest.Config) -> bool:
    """Whether a test's stacks need not be removed: the session was cancelled, and their lab goes at once."""
    return config.stash.get(INTERRUPTED, False) and goes_with_session(config)


def _left(config: pytest.Config, place: Place) -> None:
    with place.held() as use:
        use.failed |= config.stash.get(FAILED, False)
        use.users = [user for user in use.users if user != place.user]
        if not use.users and (problem := _ended(config, use)):
            pytest.fail(f"labctl: {problem}", pytrace=False)


def _ended(config: pytest.Config, use: Use) -> str:
    """Write the logs where they are wanted, and remove the lab if it is this session's. Returns what went wrong."""
    from labctl import Lab, LabctlError, NotFoundError

    folder = report_dir(config)
    if use.failed and folder is not None and not config.stash.get(INTERRUPTED, False):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            say(config, f"the lab's logs are in {Lab.find(use.name).export_logs(folder)}")
        except (LabctlError, OSError) as problem:
            say(config, f"the lab's logs cannot be had: {problem}")
    if not use.made:
        use.name, use.ready = "", False
    if not use.made or is_kept(config):
        return ""
    began = time.monotonic()
    try:
        with unhurried(lambda: say(config, f"removing lab {use.name}; once more leaves it as it is", always=True)):
            Lab.find(use.name).down()
    except NotFoundError:
        pass  # somebody was faster
    except LabctlError as problem:
        return f"{in_words(problem, use.name)}\nLab {use.name} is left: `labctl down -l {use.name}` removes it."
    else:
        say(config, f"lab {use.name} is gone ({time.monotonic() - began:.0f} s)")
    use.name, use.ready = "", False
    return ""


def _remove(name: str) -> None:
    from labctl import Lab, LabctlError

    with contextlib.suppress(LabctlError):  # nothing is there, or no engine: what failed before is told
        Lab.find(name).down()


def finish(session: pytest.Session) -> None:
    """Remove what the last user could not, because it was killed or interrupted; the controller comes last."""
    config = session.config
    if is_worker(config):
        return
    for place in places_of(config):
        use = place.read()
        use.failed |= session.testsfailed > 0
        if use.made and is_kept(config) and use.name:
            config.stash.setdefault(KEPT, []).append(use.name)
            if not use.users:  # the last one has left in order
                continue
        if use.name and (problem := _ended(config, use)):
            say(config, problem, always=True)
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
    forget(config)


def tell_kept(config: pytest.Config) -> None:
    """Say which labs stay, and how they go."""
    for name in config.stash.get(KEPT, []):
        ways = f"`pytest --labctl-lab {name}` tests on it again, `labctl down -l {name}` removes it"
        say(config, f"lab {name} is left up: {ways}", always=True)


def goes_with_session(config: pytest.Config) -> bool:
    """Whether the session's lab is removed at its end."""
    return named_lab(config) is None and not is_kept(config)


def is_making(config: pytest.Config) -> bool:
    """Whether a lab of this session is there, or is being made."""
    return any(place.read().name for place in places_of(config))
