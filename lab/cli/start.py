"""Where the `permlab` command begins: an interrupt ends it politely while it still imports itself, too."""

from __future__ import annotations

import sys


def main() -> None:
    """Import the command line and run it."""
    try:
        from lab.cli.main import main as run  # noqa: PLC0415  # this takes half a second, in which ^C may come

        run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
