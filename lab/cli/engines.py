"""`permlab engines`: list, pull and verify engines."""

from __future__ import annotations

import click
from tabulate import tabulate

from lab.cli.common import tell
from lab.errors import LabError
from lab.model.engine import EngineFamily
from lab.provision.cache import default_cache
from lab.provision.engines import engine_releases, find_engine, installed_engines, pull_engine, verify_engine
from lab.scenario.versions import parse_engine


@click.group("engines")
def group() -> None:
    """Provision engines (docker, podman, cri) as Debian's suites build them; the host's own are left alone.

    \b
    Example:
      permlab engines pull docker@all
    """


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what the catalogue knows and the cache lacks.")
def list_command(*, everything: bool) -> None:
    """List engines, with origin and the digest of their programs.

    \b
    Example:
      permlab engines list --all
    """
    rows = []
    for release in engine_releases():
        build = find_engine(default_cache(), release.name)
        if build is None and not everything:
            continue
        rows.append(
            (
                str(release.name),
                "default" if release.default else "",
                "✔" if build else "",
                build.origin if build else f"(Debian {release.suite})",
                build.sha256[:16] if build else "",
            )
        )
    click.echo(
        tabulate(
            rows,
            headers=("engine", "", "here", "origin", "sha256"),
            tablefmt="simple",
            maxcolwidths=[None, None, None, 60, None],
        )
    )


@group.command("pull")
@click.argument("names", nargs=-1, required=True)
@click.pass_context
def pull_command(context: click.Context, names: tuple[str, ...]) -> None:
    """Make engines ready: NAMES as in scenarios (docker, docker@26.1.5, cri@1.6.20), docker@all, or all.

    \b
    Examples:
      permlab engines pull docker podman cri
      permlab engines pull docker@all
    """
    code = 0
    for name in _wanted(names):
        try:
            build = pull_engine(default_cache(), name, progress=tell)
        except LabError as error:
            code = max(code, error.exit_code)
            click.echo(f"✗ {name}  {error}")
        else:
            click.echo(f"✔ {build.name}  {build.reported.splitlines()[0]}  sha256:{build.sha256[:16]}")
    context.exit(code)


@group.command("verify")
@click.argument("names", nargs=-1)
@click.pass_context
def verify_command(context: click.Context, names: tuple[str, ...]) -> None:
    """Read engines again and compare them with what was recorded (all of the cache when none is named).

    \b
    Example:
      permlab engines verify
    """
    cache = default_cache()
    code = 0
    for name in _wanted(names) if names else [str(build.name) for build in installed_engines(cache)]:
        try:
            click.echo(f"✔ {name}  sha256:{verify_engine(cache, name).sha256}")
        except LabError as error:
            code = max(code, error.exit_code)
            click.echo(f"✗ {name}  {error}")
    context.exit(code)


def _wanted(names: tuple[str, ...]) -> list[str]:
    """The names, with ``all`` and ``FAMILY@all`` in full; raises :class:`InputError` for one that is none."""
    every = {"all": [str(release.name) for release in engine_releases()]}
    every |= {
        f"{family}@all": [str(release.name) for release in engine_releases() if release.name.family is family]
        for family in EngineFamily
    }
    wanted = [full for name in names for full in every.get(name, [name])]
    for name in wanted:
        parse_engine(name)
    return wanted
