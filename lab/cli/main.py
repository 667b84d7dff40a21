"""The `permlab` command."""

from __future__ import annotations

import os
import signal
import sys
from importlib import metadata

import click

from lab.cli import (
    bisect,
    clean,
    diff,
    doctor,
    engines,
    explain,
    judge,
    plan,
    publish,
    repro,
    run,
    runs,
    runtimes,
    scenarios,
    show,
    sweep,
    upgrade,
)
from lab.cli.common import CONTEXT, EXIT_INTERRUPTED
from lab.errors import LabError


@click.group(context_settings=CONTEXT)
@click.version_option(metadata.version("permlab"), prog_name="permlab")
def permlab() -> None:
    """Find which combinations of image, USER, WORKDIR, runtime and identity fail with a permission error.

    Every cell of the answer is a real container, and every verdict comes with its evidence.

    \b
    Examples:
      permlab run chdir-cwd                 the chdir story of runc, measured here
      permlab plan chdir-cwd                what would run, without running it
      permlab doctor                        what this host can run

    \b
    Exit codes:
      0    all expectations held; diff and upgrade: no regressions
      1    some did not, or the run is void; diff and upgrade: regressions
      2    bad input
      3    the environment: host, network, disk; diff and upgrade: it cannot be told
      130  interrupted
    """


for verb in (
    run.command,
    plan.command,
    show.command,
    judge.command,
    diff.command,
    upgrade.command,
    runs.command,
    runtimes.group,
    engines.group,
    scenarios.command,
    sweep.command,
    bisect.command,
    explain.command,
    repro.command,
    publish.command,
    doctor.command,
    clean.command,
):
    permlab.add_command(verb)


def main() -> None:
    """Run the command line; every error that the lab names becomes a message and its exit code.

    SIGTERM ends it as ^C does, with all that it opened closed; a stream that the caller closed is the null device.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  # it stays open to the end
    try:
        sys.exit(permlab.main(standalone_mode=False) or 0)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except LabError as error:
        click.echo(f"permlab: {error}", err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"permlab: {error}\n→ `permlab doctor` tells what this host can do", err=True)
        sys.exit(3)
