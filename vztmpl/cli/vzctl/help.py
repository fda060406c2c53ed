"""The help of vzctl, made from what the verbs declare."""

import sys
from collections.abc import Sequence
from inspect import getdoc

from vztmpl.cli import vzctl
from vztmpl.cli.vzctl.call import Verb

_EXAMPLE = """
Example:
  vztmpl fetch debian-12-x86_64-minimal
  vzctl create 101 --ostemplate debian-12-x86_64-minimal --hostname web
  vzctl set 101 --physpages 512M --numproc 200 --ipadd 10.0.0.101 --save
  vzctl start 101
  vzctl exec 101 systemctl is-system-running
  vzctl enter 101

Exit codes are OpenVZ's: 0 done, 8 the command run by exec failed, 9 the container is locked,
14 it has no configuration, 20 and 21 the command line is wrong, 31 it does not run, 32 it runs,
43 and 44 its private area is missing, or there already, 91 no such OS template, 3 anything else.
"""


def overview(version: str, names: Sequence[str]) -> int:
    """Print what ``vzctl --help`` prints."""
    lines = [
        f"vzctl version {version}",
        "Usage: vzctl [--quiet] COMMAND CTID [OPTIONS]",
        "       vzctl COMMAND --help",
        "",
        "Make, run and change containers: virtual environments (VEs).",
        "",
    ]
    for name in names:
        verb = vzctl.load(name)
        title = (verb.__doc__ or "").splitlines()[0]
        lines.append(f"  {name:<16}{title}")
    sys.stdout.write("\n".join(lines) + "\n" + _EXAMPLE)
    return 0


def of_verb(name: str, verb: Verb) -> int:
    """Print what ``vzctl VERB --help`` prints."""
    options = " [OPTIONS]" if verb.OPTIONS else ""
    usage = f"Usage: vzctl {name} CTID{options} {verb.ARGUMENTS}".rstrip()
    lines = [usage, "", getdoc(verb) or "", ""]
    for option, text in verb.OPTIONS.items():
        lines.append(f"  {_shown(option, text)}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def _shown(option: str, text: str) -> str:
    value, _, meaning = text.partition("  ") if option.endswith("=") else ("", "", text)
    left = f"--{option.removesuffix('=')} {value}".rstrip()
    return f"{left:<26}{meaning}"
