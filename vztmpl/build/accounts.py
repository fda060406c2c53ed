"""The accounts, the locale and the time zone that a recipe sets, by the tree's own programs."""

from pathlib import Path

from vztmpl.build.chroot import put, run_inside
from vztmpl.build.parts import Parts, TreeFile, User
from vztmpl.errors import CommandError, VztmplError, during

_ADD_USER = """
name=$1 uid=$2 shell=$3 groups=$4
if command -v useradd >/dev/null; then
  useradd --create-home --shell "$shell" ${uid:+--uid "$uid"} ${groups:+--groups "$groups"} "$name"
else  # busybox
  adduser -D -s "$shell" ${uid:+-u "$uid"} "$name"
  for group in $(echo "$groups" | tr , ' '); do addgroup "$name" "$group"; done
fi
"""
_GENERATE_LOCALE = """
charmap=${1#*.}; charmap=${charmap%@*}
if command -v locale-gen >/dev/null; then
  echo "$1 $charmap" >>/etc/locale.gen
  locale-gen
fi
locale -a | tr '[:upper:]' '[:lower:]' | tr -d - | grep -qxF "$2"
"""
_BUILT_IN = ("C", "POSIX", "C.UTF-8")


def set_up(tree: Path, parts: Parts) -> None:
    """Make the users and set locale and time zone, as far as the recipe says something of them."""
    for user in parts.users:
        with during(f"making the user {user.name}"):
            _add(tree, user)
    if parts.locale:
        _set_locale(tree, parts.locale)
    if parts.timezone:
        _set_timezone(tree, parts.timezone)


def _add(tree: Path, user: User) -> None:
    uid = "" if user.uid is None else str(user.uid)
    words = [user.name, uid, user.shell, ",".join(user.groups)]
    run_inside(tree, ["sh", "-euc", _ADD_USER, "sh", *words])
    if user.sudo:
        rule = f"{user.name} ALL=(ALL:ALL) NOPASSWD: ALL\n"
        put(tree, TreeFile(path=f"/etc/sudoers.d/{user.name}", content=rule, mode=0o440))


def _set_locale(tree: Path, locale: str) -> None:
    if locale not in _BUILT_IN:
        try:
            run_inside(
                tree,
                ["sh", "-euc", _GENERATE_LOCALE, "sh", locale, locale.lower().replace("-", "")],
            )
        except CommandError as error:
            error.hint = "install what has it: `locales`, or `glibc-langpack-…`, `glibc-locale`"
            error.add_note(f"while setting the locale {locale}")
            raise
    for path in ("/etc/locale.conf", "/etc/default/locale"):
        put(tree, TreeFile(path=path, content=f"LANG={locale}\n", mode=0o644))


def _set_timezone(tree: Path, timezone: str) -> None:
    script = 'test -f "$1" && ln -sf "$1" /etc/localtime && echo "$2" >/etc/timezone'
    zone = f"/usr/share/zoneinfo/{timezone}"
    try:
        run_inside(tree, ["sh", "-c", script, "sh", zone, timezone])
    except CommandError as error:
        raise VztmplError(
            f"the tree knows no time zone {timezone}",
            hint="names are like Europe/Berlin; the package tzdata has them",
        ) from error
