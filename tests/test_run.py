import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes import fake_program
from vztmpl.errors import CommandError, during
from vztmpl.run import attached, confined, environment, launch, piped, run


def test_a_failed_program_is_reported_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = fake_program(monkeypatch, tmp_path, "debootstrap", "echo no such suite; exit 3")

    with pytest.raises(CommandError) as caught, during("bootstrapping debian-12"):
        run(["debootstrap", "--arch=amd64", "trixieee", "root fs\n"])

    assert program.calls == [["--arch=amd64", "trixieee", "root fs\n"]]
    assert caught.value.status == 3
    assert "no such suite" in caught.value.tail
    assert caught.value.__notes__ == ["while bootstrapping debian-12"]


def test_only_the_last_lines_of_a_long_story_are_kept() -> None:
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", "seq 1000; exit 1"])
    assert caught.value.tail.splitlines() == [str(number) for number in range(981, 1001)]


def test_a_status_that_is_expected_is_no_error() -> None:
    assert run(["sh", "-c", "echo fine; exit 3"], ok=(0, 3)) == "fine\n"


def test_a_missing_program_is_an_error_that_names_the_cure() -> None:
    with pytest.raises(CommandError, match="127") as caught:
        run(["no-such-program-here"])
    assert "doctor" in caught.value.hint


def test_lines_are_told_while_the_program_runs() -> None:
    told: list[tuple[str, float]] = []
    run(
        ["sh", "-c", "echo one; sleep 0.3; echo two"],
        on_line=lambda s: told.append((s, time.monotonic())),
    )
    assert [line for line, _ in told] == ["one", "two"]
    assert told[1][1] - told[0][1] > 0.2


def test_a_program_need_not_read_what_it_is_given() -> None:
    assert run(["true"], stdin="x" * 1_000_000) == ""
    with pytest.raises(CommandError, match="status 1"):
        run(["false"], stdin="x" * 1_000_000)


def test_a_program_does_not_run_on_when_we_are_stopped() -> None:
    began = time.monotonic()

    def stop(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", "echo begun; exec sleep 10"], on_line=stop)
    assert time.monotonic() - began < 5


def test_bytes_go_through_a_pipe() -> None:
    with piped(["printf", "a\\0b"]) as pipe:
        assert pipe.read() == b"a\0b"


def test_what_is_fed_arrives(tmp_path: Path) -> None:
    with piped(["tee", tmp_path / "out"], feed=True) as pipe:
        pipe.write(b"x" * 300_000)
    assert (tmp_path / "out").stat().st_size == 300_000


@pytest.mark.parametrize("program", ["true", "false"])
def test_a_program_that_stops_reading_has_failed(program: str) -> None:
    with pytest.raises(CommandError), piped([program], feed=True) as pipe:
        for _ in range(30):
            pipe.write(b"x" * 1_000_000)


def test_a_failure_in_the_block_ends_the_program() -> None:
    began = time.monotonic()
    with pytest.raises(ValueError, match="ours"), piped(["sleep", "10"], feed=True):
        raise ValueError("ours")
    assert time.monotonic() - began < 5


def test_the_environment_is_rebuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    got = environment({"MORE": "2"})
    assert got["LC_ALL"] == "C.UTF-8"
    assert got["http_proxy"] == "http://proxy.example:3128"
    assert got["MORE"] == "2"
    assert not {"LANG", "SECRET"} & set(got)
    assert run(["env"], env={"MORE": "2"}).splitlines() == [f"{k}={v}" for k, v in got.items()]


def test_an_attached_program_gives_its_status() -> None:
    assert attached(["sh", "-c", "exit 7"]) == 7


def test_a_program_that_reads_stdin_finds_it_at_its_end() -> None:
    assert run(["cat"]) == ""
    assert run(["cat"], stdin="given\n") == "given\n"
    with piped(["cat"]) as pipe:
        assert pipe.read() == b""


def test_a_launched_program_goes_on_and_what_it_says_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    began = time.monotonic()
    launch(["sh", "-c", "echo first; (sleep 0.4; cat; echo later) &"], output=log)
    assert time.monotonic() - began < 0.3
    until = began + 5
    while "later" not in log.read_text() and time.monotonic() < until:
        time.sleep(0.02)
    assert log.read_text() == "first\nlater\n"
    assert log.stat().st_mode & 0o077 == 0


def test_a_launched_program_does_not_read_what_is_typed(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from vztmpl.run import launch\n"
        f"launch(['cat'], output=Path('{tmp_path}/log'))"
    )
    subprocess.run([sys.executable, "-c", code], input=b"typed", check=True, timeout=10)
    assert (tmp_path / "log").read_bytes() == b""


def test_a_launch_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        launch(["sh", "-c", "echo no such VE >&2; exit 4"], output=tmp_path / "log")
    assert (caught.value.status, caught.value.tail) == (4, "no such VE\n")
    with pytest.raises(CommandError, match="127"):
        launch(["no-such-program-here"], output=tmp_path / "log")


def test_another_program_takes_our_place() -> None:
    code = "from vztmpl.run import replace; replace(['sh', '-c', 'echo $PPID; exit 9'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (9, "")
    assert done.stdout == f"{os.getpid()}\n"


@pytest.mark.root
def test_nothing_outlives_a_confined_program(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    run(confined(["sh", "-c", f"(sleep 0.5; touch {mark}) >/dev/null 2>&1 & echo started"]))
    time.sleep(0.8)
    assert not mark.exists()


@pytest.mark.root
def test_a_confined_program_dies_with_us(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    script = f"touch {mark}.up; sleep 0.6; touch {mark}"
    code = f"from vztmpl.run import confined, run; run(confined(['sh', '-c', '{script}']))"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        until = time.monotonic() + 5
        while not mark.with_suffix(".up").exists() and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    assert mark.with_suffix(".up").exists()
    time.sleep(0.9)
    assert not mark.exists()


@pytest.mark.root
def test_a_confined_program_sees_only_its_own_processes() -> None:
    seen = run(confined(["sh", "-c", "echo /proc/[0-9]*"])).split()
    assert len(seen) == 1
    assert f"/proc/{os.getpid()}" not in seen
