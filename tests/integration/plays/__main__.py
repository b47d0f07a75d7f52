"""Record the play of a lesson on a lab that is up: `python -m tests.integration.plays LESSON LAB [LANGUAGE]`."""

from __future__ import annotations

import sys
from pathlib import Path

from labctl.assets import asset
from labctl.lab import find_lab, open_context

from . import record

lesson, lab, language = [*sys.argv[1:], "en"][:3]
file = Path(__file__).with_name(f"{lesson}.cast")
record(asset("exercises") / lesson, find_lab(open_context(), lab), language).write(file)
print(file)
