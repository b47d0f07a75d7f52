"""Record the play of a lesson on a lab that is up, of a manager and two workers.

python -m tests.integration.plays LESSON LAB [LANGUAGE [COLUMNS ROWS]]
"""

from __future__ import annotations

import sys
from pathlib import Path

from labctl.assets import asset
from labctl.exercise import read_exercise
from labctl.exercise.language import file_in
from labctl.lab import find_lab, open_context
from tests.integration.plays import play, written

lesson, lab, language, columns, rows = [*sys.argv[1:], *["en", "100", "30"][len(sys.argv) - 3 :]]
folder = asset("exercises") / lesson
exercise = read_exercise(folder, file_in(folder, language))
recording = written(exercise, language, int(columns), int(rows))
recording.text = play(recording, exercise, find_lab(open_context(), lab))
file = Path(__file__).with_name(f"{lesson}.{language}.yaml")
recording.write(file)
print(file)
