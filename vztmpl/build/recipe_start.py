"""The recipe that a new one begins as: whole, and commented for whoever goes on writing it."""

START = """\
# The format: docs/recipes.md. What it comes to: vztmpl recipe show {os}-13-x86_64-minimal
os = "{os}"                        # this file's name
description = "{os} on Debian {{version}}, {{set}} set"
bootstrapper = "mmdebstrap"
sets = ["minimal", "full"]         # each gives a template of its own
include = ["common/debian-family.toml", "common/systemd.toml"]  # pieces that come with vztmpl

[releases]                         # version in the template's name = Debian's word for it
13 = "trixie"

[architectures]
x86_64 = "amd64"

[[packages]]
when = {{ set = "full" }}            # keys: release, arch, set; a word or a list of words
install = ["nano"]

[[files]]
path = "/etc/motd"
content = "made from the recipe {os}\\n"

# [[users]]
# name = "admin"
# groups = ["sudo"]

# [[scripts]]                      # run by sh -eu inside the tree
# at = "final"
# run = "echo done"
"""


def start(os: str) -> str:
    """Return the text of a recipe that builds as it is."""
    return START.format(os=os)
