"""``vztmpl lint``: whether a template is fit for others."""

from collections.abc import Iterator
from pathlib import Path

import click

from vztmpl.build import lint
from vztmpl.build.lint_rules import RULES
from vztmpl.cli import progress
from vztmpl.cli.vztmpl.output import json_option, show_json, show_lines
from vztmpl.errors import UsageError
from vztmpl.template.manifest import Manifest, TemplateFiles
from vztmpl.template.name import TemplateName
from vztmpl.template.walk import walk


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--list", "as_list", is_flag=True, help="Show all rules with reasons and cures.")
@json_option
def command(file: Path | None, *, as_list: bool, as_json: bool) -> int:
    """Check a template for keys, passwords, logs and all else that must not be in one.

    FILE is the NAME.tar.zst; the manifest is found beside it. What the recipe waived is allowed.
    Nothing is unpacked and root is not needed. Exit code 1 when there are errors; warnings are
    shown and allowed.

    \b
    Example:
      vztmpl lint debian-13-x86_64-minimal.tar.zst
    """
    if as_list:
        _show_rules(as_json=as_json)
        return 0
    if file is None:
        raise UsageError("which template?", hint="give the NAME.tar.zst, or --list")
    files = TemplateFiles.beside(file)
    manifest = Manifest.read(files.manifest)
    with progress.shown() as shown:
        shown.phase(f"reading {file.name}", manifest.unpacked_bytes)
        found = walk(file, manifest.unpacked_bytes, shown.advance)
        waivers = lint.waivers(manifest.lint, files.manifest)
        report = lint.lint(found, TemplateName.parse(manifest.name), manifest.epoch, waivers)
    if as_json:
        show_json({"name": manifest.name, "serial": manifest.serial, **_described(report)})
    else:
        show_lines(_lines(manifest.name, report))
    return 1 if report.errors else 0


def _show_rules(*, as_json: bool) -> None:
    if as_json:
        rules = [
            {"name": rule.name, "severity": rule.severity, "reason": rule.reason, "cure": rule.cure,
             "paths": rule.paths}
            for rule in RULES.values()
        ]  # fmt: skip
        show_json(rules)
        return
    for rule in RULES.values():
        click.echo(f"{rule.name} ({rule.severity})\n  why:  {rule.reason}\n  cure: {rule.cure}")


def _described(report: lint.Report) -> dict[str, object]:
    findings = [
        {"rule": finding.rule, "severity": RULES[finding.rule].severity, "path": finding.path,
         "detail": finding.detail, "reason": RULES[finding.rule].reason,
         "cure": RULES[finding.rule].cure}
        for finding in report.findings
    ]  # fmt: skip
    return {**report.summary(), "findings": findings}


def _lines(name: str, report: lint.Report) -> Iterator[str]:
    """Tell findings rule by rule, then count them."""
    for rule in (RULES[rule] for rule in RULES if report.counts.get(rule)):
        yield f"{rule.severity}: {rule.name}: {rule.reason}"
        shown = [finding for finding in report.findings if finding.rule == rule.name]
        yield from (f"    {finding.place}" for finding in shown)
        if more := report.counts[rule.name] - len(shown):
            yield f"    and {more} more"
        yield f"    cure: {rule.cure}"
    for waiver in report.waivers:
        yield f"waived: {waiver.rule} ({report.waived.get(waiver.rule, 0)}): {waiver.reason}"
    yield f"{name}: {report.total}"
