"""Which lab is meant, and what one that is gone left on disk."""

from __future__ import annotations

from labctl.errors import NotFoundError, UsageError
from labctl.lab.context import Context
from labctl.lab.lab import Lab
from labctl.state import drop_lab_dir, labs_of_machines

__all__ = ["all_labs", "find_lab", "forget", "forget_gone", "lab_names"]


def lab_names(context: Context) -> list[str]:
    """The names of all labs of this host's engine."""
    return sorted({*context.backend("dind").labs(), *labs_of_machines()})


def all_labs(context: Context) -> list[Lab]:
    """All labs of this host's engine, by name."""
    return [found for name in lab_names(context) if (found := _find(context, name)) is not None]


def find_lab(context: Context, name: str | None = None) -> Lab:
    """Return the lab of that name; where none is said, `lab`, or the only one there is.

    Where no name is said, your own labs come before those of others. Raises NotFoundError with the nearest name of
    yours, UsageError when several could be meant.
    """
    lab = _find(context, name or "lab")
    if lab is not None and (name is not None or lab.record.owner.is_you):
        return lab
    labs = all_labs(context)
    yours = [found for found in labs if found.record.owner.is_you]
    # What others have is not what was meant; `labctl labs` lists it.
    known = [found.name for found in labs if found.record.owner.may_be_you]
    if name is None:
        labs = yours or labs
        known = [found.name for found in labs]
        if "lab" in known or len(known) == 1:
            return labs[known.index("lab") if "lab" in known else 0]
    if name is None and known:
        raise UsageError(
            f"there are several labs: {', '.join(known)}", hint="`-l NAME` or LABCTL_LAB says which one is meant."
        )
    # Those of others are not offered: it is not one of theirs that is meant.
    offered = None if labs and not known else known
    raise NotFoundError("lab", name or "lab", offered, hint="`labctl up` makes one, `labctl labs` lists them.")


def _find(context: Context, name: str) -> Lab | None:
    backend = context.holding(name)
    record = backend.find(name)
    return None if record is None else Lab(context, backend, record)


def forget_gone(context: Context, name: str) -> None:
    """Remove what a lab that is not there left on disk; one that an `up` is just making is there."""
    with context.held(name):
        if _find(context, name) is None:
            forget(name)


def forget(name: str) -> None:
    """Remove what a lab that is gone left on disk: keys, and its Docker context."""
    from labctl.engine import contexts

    contexts.remove(name)
    drop_lab_dir(name)
