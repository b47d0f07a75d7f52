"""The command `labctl`; `python -m labctl` is the same."""

from __future__ import annotations

import os
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run a command and exit with its code."""
    try:
        # What is imported here takes longest of all before signals are watched, and is cut short as a command is.
        from labctl.cli.main import main as run

        run()
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
