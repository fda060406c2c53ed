"""What distributions themselves ship with special rights, and which modes some paths must have."""

from dataclasses import dataclass

from vztmpl.build.rules import matcher, paths

SET_ID = matcher(
    paths("""
        /usr/*bin/su /usr/*bin/sudo /usr/*bin/sudoedit /usr/*bin/doas /usr/*bin/mount
        /usr/*bin/umount /usr/*bin/mount.nfs /usr/*bin/mount.cifs /usr/*bin/fusermount
        /usr/*bin/fusermount3 /usr/*bin/ntfs-3g /usr/*bin/passwd /usr/*bin/gpasswd /usr/*bin/chage
        /usr/*bin/chfn /usr/*bin/chsh /usr/*bin/expiry /usr/*bin/newgrp /usr/*bin/sg
        /usr/*bin/newuidmap /usr/*bin/newgidmap /usr/*bin/unix_chkpwd /usr/*bin/unix2_chkpwd
        /usr/*bin/pam_timestamp_check /usr/*bin/pam_extrausers_chkpwd /usr/*bin/userhelper
        /usr/*bin/usernetctl /usr/*bin/ping /usr/*bin/ping6 /usr/*bin/traceroute6.iputils
        /usr/*bin/mtr-packet /usr/*bin/arping /usr/*bin/crontab /usr/*bin/at /usr/*bin/wall
        /usr/*bin/write /usr/*bin/write.ul /usr/*bin/bsd-write /usr/*bin/ssh-agent
        /usr/*bin/ssh-keysign /usr/*bin/pkexec /usr/*bin/locate /usr/*bin/mlocate
        /usr/*bin/plocate /usr/*bin/dotlockfile /usr/*bin/mail-lock /usr/*bin/mail-unlock
        /usr/*bin/mail-touchlock /usr/*bin/ksu /usr/*bin/grub2-set-bootflag /usr/*bin/bbsuid
        /usr/*bin/screen /usr/*bin/postdrop /usr/*bin/postqueue /usr/*bin/postlog
        /usr/*bin/sendmail.postfix /usr/*bin/exim4 /usr/*bin/rcp /usr/*bin/rlogin /usr/*bin/rsh
        /usr/*bin/netreport /usr/*bin/lockdev /usr/*bin/staprun /usr/*bin/xtables-nft-multi
        /usr/*bin/groupmems /usr/*bin/procmail /usr/*bin/lockfile /usr/*bin/unix_update
        /usr/lib/openssh/ssh-keysign /usr/lib/ssh/ssh-keysign /usr/libexec/ssh-keysign
        /usr/libexec/openssh/ssh-keysign /usr/libexec/ssh/ssh-keysign
        /usr/lib/dbus-1.0/dbus-daemon-launch-helper /usr/lib*/dbus-1/dbus-daemon-launch-helper
        /usr/libexec/dbus-1/dbus-daemon-launch-helper /usr/lib/dbus-daemon-launch-helper
        /usr/lib/polkit-1/polkit-agent-helper-1 /usr/libexec/polkit-1/polkit-agent-helper-1
        /usr/libexec/polkit-agent-helper-1 /usr/lib/policykit-1/polkit-agent-helper-1
        /usr/lib/snapd/snap-confine /usr/lib/utempter/utempter /usr/libexec/utempter/utempter
        /usr/lib/*/utempter/utempter /usr/libexec/openssh/ssh-keycat
        /usr/libexec/sssd/* /usr/lib/eject/dmcrypt-get-device /usr/libexec/cockpit-session
        /usr/lib/polkit-1/pkla-check-authorization /usr/bin/bsd-mailx
    """)
)
"""Programs that run as their owner or group, by the path that they have once /usr is merged."""

CAPABLE = matcher(
    paths("""
        /usr/*bin/ping /usr/*bin/ping6 /usr/*bin/arping /usr/*bin/clockdiff /usr/*bin/mtr-packet
        /usr/*bin/tracepath /usr/*bin/traceroute6.iputils /usr/*bin/newuidmap
        /usr/*bin/newgidmap /usr/*bin/rsh /usr/*bin/rcp /usr/*bin/rlogin /usr/*bin/dumpcap
        /usr/*bin/suexec /usr/*bin/systemd-detect-virt /usr/lib/snapd/snap-confine
        /usr/lib*/gstreamer*/gst-ptp-helper /usr/lib/*/gstreamer*/gst-ptp-helper
        /usr/libexec/gstreamer*/gst-ptp-helper /usr/libexec/sssd/*
    """)
)
"""Programs that get capabilities from their file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """What the mode of a path must and must not hold; its owner is root."""

    must: int = 0
    must_not: int = 0

    def allows(self, mode: int, uid: int) -> bool:
        """Say whether a path may have this mode and owner."""
        return uid == 0 and mode & self.must == self.must and not mode & self.must_not

    def __str__(self) -> str:
        return f"root's, with {self.must:04o} and without {self.must_not:04o}"


_OWN = Mode(must=0o555, must_not=0o022)
_READABLE = Mode(must=0o444, must_not=0o133)
_SECRET = Mode(must_not=0o137)
MODES = {
    "": _OWN,
    "etc": _OWN,
    "usr": _OWN,
    "usr/bin": _OWN,
    "usr/sbin": _OWN,
    "usr/lib": _OWN,
    "var": _OWN,
    "home": _OWN,
    "root": Mode(must=0o500, must_not=0o027),
    "tmp": Mode(must=0o1777),
    "var/tmp": Mode(must=0o1777),
    "etc/passwd": _READABLE,
    "etc/group": _READABLE,
    "etc/shadow": _SECRET,
    "etc/gshadow": _SECRET,
    "etc/sudoers": _SECRET,
    "etc/ssl/private": Mode(must_not=0o027),
}
