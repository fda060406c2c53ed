"""``vztmpl doctor``: what this machine lacks, and how to get it."""

from dataclasses import asdict

import click

from vztmpl.cli.vztmpl.checks import all_checks
from vztmpl.cli.vztmpl.output import json_option, show_json, show_table
from vztmpl.settings import Node


@click.command()
@json_option
@click.pass_obj
def command(node: Node, *, as_json: bool) -> int:
    """Check this machine for all that vztmpl and vzctl need.

    Exit code 1 when something lacks; then each cure is named.

    \b
    Example:
      vztmpl doctor
    """
    checks = all_checks(node)
    healthy = all(check.ok for check in checks)
    if as_json:
        show_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        show_table(
            ("CHECK", "", "FOUND"),
            [(check.name, "ok" if check.ok else "LACKS", check.found) for check in checks],
        )
        for check in checks:
            if not check.ok:
                click.echo(f"{check.name}: {check.cure}")
    return 0 if healthy else 1
