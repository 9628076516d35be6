"""Unit files in great number, captured output, notify messages."""
import datetime
import os
import shutil
import subprocess
import time

from harness import Daemon, Row, cpu_seconds, median, quartiles, run_time, say, until, write


def units(setup):
    """Load and check 10,000 unit files; the same through a daemon's update."""
    count = setup.choose(1000, 10000)
    directory = setup.directory("units")
    total = make_units(directory, count)
    argv = [setup.program("holdfastctl"), "verify", "--units", directory]
    checked = subprocess.run(argv, capture_output=True, text=True)
    if checked.returncode != 0 or checked.stdout:
        raise RuntimeError(f"verify of good units: exit {checked.returncode}: {checked.stdout[:500]}{checked.stderr[:500]}")
    times, usage = [], None
    for _ in range(setup.choose(1, 5)):
        seconds, _, usage = run_time(argv)
        times.append(seconds)
    cpu = usage.ru_utime + usage.ru_stime
    plain = median([read_all(directory) for _ in range(3)])
    rows = [Row(f"load and check {total} unit files", quartiles(times, " s"), "≤ 1 s", median(times) * 10000 / total <= 1,
                f"CPU {cpu:.2f} s, {usage.ru_maxrss / 1000:.0f} MB; ÷ opening and reading them in C Python: "
                f"{median(times) / plain:.1f}")]
    daemon = Daemon(setup)
    os.rmdir(daemon.units)
    shutil.copytree(directory, daemon.units)
    with daemon:
        times = []
        for _ in range(setup.choose(1, 5)):
            begin = time.monotonic()
            daemon.control.call("Update")
            times.append(time.monotonic() - begin)
        rows.append(Row(f"  daemon: start until READY=1; update, {total} files",
                        f"{daemon.start_seconds:.2f} s; {quartiles(times, ' s')}"))
    return rows


def make_units(directory, count):
    """Sites of a target, two services, a socket and a drop-in each, until there are `count` files."""
    total = 0
    number = 0
    while total + 5 <= count:
        name = f"site{number}"
        write(f"{directory}/{name}.target", f"[Unit]\nDescription=Site {number}\nWants={name}-app.service "
              f"{name}-edge.service\n\n[X-Swap]\nReadyTimeoutSec=10s\nSoakSec=1s\nDrainTimeoutSec=1min 30s\n")
        write(f"{directory}/{name}-app.socket", "# Private.\n[Socket]\nX-Scope=generation\n"
              f"ListenStream=%t/bench/{name}.sock\nBacklog=4096\nSocketMode=0600\nService={name}-app.service\n")
        write(f"{directory}/{name}-app.service", f"[Unit]\nDescription=Backend of site {number}\n\n[Service]\nType=notify\n"
              "Environment=A=1 \"B=two words\" C=%n\n"
              f"Sockets={name}-app.socket\nExecStart=/bin/sh -c 'exec sleep \"$$1\"' sh infinity\nRestart=on-failure\n"
              "RestartSec=250ms\nTimeoutStopSec=20s\nLimitNOFILE=65536\n\n[X-Swap]\n"
              f"ReadyProbe=http {name}-app.socket /healthz\n")
        write(f"{directory}/{name}-edge.service", f"[Unit]\nDescription=Proxy of site {number}\nAfter={name}-app.service\n\n"
              f"[Service]\nType=notify\nX-Upstreams={name}-app.socket\nExecStartPre=/bin/true\n"
              "ExecStart=/bin/sleep infinity\nUMask=0027\nNice=5\nKillMode=mixed\n\n[X-Swap]\nDrainSignal=SIGUSR1\n")
        write(f"{directory}/{name}-app.service.d/limits.conf", "[Service]\nOOMScoreAdjust=100\nEnvironment=D=4\n")
        total += 5
        number += 1
    return total


def read_all(directory):
    begin = time.monotonic()
    for parent, _, files in os.walk(directory):
        for name in files:
            with open(f"{parent}/{name}", "rb", buffering=0) as file:
                file.read()
    return time.monotonic() - begin


def logs(setup):
    """Throughput of captured output per core ÷ s6-log and svlogd; how long a line of a quiet service waits beside a flood."""
    size = setup.choose(20, 200, 1000) * 1_000_000
    rounds = setup.choose(1, 3)
    peers = {"s6-log": print_through_s6, "svlogd": print_through_svlogd}
    ours, wall, theirs = [], [], {name: [] for name in peers if shutil.which(name)}
    chat = []
    for _ in range(rounds):
        cpu, seconds, waits = print_through_daemon(setup, size)
        chat += waits
        ours.append(size / 1e6 / cpu)
        wall.append(size / 1e6 / seconds)
        for name, figures in theirs.items():
            figures.append(size / 1e6 / peers[name](setup, size))
    say(f"holdfastd {quartiles(ours, ' MB per CPU second', 0)}, {quartiles(wall, ' MB/s', 0)}")
    rows = []
    for name in peers:
        if name not in theirs:
            rows.append(Row(f"captured output per core ÷ {name}", "", "", None, f"{name} is not installed"))
            continue
        ratio = median(ours) / median(theirs[name])
        rows.append(Row(f"captured output per core ÷ {name}", f"{ratio:.2f}", "≥ 1", ratio >= 1,
                        f"{median(ours):.0f} against {median(theirs[name]):.0f} MB per CPU second; "
                        f"{median(wall):.0f} MB/s in all"))
    chat.sort()
    rows.append(Row(f"a chatting service's lines wait beside {size // 1_000_000} MB", f"{chat[int(len(chat) * 0.99)] * 1000:.1f} ms",
                    "", None, f"99th percentile of {len(chat)} lines; at most {chat[-1] * 1000:.0f} ms; "
                    "of both services nothing is lost, and all is in order"))
    return rows + [quiet_beside_flood(setup)]


def print_through_daemon(setup, size):
    """CPU seconds, seconds, and how long each line of a service that chats meanwhile has waited. Every line is looked for."""
    daemon = Daemon(setup)
    script = f"{setup.directory('chat')}/chat.py"
    write(script, "import itertools, time\nfor n in itertools.count():\n    print(n, time.time(), flush=True)\n    time.sleep(0.005)\n")
    daemon.unit("chat.service", f"[Service]\nType=simple\nExecStart=/usr/bin/python3 {script}\n")
    daemon.unit("print.service", f"[Service]\nType=simple\nExecStart={setup.helper} print {size}\nX-LogKeep=1000\n")
    with daemon:
        daemon.control.operate("Start", "chat.service", "started")
        time.sleep(0.3)
        before, begin = cpu_seconds(daemon.pid), time.monotonic()
        daemon.control.send("Start", name="print.service")
        daemon.control.receive()
        lines = size // 80

        def ended():
            unit = daemon.control.call("Status", names=["print.service"])["units"][0]
            return unit["state"] not in ("running", "starting")
        while not ended():
            # Rarely: to ask costs the daemon time.
            time.sleep(0.2)
        seconds = time.monotonic() - begin
        cpu = cpu_seconds(daemon.pid) - before
        daemon.control.operate("Stop", "chat.service", "stopped")
        check = "$1 != n + 0 { print \"line\", n + 0, \"is\", $1; exit } { n++ } END { print n }"
        reader = subprocess.run(f"{setup.program('holdfastctl')} logs --log-dir {daemon.log} -n all -o cat print | awk '{check}'",
                                shell=True, capture_output=True, text=True, check=True)
        if reader.stdout != f"{lines}\n":
            raise RuntimeError(f"{lines} lines were printed; of the log: {reader.stdout}")
        waits = []
        with open(f"{daemon.log}/chat.service.log") as file:
            for number, line in enumerate(file):
                taken, _, _, printed, written = line.split()
                if int(printed) != number:
                    raise RuntimeError(f"line {number} of the chatting service is {printed}")
                waits.append(stamp(taken) - float(written))
    return cpu, seconds, waits


def print_through_peer(setup, size, name, command):
    """CPU seconds of a logger with time stamps and the same rotation, without compression."""
    directory = setup.directory(name)
    reading, writing = os.pipe()
    logger = subprocess.Popen([*command, directory], stdin=reading, stderr=subprocess.DEVNULL)
    os.close(reading)
    source = subprocess.Popen([setup.helper, "print", str(size)], stdout=writing)
    os.close(writing)
    source.wait()
    _, status, usage = os.wait4(logger.pid, 0)
    logger.returncode = status
    shutil.rmtree(directory)
    return usage.ru_utime + usage.ru_stime


def print_through_s6(setup, size):
    return print_through_peer(setup, size, "s6-log", ["s6-log", "T", "s50000000", "n10"])


def print_through_svlogd(setup, size):
    # Its files are of 1 MB unless a file says otherwise; ours is not there to be written into a directory of its own making.
    return print_through_peer(setup, size, "svlogd", ["svlogd", "-ttt"])


def quiet_beside_flood(setup):
    """From write(2) in a service that prints once in 5 ms until holdfastd has taken the line, alone and beside `yes`."""
    daemon = Daemon(setup)
    script = f"{setup.directory('quiet')}/quiet.py"
    write(script, "import time\nwhile True:\n    print(time.time(), flush=True)\n    time.sleep(0.005)\n")
    daemon.unit("quiet.service", f"[Service]\nType=simple\nExecStart=/usr/bin/python3 {script}\n")
    daemon.unit("flood.service", "[Service]\nType=simple\nExecStart=/usr/bin/yes a line of an ordinary length, as programs print\n"
                "X-LogKeep=1\n")
    seconds = setup.choose(2, 10)
    with daemon:
        daemon.control.operate("Start", "quiet.service", "started")
        time.sleep(seconds)
        daemon.control.operate("Start", "flood.service", "started")
        middle = time.time()
        time.sleep(seconds)
        daemon.control.operate("Stop", "flood.service", "stopped")
        end = time.time()
        waits = [], []
        with open(f"{daemon.log}/quiet.service.log") as file:
            for line in file:
                taken, _, _, written = line.split()
                if float(written) < end:
                    waits[float(written) >= middle].append(stamp(taken) - float(written))
    alone, beside = (sorted(part) for part in waits)
    far = [part[int(len(part) * 0.99)] * 1000 for part in (alone, beside)]
    return Row("a quiet service's lines wait beside a flood: 99th percentile ÷ without", f"{far[1] / far[0]:.1f}", "", None,
               f"{far[1]:.1f} against {far[0]:.1f} ms; median {median(beside) * 1000:.2f} against {median(alone) * 1000:.2f} ms; "
               f"{len(beside)} lines, none lost")


def stamp(text):
    """Seconds since 1970 of an RFC 3339 time in UTC."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def startup(setup):
    """Start-up of the command line, `holdfastctl --version` ÷ `systemctl --version` and `supervisorctl version`."""
    rounds = setup.choose(5, 50)
    ours = [run_time([setup.program("holdfastctl"), "--version"])[0] for _ in range(rounds)]
    rows = []
    for argv in (["systemctl", "--version"], ["supervisorctl", "--help"]):
        name = " ".join(argv)
        if not shutil.which(argv[0]):
            rows.append(Row(f"holdfastctl --version ÷ {name}", "", "", None, f"{argv[0]} is not installed"))
            continue
        theirs = [run_time(argv)[0] for _ in range(rounds)]
        rows.append(Row(f"holdfastctl --version ÷ {name}", f"{median(ours) / median(theirs):.2f}", "", None,
                        f"{median(ours) * 1000:.1f} against {median(theirs) * 1000:.1f} ms"))
    return rows


def notify(setup):
    """Round trip of a notify message (BARRIER=1) ÷ a program that only receives and closes."""
    count = setup.choose(200, 5000)
    path = f"{setup.scratch}/barrier"
    floor = int(subprocess.run([setup.helper, "barrier-floor", str(count)], capture_output=True, check=True).stdout)
    daemon = Daemon(setup)
    daemon.unit("barrier.service", "[Service]\nType=simple\nNotifyAccess=all\n"
                f"ExecStart={setup.helper} barrier {count} {path}\n")
    with daemon:
        daemon.control.operate("Start", "barrier.service", "started")
        until("the median", lambda: os.path.exists(path) and os.path.getsize(path) > 1)
        with open(path) as file:
            time = int(file.read())
    return [Row("notify round trip (BARRIER=1) ÷ a bare receiver in C", f"{time / floor:.1f}", "", None,
                f"{time / 1000:.0f} against {floor / 1000:.0f} µs")]
