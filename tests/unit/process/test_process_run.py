"""Starting, bounding and ending processes."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import children, process
from lab.children import wait_orphan
from lab.process import Collector, Identity, end_all, end_group, run, small_environment, spawn

SHELL = "/bin/sh"
root = pytest.mark.skipif(os.geteuid() != 0, reason="taking another identity needs root")


@pytest.fixture(autouse=True, params=["popen", "posix_spawn"])
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is run for both ways to start a process."""
    if request.param == "posix_spawn":
        children.keep_descriptors()
    monkeypatch.setitem(MORE, "quick", request.param == "posix_spawn")


MORE: dict[str, object] = {}


def shell(script: str, deadline: float = 20, **more: object) -> process.Completed:
    return run([SHELL, "-c", script], deadline=deadline, **MORE, **more)  # type: ignore[arg-type]  # run's own keywords


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def gone(pid: int, within: float = 5) -> bool:
    until = time.monotonic() + within
    while alive(pid) and time.monotonic() < until:
        time.sleep(0.01)
    return not alive(pid)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before
    assert not process._running  # noqa: SLF001  # the registry of this module


def test_output_exit_code_and_time_come_back() -> None:
    done = shell("printf out; printf err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode, done.timed_out, done.truncated) == (
        b"out",
        b"err",
        3,
        False,
        False,
    )
    assert not done.ok
    assert done.argv == (SHELL, "-c", "printf out; printf err >&2; exit 3")
    assert 0 < done.seconds < 20
    assert shell("exit 0").ok


def test_a_death_by_signal_is_told_as_subprocess_does() -> None:
    assert shell("kill -KILL $$").returncode == -signal.SIGKILL


def test_bytes_are_not_decoded() -> None:
    done = run([sys.executable, "-c", "import os; os.write(1, bytes(range(256)))"], deadline=20)
    assert done.stdout == bytes(range(256))


def test_no_shell_reads_an_argv(tmp_path: Path) -> None:
    done = run(["/bin/echo", f"$(touch {tmp_path}/made) ; `id`", "*"], deadline=20)
    assert done.stdout == f"$(touch {tmp_path}/made) ; `id` *\n".encode()
    assert not list(tmp_path.iterdir())


def test_stdin_is_empty_unless_given(tmp_path: Path) -> None:
    assert shell("cat; echo end").stdout == b"end\n"
    (tmp_path / "in").write_bytes(b"given")
    with (tmp_path / "in").open("rb") as stream:
        assert shell("cat", stdin=stream.fileno()).stdout == b"given"


def test_little_of_the_environment_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s")
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("https_proxy", "http://proxy")
    env = dict(line.split("=", 1) for line in shell("env").stdout.decode().splitlines())
    assert "SECRET" not in env
    assert "LD_PRELOAD" not in env
    assert env["LC_ALL"] == "C.UTF-8"
    assert env["https_proxy"] == "http://proxy"
    assert shell("env", env={"ONLY": "this"}).stdout.splitlines()[0] in {b"ONLY=this", b"PWD=" + os.getcwdb()}
    assert small_environment({"MORE": "x"})["MORE"] == "x"


def test_working_directory_and_streams(tmp_path: Path) -> None:
    assert shell("pwd", cwd=tmp_path).stdout.strip() == bytes(tmp_path)
    with (tmp_path / "out").open("wb") as stream:
        done = shell("echo file; echo pipe >&2", stdout=stream.fileno())
    assert (done.stdout, done.stderr, (tmp_path / "out").read_bytes()) == (b"", b"pipe\n", b"file\n")


def test_only_named_descriptors_are_inherited() -> None:
    reading, writing = os.pipe()
    with contextlib.ExitStack() as closing:
        closing.callback(os.close, reading)
        closing.callback(os.close, writing)
        os.set_inheritable(reading, True)  # noqa: FBT003  # positional only
        listing = "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd')))"
        without = run([sys.executable, "-c", listing], deadline=20).stdout
        with_it = run([sys.executable, "-c", listing], deadline=20, pass_fds=[writing]).stdout
    assert f"{writing}," in with_it.decode() or f"{writing}]" in with_it.decode()
    assert len(without) < len(with_it)


def test_started_quickly_a_process_inherits_no_descriptor_once_they_are_kept() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)  # noqa: FBT003  # positional only
    try:
        children.keep_descriptors()
        listing = "import os; print(sorted(int(fd) for fd in os.listdir('/proc/self/fd')))"
        done = run([sys.executable, "-c", listing], deadline=20, quick=True)
    finally:
        os.close(reading)
        os.close(writing)
    assert done.stdout == b"[0, 1, 2, 3]\n"


def test_an_interrupt_ends_the_process(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shell(f"echo $$ >{pid}; exec sleep 60", meanwhile=interrupt)
    assert not alive(int(pid.read_text()))


def test_what_meanwhile_takes_is_not_the_process_s_time() -> None:
    done = shell("head -c 200000 /dev/zero; exit 3", deadline=0.5, meanwhile=lambda: time.sleep(0.8))
    assert not done.timed_out
    assert (done.returncode, len(done.stdout)) == (3, 200000)


def test_meanwhile_is_called_once_while_the_process_runs() -> None:
    seen: list[bool] = []
    done = shell("read line; echo got $line", stdin=(pipe := os.pipe())[0], meanwhile=lambda: seen.append(_feed(pipe)))
    assert (done.stdout, seen) == (b"got it\n", [True])


def _feed(pipe: tuple[int, int]) -> bool:
    with os.fdopen(pipe[1], "wb") as writing:
        writing.write(b"it\n")
    os.close(pipe[0])
    return True


def test_signals_that_python_ignores_have_their_defaults() -> None:
    ignored = shell("grep SigIgn /proc/self/status").stdout.split()[1]
    assert not int(ignored, 16) & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1))


def test_a_program_that_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run([str(tmp_path / "absent")], deadline=1, quick=bool(MORE["quick"]))
    (tmp_path / "text").write_text("x")
    with pytest.raises(PermissionError):
        run([str(tmp_path / "text")], deadline=1, quick=bool(MORE["quick"]))


@root
def test_identity_and_umask() -> None:
    done = shell("id -u; id -g; id -G; umask", identity=Identity(uid=1234, gid=4321, groups=(7,), umask=0o027))
    assert done.stdout.split() == [b"1234", b"4321", b"4321", b"7", b"0027"]
    assert shell("id -G", identity=Identity(uid=1234, gid=4321)).stdout.split() == [b"4321"]


def test_output_is_bounded_and_the_rest_is_read_and_dropped() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    done = shell("head -c 50000000 /dev/zero; head -c 50000000 /dev/zero >&2; exit 4", output_limit=1000)
    assert (len(done.stdout), len(done.stderr), done.truncated, done.returncode) == (1000, 1000, True, 4)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KiB
    assert len(shell("head -c 3000000 /dev/zero").stdout) == process.OUTPUT_LIMIT


def test_output_of_exactly_the_limit_is_not_truncated() -> None:
    done = shell("printf 12345", output_limit=5)
    assert (done.stdout, done.truncated) == (b"12345", False)


def test_a_deadline_ends_a_process_politely() -> None:
    called: list[float] = []
    done = shell(
        "trap 'echo asked; exit 9' TERM; echo begun; while :; do sleep 0.05; done",
        deadline=0.5,
        on_deadline=lambda: called.append(time.monotonic()),
    )
    assert done.timed_out
    assert not done.ok
    assert done.stdout == b"begun\nasked\n"
    assert done.returncode == 9
    assert len(called) == 1
    assert done.seconds < 3


def test_who_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.3)
    monkeypatch.setattr(end_group, "__defaults__", (0.3,))
    done = shell("trap '' TERM; echo $$; while :; do sleep 0.05; done", deadline=0.4)
    assert done.timed_out
    assert done.returncode == -signal.SIGKILL
    assert gone(int(done.stdout))


def test_the_whole_group_ends_at_a_deadline() -> None:
    done = shell(
        "sleep 1000 & echo $!; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait", deadline=0.5
    )
    assert done.timed_out
    one, other = (int(pid) for pid in done.stdout.split())
    assert gone(one)
    assert gone(other)


def test_a_child_that_outlives_its_parent_ends_at_the_deadline() -> None:
    done = shell("sleep 1000 & echo $!", deadline=0.5)
    assert done.timed_out
    assert done.returncode == 0
    assert gone(int(done.stdout))
    assert done.seconds < 4


def test_a_slow_reader_of_nothing_keeps_its_deadline() -> None:
    done = shell("exec >&- 2>&-; exec sleep 1000", deadline=0.3)
    assert done.timed_out
    assert done.seconds < 3


def test_end_all_ends_what_other_threads_wait_for() -> None:
    results: list[process.Completed] = []
    threads = [threading.Thread(target=lambda: results.append(shell("sleep 1000"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + 5
    while len(process._running) < 3 and time.monotonic() < until:  # noqa: SLF001  # the registry of this module
        time.sleep(0.01)
    end_all()
    for thread in threads:
        thread.join(10)
    assert [done.returncode for done in results] == [-signal.SIGTERM] * 3
    assert not any(done.timed_out for done in results)


def test_a_daemon_logs_to_its_file_and_is_ended(tmp_path: Path) -> None:
    daemon = spawn([SHELL, "-c", "echo up; echo warn >&2; exec sleep 1000"], log=tmp_path / "log")
    until = time.monotonic() + 5
    while not (tmp_path / "log").read_bytes().endswith(b"warn\n") and time.monotonic() < until:
        time.sleep(0.01)
    assert (tmp_path / "log").read_bytes() == b"up\nwarn\n"
    end_group(daemon)
    assert daemon.returncode == -signal.SIGTERM
    end_group(daemon)


def test_an_adopted_process_is_waited_for() -> None:
    ended = os.posix_spawn(SHELL, [SHELL, "-c", "exit 5"], {})
    killed = os.posix_spawn(SHELL, [SHELL, "-c", "kill -9 $$"], {})
    slow = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    assert wait_orphan(ended, time.monotonic() + 5) == 5
    assert wait_orphan(ended, time.monotonic() + 5) is None
    assert wait_orphan(killed, time.monotonic() + 5) == -9
    assert wait_orphan(slow, time.monotonic() + 0.05) is None
    os.kill(slow, signal.SIGKILL)
    assert wait_orphan(slow, time.monotonic() + 5) == -9
    assert wait_orphan(1, time.monotonic() + 5) is None


def test_a_collector_stops_when_it_has_enough_and_goes_on_later() -> None:
    reading, writing = os.pipe()
    collector = Collector({"out": reading}, limit=4)
    try:
        os.write(writing, b"abc")
        assert collector.drain(time.monotonic() + 5, enough=lambda: b"c" in collector.bytes_of("out"))
        assert not collector.drain(time.monotonic() + 0.02)
        os.write(writing, b"def")
        os.close(writing)
        assert collector.drain(time.monotonic() + 5)
        assert (collector.bytes_of("out"), collector.truncated) == (b"abcd", True)
        assert collector.bytes_of("other") == b""
    finally:
        os.close(reading)


def test_the_tail_for_people() -> None:
    assert shell("echo out; echo err >&2").tail() == "err"
    assert shell("echo out").tail() == "out"
    assert shell(r"printf 'a\377b'").tail() == "a\N{REPLACEMENT CHARACTER}b"
    assert shell("printf 123456").tail(3) == "456"
