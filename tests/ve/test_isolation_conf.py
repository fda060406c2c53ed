"""CAPABILITY, FEATURES, DEVICES, DEVNODES and NETFILTER: from the conf to the runtime's spec."""

import os
from typing import Any

import pytest

from tests.ve.test_cgroup import ve
from vztmpl.ve import isolation
from vztmpl.ve.isolation import Device
from vztmpl.ve.spec import spec


def made(**conf: str) -> dict[str, Any]:
    config = ve()._replace(isolation=isolation.read(lambda name: conf.get(name, "")))
    return spec(config, "name", "/mnt", "vz/101", init=("/sbin/init",), devices={})


def test_all_spellings_of_openvz_are_read() -> None:
    conf = {
        "CAPABILITY": "CAP_SYS_TIME:on NET_ADMIN:off ",
        "FEATURES": "nfs:on,fuse:off",
        "DEVICES": "b:8:0:rw c:10:200:none",
        "DEVNODES": "sda1:rq net/tun:w",
        "NETFILTER": "stateless",
    }
    read = isolation.read(lambda name: conf[name])
    assert read.capabilities == {"sys_time": True, "net_admin": False}
    assert read.features == {"nfs": True, "fuse": False}
    assert read.devices == (Device("b:8:0", "rw"), Device("sda1", "r"), Device("net/tun", "w"))
    assert len(read.warnings()) == 1


def test_what_is_set_joins_what_was_set() -> None:
    assert isolation.capability("kill:off", "kill:on,mknod:off") == "kill:off,mknod:off"
    assert isolation.devnodes("sda:none,sdb:r", "sda:rw sdc:w") == "sdc:w sdb:r"
    assert isolation.devices("c:1:3:none", "c:1:3:rw") == ""


def test_a_ve_without_a_word_about_it_has_the_default_spec() -> None:
    plain = spec(ve(), "name", "/mnt", "vz/101", init=("/sbin/init",), devices={})
    assert made(NETFILTER="full") == plain
    assert "CAP_NET_ADMIN" in plain["process"]["capabilities"]["bounding"]
    assert "/proc/kcore" in plain["linux"]["maskedPaths"]
    refused = plain["linux"]["seccomp"]["syscalls"][0]["names"]
    assert {"keyctl", "bpf", "init_module"} <= set(refused)


def test_nesting_gives_keyrings_and_an_unmasked_proc_and_no_more() -> None:
    nested = made(FEATURES="nesting:on")["linux"]
    assert nested["maskedPaths"] == []
    refused = set(nested["seccomp"]["syscalls"][0]["names"])
    assert "keyctl" not in refused
    assert {"bpf", "init_module", "kexec_load", "open_by_handle_at"} <= refused


def test_without_netfilter_the_arguments_are_compared_as_the_kernel_reads_them() -> None:
    profile = made(NETFILTER="disabled")["linux"]["seccomp"]
    assert "architectures" not in profile
    socket = next(rule for rule in profile["syscalls"] if rule["names"] == ["socket"])
    assert [(one["index"], one["valueTwo"], one["value"]) for one in socket["args"]] == [
        (0, 16, 0xFFFFFFFF),
        (2, 12, 0xFFFFFFFF),
    ]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names the doors of x86_64")
def test_programs_of_32_bits_are_let_run() -> None:
    assert "SCMP_ARCH_X86" in made()["linux"]["seccomp"]["architectures"]
