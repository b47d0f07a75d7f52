"""Takes the README's picture: real commands in a real terminal (tmux), drawn as an SVG.

python docs/picture.py        needs tmux and an engine; makes a lab named `picture` and removes it
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

HERE = Path(__file__).resolve().parent
COLUMNS, LINES = 104, 34
SESSION = "labctl-picture"
LIMIT = 300.0  # seconds for one command


def main() -> None:
    """Type the commands, wait for each, and draw the screen."""
    labctl = str(Path(sys.executable).parent)
    tmux("new-session", "-d", "-s", SESSION, "-x", str(COLUMNS), "-y", str(LINES), "env -i bash --norc --noprofile")
    try:
        type_line(f"export PATH={labctl}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=$HOME TERM=xterm-256color")
        type_line("export LABCTL_LAB=picture PS1='$ '; clear")
        time.sleep(1)
        for command in (
            "labctl up --nodes 4",
            "labctl docker -- service create -q --name web --replicas 6 nginx",
            "labctl map",
            "labctl status",
        ):
            type_line(command)
            wait_prompt()
        draw(screen())
    finally:
        tmux("kill-session", "-t", SESSION)
        subprocess.run([f"{labctl}/labctl", "down", "-l", "picture"], check=True)


def tmux(*words: str) -> str:
    """Run a tmux command and return what it printed."""
    return subprocess.run(["tmux", *words], check=True, capture_output=True, text=True).stdout


def type_line(line: str) -> None:
    """Type a line and press Enter."""
    tmux("send-keys", "-t", SESSION, "-l", line)
    tmux("send-keys", "-t", SESSION, "Enter")


def screen() -> str:
    """What the terminal shows, with its colours."""
    return tmux("capture-pane", "-t", SESSION, "-e", "-p")


def wait_prompt() -> None:
    """Wait until the shell asks for the next command."""
    deadline = time.monotonic() + LIMIT
    time.sleep(1)
    while time.monotonic() < deadline:
        lines = [line for line in tmux("capture-pane", "-t", SESSION, "-p").splitlines() if line.strip()]
        if lines and lines[-1].strip() == "$":
            return
        time.sleep(0.3)
    raise SystemExit(f"the command did not end within {LIMIT:g} s:\n{screen()}")


def draw(text: str) -> None:
    """Write the screen as docs/terminal.svg."""
    console = Console(record=True, width=COLUMNS, file=sys.stderr, force_terminal=True)
    console.print(Text.from_ansi(text.rstrip()), soft_wrap=True)
    (HERE / "terminal.svg").write_text(console.export_svg(title="labctl"))


if __name__ == "__main__":
    main()
