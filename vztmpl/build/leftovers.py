"""What a build leaves in a tree and no template may hold, for every family of distributions.

``clean`` removes all of it, ``lint`` looks for it in finished templates. The list follows systemd's
BUILDING_IMAGES.md, virt-sysprep's operations, lxc-ci, debuerreotype, live-build, mkosi and archiso.
"""

from vztmpl.build.rules import Rule, Severity, paths

_CLEANED = "build the template again: a build removes it"

LEFTOVERS = (
    Rule(
        name="build-host",
        severity=Severity.ERROR,
        reason="every VE would carry the name, resolver or clock of the machine that built it",
        cure=_CLEANED,
        empty_is_fine=True,
        paths=paths("/etc/hostname /etc/machine-info /etc/resolv.conf /etc/adjtime /etc/mtab"),
    ),
    Rule(
        name="machine-id",
        severity=Severity.ERROR,
        reason="every VE would be the same machine for DHCP, the journal and D-Bus",
        cure="leave /etc/machine-id empty and no copies of it; the first boot writes one",
        empty_is_fine=True,
        paths=paths("""
            /etc/machine-id /var/lib/dbus/machine-id /var/log/journal/*
            /etc/udev/rules.d/*persistent-net* /etc/iscsi/initiatorname.iscsi /etc/nvme/hostid
            /etc/nvme/hostnqn /var/lib/zypp/AnonymousUniqueId /var/lib/NetworkManager/secret_key
        """),
    ),
    Rule(
        name="shared-secret",
        severity=Severity.ERROR,
        reason="all VEs would share this secret, and everybody who has the template knows it",
        cure=_CLEANED + "; a unit may make a new one at first boot",
        empty_is_fine=True,
        paths=paths("""
            /etc/ssh/ssh_host_*_key /etc/ssh/ssh_host_*_key.pub
            /etc/ssl/private/ssl-cert-snakeoil.key /etc/ssl/certs/ssl-cert-snakeoil.pem
            /etc/pki/tls/private/localhost.key /etc/pki/tls/certs/localhost.crt
            /etc/pacman.d/gnupg/private-keys-v1.d/* /etc/pacman.d/gnupg/openpgp-revocs.d/*
            /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
            /var/lib/urandom/random-seed /var/lib/misc/random-seed /var/lib/random-seed
            /var/lib/seedrng/seed.* /var/lib/ntp/ntp_drift_secret
            /root/.gnupg
        """),
    ),
    Rule(
        name="build-options",
        severity=Severity.ERROR,
        reason="made for the build's package manager, it would change what packages do in a VE",
        cure=_CLEANED,
        paths=paths("""
            /etc/apt/apt.conf.d/99mmdebstrap /etc/dpkg/dpkg.cfg.d/99mmdebstrap
            /etc/apt/apt.conf.d/01autoremove-kernels /usr/sbin/policy-rc.d
            /usr/sbin/start-stop-daemon.REAL /sbin/start-stop-daemon.REAL /sbin/initctl.REAL
            /fastboot
        """),
    ),
    Rule(
        name="cloud",
        severity=Severity.ERROR,
        reason="cloud-init would take every VE for a machine that it has set up already",
        cure=_CLEANED,
        paths=paths("""
            /var/lib/cloud/instance /var/lib/cloud/instances /var/lib/cloud/data
            /var/lib/cloud/sem /var/lib/cloud/seed /etc/netplan/50-cloud-init.yaml
            /etc/network/interfaces.d/50-cloud-init /etc/cloud/cloud.cfg.d/90-installer-network.cfg
            /etc/cloud/cloud.cfg.d/99-installer.cfg
        """),
    ),
    Rule(
        name="lease",
        severity=Severity.WARNING,
        reason="addresses and times of the build's network mean nothing to a VE",
        cure=_CLEANED,
        paths=paths("""
            /var/lib/dhcp/*.leases /var/lib/dhclient/*.leases /var/lib/dhcpcd/*.lease
            /var/lib/NetworkManager/*.lease /var/lib/NetworkManager/timestamps
            /var/lib/NetworkManager/seen-bssids /var/lib/systemd/network/*
            /var/lib/systemd/timesync/clock /var/lib/systemd/timers/*
        """),
    ),
    Rule(
        name="lock",
        severity=Severity.WARNING,
        reason="a package manager or an editor of accounts may think that it runs already",
        cure=_CLEANED,
        paths=paths("""
            /etc/.pwd.lock /var/lib/dpkg/lock /var/lib/dpkg/lock-frontend
            /var/lib/dpkg/triggers/Lock /var/cache/apt/archives/lock /var/lib/apt/lists/lock
            /var/lib/apt/daily_lock /var/cache/debconf/*.lock
            /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock /var/lib/rpm/__db.*
            /usr/lib/sysimage/rpm/__db.* /var/lib/pacman/db.lck /lib/apk/db/lock
            /usr/lib/apk/db/lock
        """),
    ),
    Rule(
        name="backup",
        severity=Severity.WARNING,
        reason="copies that tools leave of accounts and settings, some with old passwords",
        cure=_CLEANED,
        paths=paths("""
            /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
            /etc/passwd.* /etc/shadow.* /etc/*.dpkg-* /etc/*/*.dpkg-* /etc/*.rpmnew
            /etc/*/*.rpmnew /etc/*.rpmsave /etc/*/*.rpmsave /etc/*.pacnew /etc/*/*.pacnew
            /etc/*.pacsave /etc/*/*.pacsave /etc/*.apk-new /etc/*/*.apk-new
            /var/cache/debconf/*-old /var/lib/dpkg/*-old /etc/pacman.d/gnupg/*~
        """),
    ),
    Rule(
        name="cache",
        severity=Severity.WARNING,
        reason="downloads and indexes are old the day after and cost room in every copy",
        cure=_CLEANED,
        paths=paths("""
            /var/lib/apt/lists/*_* /var/lib/apt/lists/auxfiles /var/lib/apt/lists/partial/*
            /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/* /var/cache/apt/*.bin
            /var/cache/dnf/* /var/cache/libdnf5/* /var/cache/yum/* /var/lib/dnf/history*
            /var/cache/zypp/* /var/cache/PackageKit/* /var/cache/pacman/pkg/*
            /var/lib/pacman/sync/* /etc/pacman.d/gnupg/S.* /var/cache/apk/* /etc/apk/cache/*
            /var/cache/ldconfig/aux-cache /var/cache/man/index.db /var/cache/man/*/index.db
            /var/cache/fontconfig/* /root/.cache
        """),
    ),
    Rule(
        name="log",
        severity=Severity.WARNING,
        reason="logs of the build tell of its machine and mislead whoever reads them in a VE",
        cure=_CLEANED,
        empty_is_fine=True,
        paths=paths("/var/log/**"),
    ),
    Rule(
        name="temporary",
        severity=Severity.WARNING,
        reason="temporary files of the build are of no use to a VE",
        cure=_CLEANED,
        paths=paths("/tmp/* /var/tmp/* /run/* /var/spool/mail/* /var/mail/* /var/crash/*"),  # noqa: S108
    ),
    Rule(
        name="history",
        severity=Severity.WARNING,
        reason="it shows what somebody typed or read while the template was made",
        cure=_CLEANED,
        paths=paths("""
            /root/.bash_history /root/.ash_history /root/.zsh_history /root/.sh_history
            /root/.python_history /root/.viminfo /root/.lesshst /root/.wget-hsts /root/.nano_history
            /root/.ssh/known_hosts
        """),
    ),
)
