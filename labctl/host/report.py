"""What an examination of this machine says: one row for each thing that a lab needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = ["Report", "Row", "Verdict"]


class Verdict(StrEnum):
    """What a row comes to."""

    GOOD = "good"  # as it is; also where it does not matter, or can only be known by trying
    MADE_UP_FOR = "made-up-for"  # missing, and labctl puts something in its place
    UNAVAILABLE = "unavailable"  # this machine cannot; a lab runs without it
    MEND = "mend"  # no lab before this is mended


@dataclass(frozen=True)
class Row:
    """One thing looked at. `found` is what it is, `fix` one line that mends or betters it.

    `fixable` says that `labctl doctor --fix`, run as root, can do it.
    """

    id: str
    title: str
    verdict: Verdict
    found: str
    fix: str | None = None
    fixable: bool = False


class Report(tuple[Row, ...]):
    """The rows, in the order in which they are worth reading."""

    __slots__ = ()

    @property
    def to_mend(self) -> tuple[Row, ...]:
        """The rows that keep a lab from running."""
        return tuple(row for row in self if row.verdict is Verdict.MEND)

    @property
    def fixable(self) -> tuple[Row, ...]:
        """The rows that `mend` can do something about."""
        return tuple(row for row in self if row.fixable)

    @property
    def good(self) -> bool:
        """Whether a lab can run here."""
        return not self.to_mend

    def row(self, id_: str) -> Row:
        """Return the row of that id. Raises KeyError for one that was not looked at."""
        for row in self:
            if row.id == id_:
                return row
        raise KeyError(id_)

    def to_dict(self) -> dict[str, object]:
        """Return the report as JSON can carry it."""
        rows = [{**asdict(row), "verdict": row.verdict.value} for row in self]
        return {"good": self.good, "rows": rows}
