"""The probe, run for real: other users, user namespaces, closed directories, limits, no /proc."""

import json
import os
import pty
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.process import Completed, Identity, end_group, run, spawn
from lab.provision.cache import default_cache
from lab.provision.probe import probe

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: starts programs as other users"),
]

Facts = dict[str, Any]
USER = Identity(uid=1234, gid=4321)


@pytest.fixture(name="program")
def probe_program(tmp_path: Path) -> Iterator[str]:
    """The probe at a place that every user can reach; pytest's own directories are closed to others."""
    place = Path(f"/var/tmp/permlab-test-{os.getpid()}-{tmp_path.name}")  # noqa: S108  # every user reaches it
    place.mkdir(mode=0o755)
    program = place / "probe"
    program.write_bytes(Path(probe(default_cache()).path).read_bytes())
    program.chmod(0o755)
    try:
        yield str(program)
    finally:
        for path in sorted(place.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        place.rmdir()


def facts_of(done: Completed) -> list[Facts]:
    assert done.returncode == 0, done
    return [json.loads(line) for line in done.stdout.splitlines()]


def carry_out(argv: Sequence[str], identity: Identity | None = None, cwd: Path | None = None) -> list[Facts]:
    return facts_of(run(argv, deadline=30, identity=identity, cwd=cwd))


def test_runs_in_a_root_with_nothing_else_in_it(program: str) -> None:
    root = Path(program).parent
    start, ls, _ = carry_out(["chroot", "--userspec=1234:4321", str(root), "/probe", "ls", "/"])
    assert (start["ruid"], start["cwd"], start["seccomp"]) == (1234, "/", None)
    assert ls["names"] == ["probe"]


def test_another_user_is_told_exactly(program: str) -> None:
    who = Identity(uid=1234, gid=4321, groups=(7, 8), umask=0o027)
    start = carry_out([program], who)[0]
    assert [start[key] for key in ("ruid", "euid", "suid", "fsuid")] == [1234] * 4
    assert [start[key] for key in ("rgid", "egid", "sgid", "fsgid")] == [4321] * 4
    assert start["groups"] == [7, 8]
    assert start["umask"] == "0027"
    assert start["caps"]["effective"] == start["caps"]["permitted"] == "0" * 16


def test_capability_sets_are_those_of_the_kernel(program: str) -> None:
    argv = ["setpriv", "--reuid=1234", "--regid=4321", "--clear-groups", "--inh-caps=-all,+net_bind_service"]
    argv += ["--ambient-caps=-all,+net_bind_service", "--bounding-set=-sys_time", "--no-new-privs", program, "nnp"]
    start, nnp, _ = carry_out([*argv, "cat", "/proc/self/status"])[:3]
    caps = start["caps"]
    assert caps["ambient"] == caps["inheritable"] == caps["effective"] == f"{1 << 10:016x}"
    assert int(caps["bounding"], 16) & (1 << 25) == 0
    assert start["no_new_privs"] is nnp["no_new_privs"] is True
    status = carry_out([*argv, "cat", "/proc/self/status"])[2]["text"]
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert {key: fields[f"Cap{key[:3].title()}"] for key in ("inheritable", "effective", "ambient")} == {
        key: caps[key] for key in ("inheritable", "effective", "ambient")
    }
    assert (fields["CapPrm"], fields["CapBnd"]) == (caps["permitted"], caps["bounding"])


def test_closed_directory_of_another_user(program: str) -> None:
    closed = Path(program).parent / "closed"
    closed.mkdir(mode=0o700)
    os.chown(closed, 65532, 65532)
    steps = ["pwd", "ls", ".", "touch", "x", "chdir", ".", "chdir", "/", "stat", str(closed), "access", str(closed)]
    # preserve the directory across the change of user: root enters it, then drops to 1234
    argv = ["setpriv", "--reuid=1234", "--regid=4321", "--clear-groups", program, *steps]
    start, pwd, ls, touch, here, root, stat, access, _ = carry_out(argv, cwd=closed)
    assert start["cwd"] == pwd["cwd"] == str(closed)
    for refused, call in ((ls, "readdir"), (touch, "open"), (here, "chdir")):
        assert (refused["ok"], refused["errno"], refused["call"]) == (False, "EACCES", call)
    assert (root["ok"], root["cwd"]) == (True, "/")
    assert (stat["uid"], stat["gid"], stat["mode"], stat["type"]) == (65532, 65532, "0700", "directory")
    assert [access[key] for key in ("exists", "read", "write", "execute")] == ["ok", "EACCES", "EACCES", "EACCES"]


def test_owner_gets_everything(program: str) -> None:
    mine = Path(program).parent / "mine"
    mine.mkdir(mode=0o700)
    os.chown(mine, 1234, 4321)
    steps = "touch a append a read a write b hello cat b rename b c chmod c 640 stat c mkdir d rmdir d symlink a s "
    steps += "readlink s link a l unlink l utime a setxattr a user.k v getxattr a user.k listxattr a ls . mknod p p 0 0"
    told = carry_out([program, "chdir", str(mine), *steps.split()], USER)[2:-1]
    assert all(fact["ok"] for fact in told), told
    by_op = {fact["op"]: fact for fact in told}
    assert by_op["read"]["bytes"] == len("permlab\n")
    assert by_op["cat"]["text"] == "hello"
    assert (by_op["stat"]["mode"], by_op["stat"]["uid"], by_op["stat"]["gid"]) == ("0640", 1234, 4321)
    assert by_op["readlink"]["target"] == "a"
    assert (by_op["getxattr"]["value"], by_op["listxattr"]["names"]) == ("v", ["user.k"])
    assert by_op["ls"]["names"] == ["a", "c", "s"]
    assert (mine / "p").is_fifo()


def test_what_a_plain_user_may_not(program: str) -> None:
    asked = {
        "chown": (["chown", program, "0", "0"], "EPERM"),
        "mknod": (["mknod", f"{program}-no", "c", "1", "3"], "EACCES"),
        "setuid": (["setuid", "0"], "EPERM"),
        "setgid": (["setgid", "0"], "EPERM"),
        "setgroups": (["setgroups", "1,2"], "EPERM"),
        "kill": (["kill", "1"], "EPERM"),
        "chroot": (["chroot", "/"], "EPERM"),
        "mounttmpfs": (["mounttmpfs", "/proc"], "EPERM"),
        "mountsysfs": (["mountsysfs", "/sys"], "EPERM"),
        "umount": (["umount", "/proc"], "EPERM"),
        "sethostname": (["sethostname"], "EPERM"),
        "rawsocket": (["rawsocket"], "EPERM"),
        "setmtu": (["setmtu", "lo", "1400"], "EPERM"),
        "unshare": (["unshare", "mount,uts"], "EPERM"),
        "utime": (["utime", program], "EPERM"),
        "open": (["open", "/etc/shadow", "rdonly"], "EACCES"),
        "faccessat2": (["faccessat2", "/etc/shadow", "r"], "EACCES"),
        "exec": (["exec", "/etc/passwd"], "EACCES"),
    }
    told = carry_out([program, *(word for words, _ in asked.values() for word in words)], USER)
    refused = {fact["op"]: fact["errno"] for fact in told if fact.get("ok") is False}
    assert refused == {op: error for op, (_, error) in asked.items()}


def test_user_namespace(program: str) -> None:
    start, stat, chown, own, _ = carry_out(
        ["unshare", "-r", program, "stat", "/etc/shadow", "chown", program, "5", "5", "uidmap"], USER
    )
    assert start["ruid"] == 0
    assert start["namespaces"]["user"] != carry_out([program])[0]["namespaces"]["user"]
    assert own["uid_map"] == ["         0       1234          1"] == start["uid_map"]
    assert own["setgroups"] == "deny"
    assert (stat["uid"], stat["gid"]) == (65534, 65534)
    assert (chown["ok"], chown["errno"]) == (False, "EINVAL")


def test_new_user_namespace_has_full_capabilities_and_no_map(program: str) -> None:
    _, unshared, caps, maps, _ = carry_out([program, "unshareU", "caps", "uidmap"], USER)
    assert unshared["ok"] is True
    assert int(caps["caps"]["effective"], 16) & (1 << 21)
    assert maps["uid_map"] == []


def test_without_proc_facts_are_null_and_not_wrong(program: str) -> None:
    script = f"umount -l /proc && umask 031 && exec {program} umask setumask 0 umask fdlist namespaces mountinfo uidmap"
    told = carry_out(["unshare", "-m", "sh", "-c", script])
    start, umask, before, after, fds, spaces, mounts, maps, _ = told
    assert start["umask"] == umask["umask"] == before["before"] == "0031"
    assert after["umask"] == "0000"
    assert start["uid_map"] is start["seccomp"] is start["stdio"][0]["link"] is maps["gid_map"] is None
    assert set(spaces["namespaces"].values()) == {None}
    assert start["caps"]["effective"] != "0" * 16
    assert (fds["complete"], [fd["fd"] for fd in fds["fds"]]) == (False, [0, 1, 2])
    assert (mounts["ok"], mounts["errno"]) == (False, "ENOENT")


def test_something_else_mounted_on_proc_is_not_believed(program: str) -> None:
    script = "mount -t tmpfs none /proc && mkdir /proc/self && printf 'Umask:\\t0777\\n' > /proc/self/status"
    script += f" && exec {program}"
    start = carry_out(["unshare", "-m", "sh", "-c", script])[0]
    assert start["umask"] != "0777"
    assert start["uid_map"] is None


def test_directory_that_cannot_be_reached_is_told_as_the_kernel_does(program: str) -> None:
    inside = Path(program).parent / "inside"
    inside.mkdir()
    told = carry_out([program, "chroot", str(inside), "pwd"])
    assert told[2]["cwd"].startswith("(unreachable)/")


def test_removed_directory(program: str) -> None:
    gone = Path(program).parent / "gone"
    gone.mkdir()
    done = run(["sh", "-c", f"cd {gone} && rmdir {gone} && exec {program} pwd touch x"], deadline=20)
    start, pwd, touch, _ = facts_of(done)
    assert (start["cwd"], start["cwd_errno"]) == (None, "ENOENT")
    assert (pwd["ok"], pwd["call"]) == (False, "getcwd")
    assert touch["errno"] == "ENOENT"


def test_setuid_program_shows_both_ids(program: str) -> None:
    Path(program).chmod(0o4755)
    start, access, _ = carry_out([program, "access", "/etc/shadow"], USER)
    assert (start["ruid"], start["euid"], start["suid"], start["fsuid"]) == (1234, 0, 0, 0)
    assert start["caps"]["effective"] != "0" * 16
    assert access["read"] == "ok"  # asked for the effective id


def test_spawned_setuid_program_and_its_output(program: str) -> None:
    setuid = Path(program).with_name("setuid")
    setuid.write_bytes(Path(program).read_bytes())
    setuid.chmod(0o4755)
    told = carry_out([program, "spawn", "2", str(setuid), "id"], USER)[1]
    inner = json.loads(told["stdout"].splitlines()[1])
    assert (told["exit"], inner["ruid"], inner["euid"]) == (0, 1234, 0)


def test_spawn_tells_exit_signal_and_streams(program: str) -> None:
    argv = [program, "spawn", "3", "sh", "-c", "echo out; echo err >&2; exit 9"]
    argv += ["spawn", "3", "sh", "-c", "kill -SEGV $$", "spawn", "1", "no-such-program", "spawn", "1", "/etc/passwd"]
    argv += ["spawn", "3", "sh", "-c", "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2"]
    said, killed, missing, denied, big, _ = carry_out(argv)[1:]
    assert (said["exit"], said["stdout"], said["stderr"]) == (9, "out\n", "err\n")
    assert killed["signal"] == "SIGSEGV"
    assert (missing["ok"], missing["errno"], denied["errno"]) == (False, "ENOENT", "EACCES")
    assert (big["exit"], big["cut"]) == (0, True)
    assert set(big["stdout"]) == set(big["stderr"]) == {"\0"}


def test_exec_gives_the_word_to_another_program(program: str) -> None:
    done = run([program, "exec", "echo", "hi", "id"], deadline=20)
    first, second, text = done.stdout.splitlines()
    assert (json.loads(first)["op"], json.loads(second)["ok"], text) == ("start", None, b"hi id")
    failed = facts_of(run([program, "pwd", "exec", "/none"], deadline=20))
    assert [(fact.get("step"), fact["op"], fact.get("ok")) for fact in failed[2:]] == [
        (2, "exec", None),
        (2, "exec", False),
        (None, "end", None),
    ]


def test_limits(program: str) -> None:
    place = Path(program).parent / "many"
    place.mkdir()
    place.chmod(0o777)
    argv = ["prlimit", "--nofile=64:128", program, "rlim", "tmpfds", str(place), "100"]
    _, rlim, files, raised, refused, _ = carry_out([*argv, "raisenofile", "128", "raisenofile", "129"], USER)
    assert rlim["rlimits"]["nofile"] == {"soft": 64, "hard": 128}
    # 0, 1 and 2 are open: the probe holds no descriptor of its own that would change the count
    assert (files["ok"], files["made"], files["errno"]) == (False, 61, "EMFILE")
    assert (raised["ok"], raised["rlimits"]["nofile"]["soft"]) == (True, 128)
    assert (refused["ok"], refused["errno"]) == (False, "EPERM")
    assert list(place.iterdir()) == []


def test_no_descriptor_left_for_looking(program: str) -> None:
    start, umask, fds, _ = carry_out(["prlimit", "--nofile=3:3", program, "umask", "fdlist"])
    assert (start["seccomp"], umask["umask"]) == (None, "0022")
    assert (fds["complete"], len(fds["fds"])) == (False, 3)


def test_processes_of_one_user_are_counted_together(program: str) -> None:
    who = Identity(uid=61234, gid=61234)
    argv = ["prlimit", "--nproc=20:20", program, "forks", "15", "0", "forks", "30", "0", "forks", "15", "0"]
    one, two, three = carry_out(argv, who)[1:4]
    assert (one["ok"], one["made"]) == (True, 15)
    assert (two["ok"], two["errno"], two["made"]) == (False, "EAGAIN", 19)
    assert three["made"] == 15  # the first ones are gone


def test_keys_inotify_and_ports(program: str) -> None:
    keys, watchers, high, low = carry_out([program, "keys", "300", "0", "inotify", "3", "0", "bind", "0", "bind", "1"])[
        1:5
    ]
    assert (keys["made"], watchers["made"], high["ok"], low["ok"]) == (300, 3, True, True)
    many, again = carry_out([program, "keys", "300", "0", "inotify", "3", "0"], Identity(uid=61235, gid=61235))[1:3]
    assert (many["ok"], many["errno"]) == (False, "EDQUOT")
    assert 0 < many["made"] < 300
    assert again["ok"] is True


def test_inherited_descriptors_are_listed_and_the_facts_one_is_not(program: str, tmp_path: Path) -> None:
    secret = tmp_path / "inherited"
    secret.touch()
    with secret.open("rb") as stream:
        done = run([program, "--to", str(tmp_path / "facts"), "fdlist"], deadline=20, pass_fds=[stream.fileno()])
        number = stream.fileno()
    assert done.returncode == 0
    told = json.loads((tmp_path / "facts").read_bytes().splitlines()[1])["fds"]
    assert sorted(fd["fd"] for fd in told) == [0, 1, 2, number]
    (inherited,) = [fd for fd in told if fd["fd"] == number]
    assert (inherited["link"], inherited["access"], inherited["type"]) == (str(secret), "r", "file")


def test_terminal_on_stdin(program: str) -> None:
    master, slave = pty.openpty()
    try:
        start, fdstat, _ = facts_of(run([program, "fdstat", "0"], deadline=20, stdin=slave))
    finally:
        os.close(master)
        os.close(slave)
    assert [stream["tty"] for stream in start["stdio"]] == [True, False, False]
    assert start["stdio"][0]["link"].startswith("/dev/pts/")
    assert fdstat["type"] == "char"


def test_what_root_may_in_namespaces_of_its_own(program: str) -> None:
    place = Path(program).parent / "place"
    place.mkdir()
    steps = ["sethostname", "hostname", "setmtu", "lo", "1400"]
    for kind in ("mounttmpfs", "mountproc", "mountsysfs"):
        steps += [kind, str(place), "statfs", str(place), "umount", str(place)]
    steps += [
        "mount",
        str(place.parent),
        str(place),
        "none",
        "bind",
        "",
        "stat",
        f"{place}/probe",
        "umount",
        str(place),
    ]
    steps += ["mount", "none", str(place), "tmpfs", "nodev,noexec", "mode=0710", "stat", str(place)]
    steps += ["mknod", f"{place}/n", "c", "1", "3", "open", f"{place}/n", "rdonly", "exec", f"{place}/n"]
    told = carry_out(["unshare", "--mount", "--uts", "--net", program, *steps])[1:-1]
    refused = [(fact["op"], fact["errno"]) for fact in told if fact["ok"] is False]
    assert refused == [("open", "EACCES"), ("exec", "EACCES")]
    assert told[1]["hostname"] == "permlab-probe"
    assert [fact["magic"][-4:] for fact in told if fact["op"] == "statfs"] == ["1994", "9fa0", "6572"]
    assert [fact["mode"] for fact in told if fact["op"] == "stat"] == ["0755", "0710"]


def test_ids_are_given_away_one_by_one(program: str) -> None:
    steps = "setrlimit core 0 unlimited setumask 077 umask setgroups 5,6 groups setgid 7 setuid 8 id setuid 0 kill 1"
    told = carry_out([program, *steps.split()])
    by_step = {fact["step"]: fact for fact in told if "step" in fact}
    assert by_step[1]["rlimits"]["core"] == {"soft": 0, "hard": "unlimited"}
    assert by_step[3]["umask"] == "0077"
    assert by_step[4]["groups"] == by_step[5]["groups"] == [5, 6]
    assert (by_step[8]["ruid"], by_step[8]["fsuid"], by_step[8]["sgid"]) == (8, 8, 7)
    assert (by_step[9]["errno"], by_step[10]["errno"]) == ("EPERM", "EPERM")


def test_environment_devices_and_links(program: str) -> None:
    link = Path(program).with_name("link")
    link.symlink_to("/nowhere")
    steps = ["environ", "env", "A", "env", "B", "lsdev", "lstat", str(link), "stat", str(link), "lchown", str(link)]
    steps += ["3", "-1", "lstat", str(link)]
    told = facts_of(run([program, *steps], deadline=20, env={"A": "", "C": "x=y"}))[1:-1]
    environ, empty, absent, devices, before, missing, changed, after = told
    assert sorted(environ["environ"]) == ["A=", "C=x=y"]
    assert (empty["present"], empty["value"]) == (True, "")
    assert (absent["present"], absent["value"]) == (False, None)
    assert {"name": "null", "rdev": "1:3"}.items() <= {
        key: value for device in devices["devices"] if device["name"] == "null" for key, value in device.items()
    }.items()
    assert (before["type"], before["uid"], missing["errno"], changed["ok"]) == ("symlink", 0, "ENOENT", True)
    assert (after["uid"], after["gid"]) == (3, before["gid"])


def test_mounts_flags_and_sysctl(program: str) -> None:
    place = Path(program).parent / "mnt"
    place.mkdir()
    script = f"mount -t tmpfs -o ro,noexec 'a b' {place} && exec {program} mountinfo statfs {place} touch {place}/x"
    mounts, statfs, touch, sysctl, same = carry_out(
        ["unshare", "-m", "sh", "-c", f"{script} sysctl kernel.ostype sysctl kernel/ostype"]
    )[1:6]
    (mine,) = [mount for mount in mounts["mounts"] if mount["mountpoint"] == str(place)]
    assert (mine["fstype"], mine["source"]) == ("tmpfs", "a b")
    assert {"ro", "noexec"} <= set(mine["options"].split(","))
    assert {"ro", "noexec"} <= set(statfs["flags"])
    assert (touch["ok"], touch["errno"]) == (False, "EROFS")
    assert sysctl["value"] == same["value"] == "Linux"


def test_fifo_cannot_stop_the_probe(program: str) -> None:
    fifo = Path(program).with_name("fifo")
    os.mkfifo(fifo)
    read, touch = carry_out([program, "read", str(fifo), "touch", str(fifo)])[1:3]
    assert read["bytes"] == 0
    assert touch["errno"] == "ENXIO"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("steps", [["hold"], ["sleep", "60"], ["forks", "2", "60"]])
def test_wait_ends_politely_as_pid_1_too(program: str, number: signal.Signals, steps: list[str]) -> None:
    log = Path(program).with_name("log")
    holder = spawn(["unshare", "--pid", "--fork", "--mount-proc", program, *steps, "id"], log=log)
    try:
        until = time.monotonic() + 20
        while log.read_bytes().count(b"\n") < 2:
            assert time.monotonic() < until, log.read_bytes()
            time.sleep(0.01)
        start, waiting = (json.loads(line) for line in log.read_bytes().splitlines())
        assert (start["pid"], waiting["ok"]) == (1, True)
        child = Path(f"/proc/{holder.pid}/task/{holder.pid}/children").read_text().split()[0]
        began = time.monotonic()
        os.kill(int(child), number)
        assert holder.wait(10) == 0
        assert time.monotonic() - began < 5
    finally:
        end_group(holder)
    assert json.loads(log.read_bytes().splitlines()[2]) == {"op": "end", "steps": 1, "signal": number.name}


def test_time_is_waited_as_asked(program: str) -> None:
    began = time.monotonic()
    told = carry_out([program, "sleep", "0.3", "sleep", "0"])
    assert 0.3 <= time.monotonic() - began < 3
    assert told[-1] == {"op": "end", "steps": 2}
