"""What recipes do to a tree, in a small system of one static program."""

import os
import time
from pathlib import Path

import pytest

from tests.build.debian_archive import add_programs
from tests.build.repositories import small_system
from vztmpl.build import recipe
from vztmpl.build.customise import customise
from vztmpl.build.recipe import Recipe
from vztmpl.errors import CommandError, VztmplError
from vztmpl.progress import Silent

pytestmark = pytest.mark.root

EPOCH = 1_768_000_000
HEAD = """
os = "tiny"
description = "Tiny"
bootstrapper = "rootfs"
sets = ["minimal"]
releases = { 1 = "one" }
architectures = { x86_64 = "amd64" }
"""
NOTES_CALLS = '#!/bin/sh\necho "$0 $*" >>/calls\n'


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    small_system(tmp_path / "tree")
    return tmp_path / "tree"


def wanted(tree: Path, text: str) -> Recipe:
    (tree.parent / "tiny.toml").write_text(HEAD + text)
    return recipe.resolve(tree.parent, "tiny-1-x86_64-minimal")


def apply(tree: Path, text: str) -> None:
    customise(wanted(tree, text), tree, EPOCH, Silent())


def program(tree: Path, name: str) -> None:
    (tree / "usr/bin" / name).write_text(NOTES_CALLS)
    (tree / "usr/bin" / name).chmod(0o755)


def calls(tree: Path) -> list[str]:
    said = (tree / "calls").read_text().splitlines()
    return [line.removeprefix("/usr/bin/") for line in said]


def test_files_come_inline_from_beside_and_from_templates(tree: Path) -> None:
    beside = tree.parent / "web"
    (beside / "deep").mkdir(parents=True)
    (beside / "run").write_text("#!/bin/sh\n")
    (beside / "run").chmod(0o700)
    (beside / "deep/data").write_bytes(bytes(range(256)))
    apply(
        tree,
        """
        [variables]
        name = "web"
        [[files]]
        path = "/srv/www"
        source = "web"
        [[files]]
        path = "/etc/empty"
        content = ""
        [[files]]
        path = "/etc/issue"
        template = true
        content = "{{ name }} on {{os}} {{version}}"
        mode = "0600"
        owner = "root:root"
        """,
    )
    assert (tree / "srv/www/deep/data").read_bytes() == bytes(range(256))
    assert (tree / "srv/www/deep/data").stat().st_mode & 0o777 == 0o644
    assert (tree / "srv/www/run").stat().st_mode & 0o777 == 0o755
    assert (tree / "etc/empty").read_text() == ""
    assert (tree / "etc/issue").read_text() == "web on tiny 1"
    assert (tree / "etc/issue").stat().st_mode & 0o777 == 0o600


def test_a_link_in_the_tree_leads_no_file_out_of_it(tree: Path) -> None:
    (tree / "etc/out").symlink_to(tree.parent)
    with pytest.raises(CommandError) as caught:
        apply(tree, '[[files]]\npath = "/etc/out/file"\ncontent = "x"\n')
    assert "while writing /etc/out/file" in caught.value.__notes__
    assert not (tree.parent / "file").exists()


ADA = """
[[users]]
name = "ada"
uid = 1234
groups = ["wheel", "www"]
shell = "/bin/sh"
sudo = true
"""


def test_users_get_ids_groups_and_sudo(tree: Path) -> None:
    add_programs(tree, ["useradd"])
    (tree / "etc/group").write_text("root:x:0:\nwheel:x:10:\nwww:x:11:\n")
    (tree / "etc/login.defs").write_text("USERGROUPS_ENAB yes\n")
    (tree / "etc/shadow").touch()
    apply(tree, ADA)
    assert "ada:x:1234:1234::/home/ada:/bin/sh\n" in (tree / "etc/passwd").read_text()
    assert "wheel:x:10:ada\nwww:x:11:ada\n" in (tree / "etc/group").read_text()
    assert (tree / "etc/shadow").read_text().startswith("ada:!:")
    assert (tree / "home/ada").stat().st_uid == 1234
    sudoers = tree / "etc/sudoers.d/ada"
    assert sudoers.read_text() == "ada ALL=(ALL:ALL) NOPASSWD: ALL\n"
    assert sudoers.stat().st_mode & 0o777 == 0o440


def test_users_are_made_by_busybox_where_there_is_no_useradd(tree: Path) -> None:
    program(tree, "adduser")
    program(tree, "addgroup")
    apply(tree, ADA)
    assert calls(tree) == [
        "adduser -D -s /bin/sh -u 1234 ada",
        "addgroup ada wheel",
        "addgroup ada www",
    ]


def test_a_group_that_is_not_there_is_named(tree: Path) -> None:
    add_programs(tree, ["useradd"])
    with pytest.raises(CommandError) as caught:
        apply(tree, ADA)
    assert "group 'wheel' does not exist" in caught.value.tail
    assert "while making the user ada" in caught.value.__notes__


def test_a_locale_and_a_time_zone_have_to_be_there(tree: Path) -> None:
    zone = tree / "usr/share/zoneinfo/Europe/Berlin"
    zone.parent.mkdir(parents=True)
    zone.touch()
    apply(tree, 'locale = "C.UTF-8"\ntimezone = "Europe/Berlin"\n')
    assert (tree / "etc/locale.conf").read_text() == "LANG=C.UTF-8\n"
    assert (tree / "etc/localtime").readlink() == Path("/usr/share/zoneinfo/Europe/Berlin")
    with pytest.raises(VztmplError, match="the tree knows no time zone Mars/Base"):
        apply(tree, 'timezone = "Mars/Base"\n')
    with pytest.raises(CommandError) as caught:
        apply(tree, 'locale = "de_DE.UTF-8"\n')
    assert "`locales`" in caught.value.hint


def test_a_locale_is_made_where_the_distribution_makes_them(tree: Path) -> None:
    program(tree, "locale-gen")
    (tree / "usr/bin/locale").write_text("#!/bin/sh\necho C; echo de_DE.utf8\n")
    (tree / "usr/bin/locale").chmod(0o755)
    apply(tree, 'locale = "de_DE.UTF-8"\n')
    assert (tree / "etc/locale.gen").read_text() == "de_DE.UTF-8 UTF-8\n"
    assert (tree / "etc/default/locale").read_text() == "LANG=de_DE.UTF-8\n"


@pytest.mark.parametrize(
    ("manager", "wanted_calls"),
    [
        ("systemctl", [
            "systemctl --quiet enable a b", "systemctl --quiet disable c.service d@1.service"
        ]),
        ("rc-update", ["rc-update add a default", "rc-update add b default", "rc-update del c"]),
        (
            "update-rc.d",
            ["update-rc.d a defaults", "update-rc.d a enable", "update-rc.d b defaults",
             "update-rc.d b enable", "update-rc.d c defaults", "update-rc.d c disable"],
        ),
    ],
)  # fmt: skip
def test_services_are_set_by_what_starts_them(
    tree: Path, manager: str, wanted_calls: list[str]
) -> None:
    program(tree, manager)
    units = tree / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    (units / "c.service").touch()
    (units / "d@.service").touch()
    off = "c" if manager != "systemctl" else 'nowhere.timer", "c.service", "d@1.service'
    apply(tree, f'[[services]]\nenable = ["a", "b"]\ndisable = ["{off}"]\n')
    assert calls(tree) == wanted_calls


def test_only_systemd_can_mask(tree: Path) -> None:
    program(tree, "rc-update")
    with pytest.raises(CommandError) as caught:
        apply(tree, '[[services]]\nmask = ["a"]\n')
    assert "only systemd can mask a" in caught.value.tail


def script(run: str, *options: str) -> str:
    more = "\n".join(options)
    return f"[[scripts]]\nat = \"final\"\n{more}\nrun = '''\n{run}\n'''\n"


def test_scripts_run_in_order_with_the_epoch(tree: Path) -> None:
    (tree.parent / "two.sh").write_text("echo two $SOURCE_DATE_EPOCH >>/order\n")
    late = script("echo three >>/order")
    early = '[[scripts]]\nat = "packages"\nrun = "echo one >/order"\n'
    apply(tree, late.replace("three", "two-and-a-half") + early + late
          + '[[scripts]]\nat = "packages"\nfile = "two.sh"\n')  # fmt: skip
    order = (tree / "order").read_text().splitlines()
    assert order == ["one", f"two {EPOCH}", "two-and-a-half", "three"]


def test_a_script_that_hangs_ends_at_its_time(tree: Path) -> None:
    with pytest.raises(CommandError) as caught:
        apply(tree, script("sleep 61.75 & echo waiting; sleep 61.75", "timeout = 1"))
    assert caught.value.tail == "waiting\nit had not ended after 1 s\n"
    assert "`timeout`" in caught.value.hint
    assert "while running script 1 (final) of tiny-1-x86_64-minimal" in caught.value.__notes__
    assert not running("61.75")


def test_a_daemon_that_a_script_leaves_does_not_hold_the_build(tree: Path) -> None:
    begun = time.monotonic()
    apply(tree, script("sleep 62.75 & (sleep 62.75 &) & echo started >/said"))
    assert time.monotonic() - begun < 60  # not for as long as they would sleep
    assert (tree / "said").read_text() == "started\n"
    assert not running("62.75")


@pytest.mark.parametrize(
    "attempt",
    [
        "mknod /tmp/disk b 8 0",
        "mount -t tmpfs none /tmp",
        ": >/proc/sys/kernel/core_pattern",
        ": >/proc/sysrq-trigger",
        "ls {host}",
        "cat /proc/{pid}/environ",
        "cat </dev/tcp/127.0.0.1/22",
    ],
)
def test_a_script_reaches_nothing_outside_the_tree(tree: Path, attempt: str) -> None:
    attempt = attempt.format(host=tree.parent, pid=os.getpid())
    with pytest.raises(CommandError):
        apply(tree, script(attempt))


def test_the_first_failing_command_fails_a_script(tree: Path) -> None:
    with pytest.raises(CommandError) as caught:
        apply(tree, script("echo before\ncat /nowhere\necho after >/after"))
    assert "before" in caught.value.tail
    assert "nowhere" in caught.value.tail
    assert not (tree / "after").exists()


def running(word: str) -> bool:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if word in (process / "cmdline").read_text():
                return True
        except (OSError, UnicodeDecodeError):
            continue
    return False
