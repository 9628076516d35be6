"""Services that have no sockets: starts, successors, memory, wake-ups, status."""
import os
import signal
import subprocess
import time

import peers
from harness import Daemon, Row, at_most, cpu_seconds, median, memory_kinds, private_memory, quartiles, run_time, say, stamps, \
    switches, until


def starts(setup):
    """Start of 1,000 services ÷ a C loop that only does vfork + exec of the same."""
    count, rounds = setup.choose(200, 1000), setup.choose(1, 3)
    ratios, against_sessions, cpus, rows = [], [], [], []
    for number in range(rounds):
        path = f"{setup.scratch}/stamps-{number}"
        command = f"{setup.helper} stamp {path}"
        floor = floor_of_starts(setup, count, path + "-floor")
        # With autogroup scheduling a process of a session of its own waits longer for a busy processor.
        sessions = floor_of_starts(setup, count, path + "-sessions", "sessions")
        daemon = Daemon(setup)
        target = daemon.services(count, command)
        with daemon:
            begin, cpu = time.monotonic_ns(), cpu_seconds(daemon.pid)
            daemon.control.operate("Start", target, "started")
            cpu = cpu_seconds(daemon.pid) - cpu
            replied = time.monotonic_ns()
            written = until("every service to be executed", lambda: full(path, count))
            # Both must have happened: the reply says that all run, the stamp that the last one does.
            seconds = (max(replied, max(written.values())) - begin) / 1e9
        ratios.append(seconds / floor)
        against_sessions.append(seconds / sessions)
        cpus.append(1000 * cpu / count)
        say(f"{count} starts: holdfastd {1000 * seconds:.0f} ms (CPU {1000 * cpu:.0f} ms), C loop {1000 * floor:.0f} ms, "
            f"with setsid {1000 * sessions:.0f} ms")
    rows.append(Row(f"start of {count} services ÷ C loop of vfork + exec", quartiles(ratios), "≤ 1.3",
                    at_most(ratios, 1.3), f"÷ the loop with setsid: {median(against_sessions):.2f}; {1000 * floor:.0f} ms the loop; "
                    f"{median(cpus):.2f} ms CPU of holdfastd each"))
    for peer in peers.installed():
        path = f"{setup.scratch}/stamps-{peer.name}"
        with peer(setup, count, f"{setup.helper} stamp {path}") as it:
            written = until(f"{peer.name} to start all", lambda: full(path, count), 120)
            ratio = (max(written.values()) - it.begin) / 1e9 / floor
        rows.append(Row(f"  {peer.name}: the same", f"{ratio:.2f}"))
    return rows


def full(path, count):
    written = stamps(path)
    return written if len(written) >= count else None


def floor_of_starts(setup, count, path, mode="spawn"):
    """Seconds from the loop's begin until its last program has begun."""
    argv = [setup.helper, mode, str(count), setup.helper, "stamp", path]
    loop = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    begin, end = map(int, loop.stdout.readline().split())
    written = until("every program of the floor", lambda: full(path, count))
    loop.communicate()
    return (max(end, max(written.values())) - begin) / 1e9


def successor(setup):
    """Crash of a service → its successor executed, RestartSec=0."""
    count = setup.choose(30, 200)
    path = f"{setup.scratch}/crash"
    os.mkfifo(path)
    pipe = open(os.open(path, os.O_RDWR), "rb", buffering=0)
    floor = [floor_of_starts(setup, 20, f"{setup.scratch}/crash-floor-{n}") / 20 for n in range(3)]
    daemon = Daemon(setup)
    daemon.unit("crash.service", "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=simple\n"
                f"ExecStart={setup.helper} stamp {path}\nRestart=always\nRestartSec=0\n")
    with daemon:
        daemon.control.operate("Start", "crash.service", "started")
        times = crash(pipe, count, pause=0.01)
        other = daemon.control.call("Status", names=["crash.service"])["units"][0]
        assert other["state"] == "running", other
    rows = [Row("crash of a service → its successor executed", quartiles(times, " ms"), "≤ 2 ms", at_most(times, 2),
                f"÷ one vfork + exec: {median(times) / 1000 / median(floor):.2f}")]
    for peer in peers.installed():
        with peer(setup, 1, f"{setup.helper} stamp {path}"):
            # They delay a service that has run for less than a second.
            times = crash(pipe, setup.choose(2, 5), pause=1.2)
        rows.append(Row(f"  {peer.name}: the same", quartiles(times, " ms")))
    pipe.close()
    return rows


def crash(pipe, count, pause):
    """Milliseconds from just before SIGKILL until the successor's first act, `count` times."""
    times = []
    pid = int(pipe.read(4096).split()[0])
    for _ in range(count):
        time.sleep(pause)
        begin = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        words = pipe.read(4096).split()
        pid = int(words[0])
        times.append((int(words[1]) - begin) / 1e6)
    return times


def memory(setup):
    """Private memory: idle, with 100, with 1,000 services, and what each service adds."""
    rows = []
    few, many = 100, setup.choose(300, 1000)
    daemon = Daemon(setup)
    first = daemon.services(few, f"{setup.helper} wait")
    second = daemon.services(many - few, f"{setup.helper} wait", first=few + 1)
    with Daemon(setup) as empty:
        idle = note(rows, "idle", empty.pid, 1.5)
    with daemon:
        for target, count in ((first, few), (second, many)):
            daemon.control.operate("Start", target, "started")
            used = note(rows, f"with {count} services", daemon.pid)
        each = (used - idle) * 1000 / many
        rows.append(Row("  for each service", f"{each:.1f} kB", "≤ 4 kB", each <= 4))
    for peer in peers.installed():
        figures = []
        for count in (0, few):
            path = f"{setup.scratch}/memory-{peer.name}-{count}"
            with peer(setup, count, f"{setup.helper} stamp {path}") as it:
                until(f"{peer.name} to start all", lambda: full(path, count) or count == 0)
                time.sleep(0.5)
                figures.append(it.memory())
        rows.append(Row(f"  {peer.name}: idle, with {few}", f"{figures[0]:.1f}, {figures[1]:.1f} MB"))
    return rows


def note(rows, what, pid, limit=None):
    """Adds the row of one measurement; answers the private memory in MB."""
    value, kinds = private_memory(pid), memory_kinds(pid)
    # Pages of the program file count as far as the kernel has mapped them: in blocks of 64 KiB around each that is used.
    parts = f"PSS {kinds['Pss'] / 1000:.1f} MB, of it {kinds['Pss_File'] / 1000:.1f} MB of program files"
    bound = ("≤ %s MB" % limit, value <= limit) if limit else ("", None)
    rows.append(Row(f"private memory of holdfastd {what}", f"{value:.1f} MB", *bound, parts))
    return value


def wakeups(setup):
    """Wake-ups of the daemon when nothing happens, with 100 services."""
    seconds = setup.choose(5, 30)
    daemon = Daemon(setup)
    target = daemon.services(100, f"{setup.helper} wait")
    with daemon:
        daemon.control.operate("Start", target, "started")
        time.sleep(2)
        before = switches(daemon.pid)
        time.sleep(seconds)
        count = switches(daemon.pid) - before
    return [Row(f"wake-ups in {seconds} s with 100 idle services", str(count), "0", count == 0)]


def status(setup):
    """holdfastctl status with 1,000 services, whole process."""
    count, rounds = setup.choose(300, 1000), setup.choose(5, 30)
    daemon = Daemon(setup)
    target = daemon.services(count, f"{setup.helper} wait")
    with daemon:
        daemon.control.operate("Start", target, "started")
        argv = [setup.program("holdfastctl"), "status"]
        before, cpu = cpu_seconds(daemon.pid), 0.0
        times, others, empty = [], [], []
        for _ in range(rounds):
            seconds, code, usage = run_time(argv, daemon.environment)
            assert code == 0, f"holdfastctl status exited with {code}"
            times.append(1000 * seconds)
            cpu = usage.ru_utime + usage.ru_stime
            others.append(1000 * run_time(["systemctl", "--version"])[0])
            empty.append(1000 * run_time([setup.program("holdfastctl"), "version"], daemon.environment)[0])
        per_call = (cpu_seconds(daemon.pid) - before) / rounds
        say(f"status: CPU {1000 * cpu:.1f} ms in holdfastctl, {1000 * per_call:.1f} ms in holdfastd (+ version)")
    return [
        Row(f"holdfastctl status with {count} services", quartiles(times, " ms", 1), "≤ 20 ms", at_most(times, 20),
            f"÷ systemctl --version: {median(times) / median(others):.1f}"),
        Row("  holdfastctl version, the same way", quartiles(empty, " ms", 1)),
    ]


def reexec(setup):
    """Re-exec with 1,000 services: for how long no event is handled."""
    count, rounds = setup.choose(300, 1000), setup.choose(3, 20)
    daemon = Daemon(setup)
    target = daemon.services(count, f"{setup.helper} wait")
    with daemon:
        daemon.control.operate("Start", target, "started")
        pauses, whole = [], []
        for _ in range(rounds):
            begin = time.monotonic_ns()
            reply = daemon.control.call("Reexec")
            whole.append((time.monotonic_ns() - begin) / 1e6)
            pauses.append(1000 * reply["pause"])
    return [Row(f"re-exec with {count} services: no event handled for", quartiles(pauses, " ms", 1), "≤ 50 ms",
                at_most(pauses, 50), f"{median(whole):.0f} ms with the rehearsal, during which everything goes on")]
