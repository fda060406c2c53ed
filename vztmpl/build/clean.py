"""What must not be in a template: leaks of the build host, secrets that VEs would share, caches.

The list follows systemd's BUILDING_IMAGES.md, virt-sysprep's operations, lxc-ci and debuerreotype.
It runs inside the tree, so a link in the tree can't make it touch the host.
"""

from pathlib import Path

from vztmpl.build.chroot import run_inside

REMOVED = {
    "the build host's name and resolver": "/etc/hostname /etc/resolv.conf /etc/machine-info",
    "identities that every VE must make for itself": (
        "/var/lib/dbus/machine-id /etc/ssh/ssh_host_*_key* /var/lib/systemd/random-seed"
        " /var/lib/systemd/credential.secret"
        " /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem"
    ),
    "options that only the build's apt and dpkg needed": (
        "/etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap"
        " /etc/apt/apt.conf.d/01autoremove-kernels /usr/sbin/policy-rc.d"
    ),
    "downloads and indexes, old the day after": (
        "/var/lib/apt/lists/*_* /var/lib/apt/lists/auxfiles /var/cache/apt/archives/*.deb"
        " /var/cache/apt/*.bin /var/cache/ldconfig/aux-cache /var/cache/man/index.db"
    ),
    "backups and locks that package tools leave": (
        "/etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-"
        " /etc/.pwd.lock /var/cache/debconf/*-old /var/lib/dpkg/*-old /var/lib/dpkg/lock*"
        " /var/lib/dpkg/triggers/Lock /var/cache/apt/archives/lock /var/lib/apt/lists/lock"
    ),
    "logs and temporary files of the build": (
        "/var/log/*.log /var/log/apt/* /var/log/journal/* /var/log/lastlog /var/log/faillog"
        " /var/log/wtmp /var/log/btmp /tmp/* /tmp/.[!.]* /var/tmp/* /var/tmp/.[!.]* /run/*"
        " /root/.bash_history /root/.cache /root/.gnupg /root/.wget-hsts"
    ),
}
_THEN = """
: > /etc/machine-id
printf '127.0.0.1\\tlocalhost\\n::1\\t\\tlocalhost ip6-localhost ip6-loopback\\n' > /etc/hosts
printf '# no file systems to mount in a VE\\n' > /etc/fstab
day=$(($SOURCE_DATE_EPOCH / 86400))
if [ -f /etc/shadow ]; then
  sed -i "s/^\\([^:]*:[^:]*\\):[0-9]*:/\\1:$day:/" /etc/shadow
fi
"""


def clean(tree: Path, epoch: int) -> None:
    """Remove what must not be packed, and empty what must be there but say nothing."""
    removals = "".join(f"rm -rf -- {patterns}\n" for patterns in REMOVED.values())
    script = f"set -eu\nSOURCE_DATE_EPOCH={epoch}\n{removals}{_THEN}"
    run_inside(tree, ["/bin/sh"], stdin=script)
