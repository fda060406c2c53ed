"""The rules of a good template, as data; ``lint_members`` and ``lint_tree`` check them."""

from vztmpl.build.leftovers import LEFTOVERS
from vztmpl.build.rules import Rule, Severity, paths

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING
_ACCOUNTS = "remove it in a final script; who makes a VE sets its passwords and keys"

_CHECKED = (
    Rule(
        name="unsafe-name",
        severity=_ERROR,
        reason="a name that is absolute, climbs out with .. or comes twice tricks who unpacks it",
        cure="pack the tree with `vztmpl build`, which can't make such names",
    ),
    Rule(
        name="unsafe-link",
        severity=_ERROR,
        reason="a hard link to what the archive does not hold would be one to a file outside",
        cure="pack the tree with `vztmpl build`, which can't make such links",
    ),
    Rule(
        name="climbing-link",
        severity=_WARNING,
        reason="a link that climbs above the root means a file outside when it is read from there",
        cure="make the link end inside the tree",
    ),
    Rule(
        name="build-path",
        severity=_ERROR,
        reason="an absolute link into a folder that no system has was made for the build machine",
        cure="make the link relative, or end where it will be in a VE",
    ),
    Rule(
        name="device",
        severity=_ERROR,
        reason="a device node opens hardware of the node in engines without a user namespace",
        cure="remove it: every engine fills /dev itself",
    ),
    Rule(
        name="runtime-files",
        severity=_WARNING,
        reason="what is below /dev, /proc, /sys and /run is hidden by what an engine mounts there",
        cure="leave these folders empty",
        paths=paths("/dev/* /proc/* /sys/*"),
    ),
    Rule(
        name="world-writable",
        severity=_ERROR,
        reason="every user of a VE can change it, and so what others run or read",
        cure="chmod o-w, or give a folder the sticky bit (chmod 1777)",
    ),
    Rule(
        name="set-id",
        severity=_ERROR,
        reason="a program that runs as its owner or group, and is none that distributions ship so",
        cure="chmod u-s,g-s, or waive it for this path when the package needs it",
    ),
    Rule(
        name="capability",
        severity=_ERROR,
        reason="a program that gets capabilities from its file, and is none that is known to",
        cure="setcap -r, or waive it for this path when the package needs it",
    ),
    Rule(
        name="owner",
        severity=_ERROR,
        reason="ids above 65535 do not fit into the range of ids that a VE has",
        cure="chown it to a user of the tree's own",
    ),
    Rule(
        name="mode",
        severity=_ERROR,
        reason="the modes of these few paths are what the rest of a system's safety stands on",
        cure="give it the owner and mode that the finding names",
    ),
    Rule(
        name="newer",
        severity=_WARNING,
        reason="a time after SOURCE_DATE_EPOCH makes two builds of the same inputs differ",
        cure="pack the tree with `vztmpl build`, which clamps times",
    ),
    Rule(
        name="no-init",
        severity=_ERROR,
        reason="nothing can boot: /sbin/init is missing or leads nowhere",
        cure="install the distribution's init, as systemd-sysv, sysvinit-core or openrc",
    ),
    Rule(
        name="os-release",
        severity=_ERROR,
        reason="engines choose how to set a container up by ID and VERSION_ID of /etc/os-release",
        cure="install the package that brings it, as base-files or filesystem",
    ),
    Rule(
        name="other-release",
        severity=_WARNING,
        reason="a file of the tree says that it is another release than the template's name says",
        cure="look at the recipe's [releases]",
    ),
    Rule(
        name="hosts",
        severity=_WARNING,
        reason="/etc/hosts names no localhost, or a machine of the build's network",
        cure="leave it to the build, which writes localhost only",
    ),
    Rule(
        name="fstab",
        severity=_ERROR,
        reason="a VE has no block devices; its boot waits for them or fails",
        cure="leave /etc/fstab empty",
    ),
    Rule(
        name="dangling-unit",
        severity=_ERROR,
        reason="systemd is told to start a unit that is not there",
        cure="disable it before its package goes, or remove the link",
    ),
    Rule(
        name="empty-password",
        severity=_ERROR,
        reason="anybody can log in without a password",
        cure="lock it: `passwd --lock USER`; " + _ACCOUNTS,
    ),
    Rule(
        name="known-password",
        severity=_ERROR,
        reason="all VEs have one password, and whoever has the template can guess it at leisure",
        cure="lock it: `usermod --password '!' USER`; " + _ACCOUNTS,
    ),
    Rule(
        name="second-root",
        severity=_ERROR,
        reason="a user besides root has id 0",
        cure="give the user an id of its own",
    ),
    Rule(
        name="authorized-keys",
        severity=_ERROR,
        reason="whoever holds the other half of that key gets into every VE",
        cure=_ACCOUNTS,
        empty_is_fine=True,
        paths=paths("""
            /root/.ssh/authorized_keys* /home/*/.ssh/authorized_keys* /etc/ssh/authorized_keys/*
            /var/lib/*/.ssh/authorized_keys*
        """),
    ),
    Rule(
        name="private-key",
        severity=_ERROR,
        reason="a private key in a template is known to everybody who has it",
        cure="remove it, and make a new one where it was used for anything",
    ),
    Rule(
        name="sshd-open",
        severity=_ERROR,
        reason="sshd lets root in by password, or anybody without one",
        cure="leave PermitRootLogin at prohibit-password and PermitEmptyPasswords at no",
    ),
    Rule(
        name="credentials",
        severity=_ERROR,
        reason="a user name and password for a package archive can be read by all",
        cure="give them to the build by the host's apt, not by files of the tree",
    ),
    Rule(
        name="build-archive",
        severity=_WARNING,
        reason="packages would come from where only the build machine gets at: its disk or proxy",
        cure="write the public archive into the tree's sources in a final script",
    ),
    Rule(
        name="half-installed",
        severity=_ERROR,
        reason="a package is not fully installed, so the next `apt-get install` fails or surprises",
        cure="look for the error in the build's output; `dpkg --audit` in the tree explains",
    ),
    Rule(
        name="kernel",
        severity=_WARNING,
        reason="a VE runs the node's kernel; its own is 100 MB and more for nothing",
        cure="leave kernels, firmware and boot loaders out of the packages",
        paths=paths("/boot/vmlinu* /boot/initr* /boot/grub /lib/firmware /usr/lib/firmware/*"),
    ),
    Rule(
        name="emulator",
        severity=_WARNING,
        reason="the build's emulator for another architecture was forgotten in the tree",
        cure="remove it in a final script: the node brings its own",
        paths=paths("/usr/bin/qemu-*-static"),
    ),
)  # fmt: skip
RULES: dict[str, Rule] = {rule.name: rule for rule in (*LEFTOVERS, *_CHECKED)}
