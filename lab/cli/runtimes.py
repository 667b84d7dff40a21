"""`permlab runtimes`: list, pull, verify and add runtimes."""

from __future__ import annotations

from pathlib import Path

import click
from tabulate import tabulate

from lab.cli.common import runtime_words, tell
from lab.errors import ProvisionError
from lab.model.runtime import Provider, Runtime
from lab.provision.cache import default_cache
from lab.provision.catalogue import load_catalogue
from lab.provision.pulling import pull_all
from lab.provision.runtimes import add, installed, verify
from lab.scenario.versions import expand_runtimes

EXIT_FAILED = 3


@click.group("runtimes")
def group() -> None:
    """Provision runtimes: from releases, Go modules, crates, Debian suites, or a file of yours.

    \b
    Examples:
      permlab runtimes list --all
      permlab runtimes pull 'runc>=1.1,<1.2'
    """


@group.command("list")
@click.option("--all", "everything", is_flag=True, help="Also what the catalogue knows and the cache lacks.")
def list_command(*, everything: bool) -> None:
    """List runtimes, with origin and sha256.

    \b
    Example:
      permlab runtimes list --all
    """
    have = {str(runtime.name): runtime for runtime in installed(default_cache())}
    rows = []
    releases = {str(release.name): release for release in load_catalogue()} if everything else {}
    for name in dict.fromkeys((*releases, *have)):
        runtime, release = have.get(name), releases.get(name)
        sources = "" if release is None else ", ".join(release.sources)
        rows.append(
            (
                name,
                release.date if release else "",
                "✔" if runtime else "",
                runtime.origin if runtime else f"({sources})",
                runtime.sha256[:16] if runtime else "",
            )
        )
    if not rows:
        tell("no runtime is in the cache yet; `permlab runtimes list --all` shows what can be had")
        return
    click.echo(tabulate(rows, headers=("runtime", "released", "here", "origin", "sha256"), tablefmt="simple"))


@group.command("pull")
@click.argument("names", nargs=-1, required=True)
@click.option("--provider", type=click.Choice([str(provider) for provider in Provider]), help="Insist on one source.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Builds at once (default: what memory allows).")
@click.pass_context
def pull_command(context: click.Context, names: tuple[str, ...], *, provider: str | None, jobs: int | None) -> None:
    """Make runtimes ready: NAMES as in scenarios (default, runc@all, runc@1.0.0-rc93, 'runc>=1.1,<1.2').

    \b
    Examples:
      permlab runtimes pull default
      permlab runtimes pull runc@1.1.5+debian12 crun@1.8.1
    """
    context.exit(pull(names, provider=provider, jobs=jobs))


def pull(names: tuple[str, ...], *, provider: str | None, jobs: int | None) -> int:
    """Pull and tell; the exit code says whether all are ready."""
    catalogue = load_catalogue()
    wanted = expand_runtimes([word for name in names for word in runtime_words(name)], tuple(catalogue))
    failed = 0
    for name, outcome in pull_all(
        default_cache(),
        list(wanted),
        catalogue=catalogue,
        provider=Provider(provider) if provider else None,
        jobs=jobs,
        progress=tell,
    ):
        if isinstance(outcome, Runtime):
            click.echo(f"✔ {name}  {outcome.provider}  {outcome.origin}  sha256:{outcome.sha256[:16]}")
        else:
            failed += 1
            click.echo(f"✗ {name}  {outcome}")
    return EXIT_FAILED if failed else 0


@group.command("verify")
@click.argument("names", nargs=-1)
@click.pass_context
def verify_command(context: click.Context, names: tuple[str, ...]) -> None:
    """Read runtimes again and compare them with what was recorded (all of the cache when none is named).

    \b
    Example:
      permlab runtimes verify
    """
    cache = default_cache()
    failed = 0
    for name in names or [str(runtime.name) for runtime in installed(cache)]:
        try:
            click.echo(f"✔ {name}  sha256:{verify(cache, name).sha256}")
        except ProvisionError as error:
            failed += 1
            click.echo(f"✗ {name}  {error}")
    context.exit(EXIT_FAILED if failed else 0)


@group.command("add")
@click.argument("name")
@click.argument("binary", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def add_command(name: str, binary: Path) -> None:
    """Take a binary of yours as a runtime, under NAME (runc@1.2.3+mine).

    \b
    Example:
      permlab runtimes add runc@1.2.3+mine ./runc
    """
    runtime = add(default_cache(), name, binary)
    click.echo(f"✔ {runtime.name}  sha256:{runtime.sha256}  {runtime.reported.splitlines()[0]}")
