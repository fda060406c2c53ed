"""Steps of a build, and the trees that they leave, kept so that no step is done twice.

The key of a step is a sha256 over all that can change its result: its own inputs and the key of
the step before. A kept tree is two files:

    KEY.tar       the tree
    KEY.sha256    of that file, written last

Reading checks it, so a damaged or half-written tree is never used; the step is done again. Plain
tars are twice as large as quickly compressed ones, and there again in half the time.

Files that a step made carry the time of day at first. They get the time of the newest file that
came out of a package, so that a kept tree is the same whenever it was made.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from time import time

from vztmpl.errors import CommandError, during
from vztmpl.files import locked, remove_tree, write_text
from vztmpl.progress import Progress
from vztmpl.template import archive

_ABANDONED_SECONDS = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: what it does to a tree, and all that can change what it does."""

    title: str
    inputs: object
    """As JSON can hold it."""
    work: Callable[[Path], None]
    """Says itself which phases it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trees:
    """The kept trees of this machine."""

    folder: Path
    locks: Path
    limit_bytes: int
    worth_seconds: float = 1.0
    """A step that is done sooner is not kept: to unpack its tree would take as long."""

    def has(self, key: str) -> bool:
        """Say whether there is a tree for a key; reading it may still find it damaged."""
        return self._notes(key).exists()

    def restore(self, key: str, tree: Path, progress: Progress) -> bool:
        """Unpack a kept tree into the empty folder ``tree``; False when it can't be used."""
        tar, notes = self._tar(key), self._notes(key)
        failed: CommandError | None = None
        try:
            progress.phase("restoring the tree of before", tar.stat().st_size)
            with ThreadPoolExecutor(1) as beside:
                digest = beside.submit(archive.sha256_of, tar)
                try:
                    archive.put_back(tar, tree, progress.advance)
                except CommandError as error:
                    failed = error
            whole = digest.result()[0] == notes.read_text().strip()
        except FileNotFoundError:
            whole = False
        if not whole:
            notes.unlink(missing_ok=True)
            return False
        if failed:  # not for the tree's sake: the disk is full, say
            raise failed
        os.utime(notes)
        return True

    def keep(self, key: str, snapshot: Path) -> None:
        """Keep a tree; where there is no room for it, the next build takes longer, no more."""
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = self.folder / f".{key}.{os.getpid()}"
            try:
                shutil.copyfile(snapshot, partial)
                partial.replace(self._tar(key))
            finally:
                partial.unlink(missing_ok=True)
            write_text(self._notes(key), archive.sha256_of(snapshot)[0])
            self._tidy()

    def making(self, key: str) -> AbstractContextManager[None]:
        """Lock the making of a tree; some keys share a lock, so wait for nothing with it held."""
        return locked(self.locks / f"step-{key[:2]}.lck", wait=True)

    def _tar(self, key: str) -> Path:
        return self.folder / f"{key}.tar"

    def _notes(self, key: str) -> Path:
        return self.folder / f"{key}.sha256"

    def _tidy(self) -> None:
        """Remove what killed builds left, and the trees used longest ago until the rest fits."""
        for left in self.folder.glob(".*"):
            if left.stat().st_mtime < time() - _ABANDONED_SECONDS:
                left.unlink(missing_ok=True)
        tars = list(self.folder.glob("*.tar"))
        total_bytes = sum(tar.stat().st_size for tar in tars)
        for tar in sorted(tars, key=self._last_use):
            if total_bytes <= self.limit_bytes:
                break
            total_bytes -= tar.stat().st_size
            self._notes(tar.stem).unlink(missing_ok=True)
            tar.unlink(missing_ok=True)

    def _last_use(self, tar: Path) -> float:
        notes = self._notes(tar.stem)
        return notes.stat().st_mtime if notes.exists() else 0.0


def keys(steps: Sequence[Step]) -> list[str]:
    """Return the key of each step; the last one stands for the finished tree."""
    chained: list[str] = []
    for step in steps:
        before = chained[-1] if chained else ""
        text = json.dumps([step.title, step.inputs, before], sort_keys=True)
        chained.append(hashlib.sha256(text.encode()).hexdigest())
    return chained


def carry_out(steps: Sequence[Step], tree: Path, trees: Trees | None, progress: Progress) -> None:
    """Bring ``tree`` to what it is after the last step, from the latest kept tree on."""
    _empty(tree)
    if trees is None:
        for step in steps:
            _carry_out(step, tree)
        return
    chained = keys(steps)
    done = _restore_latest(chained, tree, trees, progress)
    kept: list[Future[None]] = []
    with ThreadPoolExecutor(1) as keeper:  # beside the next step
        while done < len(steps):
            step, key = steps[done], chained[done]
            with ExitStack() as making:
                making.enter_context(trees.making(key))
                if trees.has(key):  # another build was quicker
                    done = _restore_latest(chained, tree, trees, progress)
                    continue
                seconds = _carry_out(step, tree)
                if seconds >= trees.worth_seconds:
                    tar = tree.with_name(f"{key}.tar")
                    with suppress(CommandError):  # no room for it
                        archive.snapshot(tree, tar)
                        kept.append(keeper.submit(_keep, trees, key, tar, making.pop_all()))
                done += 1
        for one in kept:
            one.result()


def _keep(trees: Trees, key: str, tar: Path, making: ExitStack) -> None:
    """Keep a tree, then let those go on who wait for it."""
    with making:
        trees.keep(key, tar)
        tar.unlink()


def _restore_latest(chained: Sequence[str], tree: Path, trees: Trees, progress: Progress) -> int:
    """Fill the tree from the latest step that is kept; return how many steps that saves."""
    for number, key in reversed([*enumerate(chained, start=1)]):
        if trees.has(key):
            _empty(tree)
            if trees.restore(key, tree, progress):
                return number
    _empty(tree)
    return 0


def _empty(tree: Path) -> None:
    if tree.exists():
        remove_tree(tree)
    tree.mkdir()


def _carry_out(step: Step, tree: Path) -> float:
    """Do a step; return how many seconds it took."""
    began = time()
    with during(step.title):
        step.work(tree)
    _settle(tree, int(began) * 10**9)
    return time() - began


def _settle(tree: Path, began_ns: int) -> None:
    """Give what was made since ``began_ns`` the time of the newest thing that was not."""
    times = [(path, path_ns) for path, path_ns in _times(str(tree))]
    newest_ns = max((path_ns for _, path_ns in times if path_ns < began_ns), default=0)
    for path, path_ns in times:
        if path_ns >= began_ns:
            os.utime(path, ns=(newest_ns, newest_ns), follow_symlinks=False)


def _times(folder: str) -> Iterator[tuple[str, int]]:
    """Yield everything in a tree with its modification time, in nanoseconds."""
    yield folder, os.lstat(folder).st_mtime_ns
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _times(entry.path)
            else:
                yield entry.path, entry.stat(follow_symlinks=False).st_mtime_ns
