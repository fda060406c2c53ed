"""``vztmpl repo``: care of a repository."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from vztmpl.cli import progress
from vztmpl.cli.vztmpl.output import json_option, show_json
from vztmpl.cli.vztmpl.parts import keyring
from vztmpl.cli.vztmpl.publish import described
from vztmpl.errors import VerificationError
from vztmpl.repo.check import check
from vztmpl.repo.policy import Policy
from vztmpl.repo.publish import change_keys, publish
from vztmpl.repo.registry import push
from vztmpl.settings import Node

_repo = click.argument("repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
_sign = click.option(
    "--sign", metavar="FPR", default="", help="Key to sign with, if there are several."
)


@click.group()
def command() -> None:
    """Check, prune and sign a repository.

    \b
    Example:
      vztmpl repo check /srv/www/templates
    """


@command.command(name="check")
@_repo
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust the public keys in this file, not REPO/key.asc.",
)
@json_option
@click.pass_obj
def check_(_: Node, repo: Path, key: Path | None, *, as_json: bool) -> None:
    """Read a whole repository as a node would; exit code 6 when anything is wrong.

    \b
    Example:
      vztmpl repo check /srv/www/templates --key key.asc
    """
    with progress.shown() as shown:
        found = check(repo, (key or repo / "key.asc").read_bytes(), shown)
    if as_json:
        show_json(
            {
                "serial": found.index.serial,
                "expires": found.index.expires.isoformat(),
                "builds": len(found.index.entries),
                "left_over": [*found.left_over],
                "problems": [*found.problems],
            }
        )
    else:
        for path in found.left_over:
            click.echo(f"{path} is not in the index; it goes after its time of grace")
        index = found.index
        click.echo(f"index {index.serial}, {len(index.entries)} builds, good until {index.expires}")
    if found.problems:
        error = VerificationError(f"{repo}: {len(found.problems)} problems")
        for problem in found.problems:
            error.add_note(problem)
        raise error


@command.command()
@_repo
@click.option("--keep", type=click.IntRange(1), help="Builds of each template, just this time.")
@click.option("--grace", type=click.IntRange(0), help="Hours that files stay, just this time.")
@_sign
@json_option
@click.pass_obj
def prune(
    node: Node, repo: Path, *, keep: int | None, grace: int | None, sign: str, as_json: bool
) -> None:
    """Drop old builds from the index, and remove the files of those dropped long ago.

    REPO/repository.toml says how many are kept and how long files stay: nodes that have the index
    before may still be fetching them.

    \b
    Example:
      vztmpl repo prune /srv/www/templates --keep 2
    """
    policy = Policy.load(repo)
    if keep is not None:
        policy = replace(policy, keep=keep)
    if grace is not None:
        policy = replace(policy, grace=timedelta(hours=grace))
    keys = keyring(node)
    done = publish(repo.absolute(), [], keys, keys.signing_key(sign), policy=policy)
    if as_json:
        show_json(described(repo.absolute(), done))
    else:
        for entry in done.dropped:
            click.echo(f"{entry.name} {entry.serial} left the index")
        for path in done.removed:
            click.echo(f"{path} is removed")


@command.command(name="push")
@_repo
@click.argument("registry", metavar="oci://HOST/PATH")
def push_(repo: Path, registry: str) -> None:
    """Copy a repository into an OCI registry, which nodes can use as a remote or as a mirror.

    What is there already is not sent again. The account is that of netrc.

    \b
    Example:
      vztmpl repo push /srv/www/templates oci://registry.example.org/templates
    """
    with progress.shown() as shown:
        push(repo, registry.rstrip("/"), shown)


@command.command()
@_repo
@_sign
@click.option("--add-key", metavar="FPR", multiple=True, help="Let this key sign as well.")
@click.option("--remove-key", metavar="FPR", multiple=True, help="This key counts no more.")
@click.option("--resign", is_flag=True, help="Sign anew the builds that a removed key signed.")
@click.pass_obj
def sign(
    node: Node,
    repo: Path,
    *,
    sign: str,
    add_key: tuple[str, ...],
    remove_key: tuple[str, ...],
    resign: bool,
) -> None:
    """Sign the index anew, for another term; or change who may sign.

    A key that nodes trust signs the new list of keys, so they follow by themselves. To replace a
    key: add the new one, and later remove the old one with --sign NEW. Builds that only the old one
    signed are refused from then on, unless --resign signs them anew: when it was stolen, look at
    them first. Adding a key again renews its date of expiry or tells of its revocation.

    \b
    Example:
      vztmpl repo sign /srv/www/templates
      vztmpl repo sign /srv/www/templates --sign OLD --add-key NEW
      vztmpl repo sign /srv/www/templates --sign NEW --remove-key OLD --resign
    """
    keys = keyring(node)
    signer = keys.signing_key(sign)
    repository = repo.absolute()
    if add_key or remove_key:
        change_keys(repository, keys, signer, add=add_key, remove=remove_key)
    publish(repository, [], keys, signer, policy=Policy.load(repository), resign_all=resign)
