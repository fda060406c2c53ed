"""The rules of the house that a machine can check."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "vztmpl"

FOUNDATION = {"errors", "run", "files", "table", "shellvars", "progress", "kernel", "filesystem"}
MAY_IMPORT = {
    "__init__": set(),
    "errors": set(),
    "progress": set(),
    "kernel": set(),
    "filesystem": set(),
    "run": {"errors"},
    "files": {"errors"},
    "table": {"errors"},
    "shellvars": {"errors"},
    "settings": {"errors", "shellvars"},
    "template": FOUNDATION,
    "build": FOUNDATION | {"template", "__version__"},
    "repo": FOUNDATION | {"template"},
    "ve": FOUNDATION | {"settings"},
    "cli": FOUNDATION | {"settings", "template", "build", "repo", "ve", "__version__"},
}
OWNERS = {
    "subprocess": {"run.py"},
    "fcntl": {"files.py", "filesystem.py"},
    "ctypes": {"kernel.py", "filesystem.py"},
    "requests": {"repo/web.py"},
    "urllib3": {"repo/web.py"},
    "gnupg": {"template/signature.py"},
    "zstandard": {"template/archive.py", "template/delta.py", "template/difference.py"},
    "tqdm": {"cli/progress.py"},
    "cyclonedx": {"build/sbom.py"},
    "packageurl": {"build/sbom.py"},
    "termios": {"ve/terminal.py"},
    "tty": {"ve/terminal.py"},
}
MAX_LINES = 300
MODULES = sorted(PACKAGE.rglob("*.py"))
every_module = pytest.mark.parametrize(
    "path", MODULES, ids=[str(path.relative_to(PACKAGE)) for path in MODULES]
)


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


@every_module
def test_imports_point_down(path: Path) -> None:
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    layers = {name.split(".")[1] for name in imports(path) if name.startswith("vztmpl.")}
    assert layers <= MAY_IMPORT[own] | {own}


@every_module
def test_each_outside_thing_has_one_owner(path: Path) -> None:
    own = str(path.relative_to(PACKAGE))
    tops = {name.split(".")[0] for name in imports(path)}
    assert all(own in owners for thing, owners in OWNERS.items() if thing in tops)
    assert "click" not in tops or own.startswith("cli/vztmpl/")


@every_module
def test_only_the_command_line_loads_settings(path: Path) -> None:
    if path.relative_to(PACKAGE).parts[0] != "cli":
        assert "vztmpl.settings.load" not in imports(path)
        assert "settings.load(" not in path.read_text()


@every_module
def test_modules_are_small_and_say_what_they_are_about(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_LINES
    assert (ast.get_docstring(ast.parse(text)) or "").splitlines()[0].strip(".")


def test_verbs_that_must_be_fast_import_nothing_slow() -> None:
    slow = {"requests", "gnupg", "zstandard", "tqdm", "subprocess", "vztmpl.template.archive"}
    for name in ("cli/errors.py", "repo/cache.py", "settings.py", "files.py"):
        tree = ast.parse((PACKAGE / name).read_text())
        at_once = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        imported = set()
        for node in at_once:
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            imported |= {f"{module}.{alias.name}".strip(".") for alias in node.names} | {module}
        assert not imported & slow
