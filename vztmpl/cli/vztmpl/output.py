"""How results are shown on stdout: as JSON for programs, as aligned columns for people."""

import json
from collections.abc import Iterable, Sequence

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))


def show_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows below headings, each column as wide as it has to be."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def show_lines(lines: Iterable[str]) -> None:
    """Print lines that others chose the words of: nothing in them can command the terminal."""
    for line in lines:
        click.echo("".join(letter if letter.isprintable() else "?" for letter in line))
