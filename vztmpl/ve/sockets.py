"""Bounds of sockets: two small BPF programs on the VE's cgroup2 group count them.

The kernel runs one program when a socket of IPv4 or IPv6 is made and one when it is released. The
first counts the socket, marks it (so that the release of a socket made before, or by accept(2), is
not counted) and refuses it over the limit. Both live and die with the group. A map has four
entries: what is counted of TCP, of all else, and the limit of each.

Sources: Documentation/bpf of the kernel: prog_cgroup_sock, map_sk_storage, btf, and
standardization/instruction-set for the opcodes.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from vztmpl import kernel
from vztmpl.ve import beancounters
from vztmpl.ve.units import Pair

NAMES = ("numtcpsock", "numothersock")
"""In the order of the map's entries; the limits follow them."""

_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _PROG_LOAD, _PROG_ATTACH = 0, 1, 2, 5, 8
_MAP_BY_ID, _OBJECT_INFO, _BTF_LOAD = 14, 15, 18
_ARRAY, _SK_STORAGE, _CGROUP_SOCK = 2, 24, 9
_ON_CREATE, _ON_RELEASE = 2, 34
_ALLOW_MULTI, _NO_PREALLOC = 2, 1
_MAP_FD = 1  # source of a 64-bit load: the constant is a map's descriptor
_HELD, _PEAK, _FAILED = 0, 8, 16  # within an entry; a limit stands in the first place
_ENTRY = "<QQQ"
_PROTOCOL = 12  # struct bpf_sock
_TCP = 6


class Count(NamedTuple):
    """What the programs counted."""

    held: int
    maxheld: int
    failcnt: int


def are_bounded(given: Mapping[str, Pair]) -> bool:
    """Say whether there is a limit of sockets."""
    return any(name in given for name in NAMES)


def bound(group: Path, note: Path, given: Mapping[str, Pair]) -> None:
    """Put limits in force for a cgroup2 group; ``note`` is the file that names the map.

    Raises OSError where the kernel has no BPF for cgroups.
    """
    if note.exists():
        with _noted_map(note) as counts:
            _set_limits(counts, given)
        return
    counts = kernel.bpf(_MAP_CREATE, "<IIIII", _ARRAY, 4, struct.calcsize(_ENTRY), 4, 0)
    try:
        _set_limits(counts, given)
        _attach(group, counts)
        note.write_text(f"{_map_id(counts)}\n")
    finally:
        os.close(counts)


def count(note: Path, name: str) -> Count | None:
    """Return what is counted of ``numtcpsock`` or ``numothersock``; None when nothing counts."""
    entry = bytearray(struct.calcsize(_ENTRY))
    try:
        with _noted_map(note) as counts:
            kernel.bpf(_MAP_LOOKUP, "<I4xQQ", counts, _key(NAMES.index(name)), entry)
    except FileNotFoundError:  # no note, or the VE and its map have just gone
        return None
    return Count(*struct.unpack(_ENTRY, entry))


def on_create(counts: int, marks: int) -> bytes:
    """Return the program that counts a new socket, or refuses it."""
    code = _Assembler()
    _find_entry(code, counts)
    code.add(0x07, 8, imm=len(NAMES))  # where the limit is
    code.add(0x63, 10, 8, off=-8)
    code.map_lookup(counts, key=-8)
    code.jump(0x15, 0, 0, "allow")
    code.add(0x79, 9, 0)  # r9 = limit
    code.add(0xB7, 1, imm=1)
    code.add(0xDB, 7, 1, off=_HELD, imm=1)  # r1 = held before, held += 1
    code.jump(0xAD, 1, 9, "within", register=True)
    code.add(0xB7, 1, imm=-1)
    code.add(0xDB, 7, 1, off=_HELD)
    code.add(0xB7, 1, imm=1)
    code.add(0xDB, 7, 1, off=_FAILED)
    code.add(0xB7, 0)
    code.add(0x95)
    code.label("within")
    code.add(0x07, 1, imm=1)
    code.add(0x79, 2, 7, off=_PEAK)
    code.jump(0xBD, 1, 2, "mark", register=True)
    code.add(0x7B, 7, 1, off=_PEAK)
    code.label("mark")
    code.storage_get(marks, flags=1)
    code.label("allow")
    code.allow()
    return code.assembled()


def on_release(counts: int, marks: int) -> bytes:
    """Return the program that gives a marked socket back."""
    code = _Assembler()
    _find_entry(code, counts)
    code.storage_get(marks, flags=0)
    code.jump(0x15, 0, 0, "allow")
    code.add(0xB7, 1, imm=-1)
    code.add(0xDB, 7, 1, off=_HELD)
    code.label("allow")
    code.allow()
    return code.assembled()


class _Assembler:
    """Instructions of BPF, with labels for jumps ahead."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, int, int | str, int]] = []
        self._labels: dict[str, int] = {}

    def add(self, opcode: int, to: int = 0, source: int = 0, *, off: int = 0, imm: int = 0) -> None:
        self._lines.append((opcode, to, source, off, imm))

    def jump(
        self, opcode: int, left: int, right: int, label: str, *, register: bool = False
    ) -> None:
        source, number = (right, 0) if register else (0, right)
        self._lines.append((opcode, left, source, label, number))

    def label(self, name: str) -> None:
        self._labels[name] = len(self._lines)

    def map_lookup(self, descriptor: int, *, key: int) -> None:
        """R0 = address of the entry whose key stands on the stack, or 0."""
        self._load_map(descriptor)
        self.add(0xBF, 2, 10)
        self.add(0x07, 2, imm=key)
        self.add(0x85, imm=1)

    def storage_get(self, descriptor: int, *, flags: int) -> None:
        """R0 = address of the mark of the socket in r6, or 0; flags 1 makes one."""
        self._load_map(descriptor)
        self.add(0xBF, 2, 6)
        self.add(0xB7, 3)
        self.add(0xB7, 4, imm=flags)
        self.add(0x85, imm=107)

    def allow(self) -> None:
        self.add(0xB7, 0, imm=1)
        self.add(0x95)

    def assembled(self) -> bytes:
        code = b""
        for place, (opcode, to, source, off, imm) in enumerate(self._lines):
            offset = self._labels[off] - place - 1 if isinstance(off, str) else off
            code += struct.pack("<BBhi", opcode, to | source << 4, offset, imm)
        return code

    def _load_map(self, descriptor: int) -> None:
        self.add(0x18, 1, _MAP_FD, imm=descriptor)
        self.add(0)


def _find_entry(code: _Assembler, counts: int) -> None:
    """r6 = the socket, r7 = its entry, r8 = the entry's key; without an entry it is allowed."""
    code.add(0xBF, 6, 1)
    code.add(0xB7, 8, imm=1)
    code.add(0x61, 2, 6, off=_PROTOCOL)
    code.jump(0x55, 2, _TCP, "key")
    code.add(0xB7, 8)
    code.label("key")
    code.add(0x63, 10, 8, off=-4)
    code.map_lookup(counts, key=-4)
    code.jump(0x15, 0, 0, "allow")
    code.add(0xBF, 7, 0)


def _attach(group: Path, counts: int) -> None:
    marks = _marks()
    folder = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for kind, program in ((_ON_CREATE, on_create), (_ON_RELEASE, on_release)):
            descriptor = _load(program(counts, marks), kind)
            try:
                kernel.bpf(_PROG_ATTACH, "<IIII", folder, descriptor, kind, _ALLOW_MULTI)
            finally:
                os.close(descriptor)
    finally:
        os.close(folder)
        os.close(marks)


def _load(code: bytes, kind: int) -> int:
    layout = "<IIQQ44xI"  # between: no log, no flags, no name, no interface
    return kernel.bpf(_PROG_LOAD, layout, _CGROUP_SOCK, len(code) // 8, code, b"GPL\0", kind)


def _marks() -> int:
    """Make the map of marks: storage of a socket's own, whose type has to be described in BTF."""
    names = b"\0u32\0"
    types = struct.pack("<IIII", 1, 1 << 24, 4, 32)  # one: the integer u32
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    text = header + types + names
    described = kernel.bpf(_BTF_LOAD, "<QQI", text, 0, len(text))
    try:
        layout = "<IIIII8x16xIIII"
        fields = (_SK_STORAGE, 4, 4, 0, _NO_PREALLOC, 0, described, 1, 1)
        return kernel.bpf(_MAP_CREATE, layout, *fields)
    finally:
        os.close(described)


def _set_limits(counts: int, given: Mapping[str, Pair]) -> None:
    for index, name in enumerate(NAMES):
        entry = struct.pack(_ENTRY, beancounters.limit(given, name), 0, 0)
        kernel.bpf(_MAP_UPDATE, "<I4xQQQ", counts, _key(index + len(NAMES)), entry, 0)


def _map_id(descriptor: int) -> int:
    info = bytearray(8)  # struct bpf_map_info begins with type and id
    kernel.bpf(_OBJECT_INFO, "<IIQ", descriptor, len(info), info)
    return int(struct.unpack("<II", info)[1])


@contextmanager
def _noted_map(note: Path) -> Iterator[int]:
    descriptor = kernel.bpf(_MAP_BY_ID, "<III", int(note.read_text()), 0, 0)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _key(index: int) -> bytes:
    return struct.pack("<I", index)
