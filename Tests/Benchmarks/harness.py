"""What every benchmark needs: a daemon of its own, its control socket, figures of processes, rows of the table."""
import json
import math
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Skip(Exception):
    """A benchmark that cannot be run here, with the reason."""


class Setup:
    """Options of the command line, and the compiled helper."""

    def __init__(self, bin, quick, full, scratch):
        self.bin = os.path.abspath(bin)
        self.quick = quick
        self.full = full
        self.scratch = scratch
        self.elsewhere = []
        self.helper = f"{scratch}/bench"
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", self.helper, f"{HERE}/bench.c"], check=True)

    def choose(self, quick, usual, full=None):
        return quick if self.quick else full if self.full and full is not None else usual

    def memory_directory(self, name):
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.scratch
        path = tempfile.mkdtemp(prefix=f"hfb-{name}-", dir=where)
        self.elsewhere.append(path)
        return path

    def clean(self):
        for path in self.elsewhere:
            shutil.rmtree(path, ignore_errors=True)

    def program(self, name):
        return f"{self.bin}/{name}"

    def directory(self, name):
        return tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch)


class Row:
    """A line of the table. `met`: True, False, "unclear", or None where there is no figure to reach."""

    def __init__(self, what, measured, figure="", met=None, note=""):
        self.what, self.measured, self.figure, self.met, self.note = what, measured, figure, met, note

    def json(self):
        return dict(self.__dict__)


def say(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values)


def quartiles(values, unit="", digits=2):
    """Median and the middle half: 1.20 (1.11–1.34)"""
    if len(values) < 2:
        return f"{values[0]:.{digits}f}{unit}"
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f}){unit}"


def interval(values):
    """95 % confidence interval of the median, by order statistics; the whole range if there are too few."""
    ordered, n = sorted(values), len(values)
    below = -1
    cumulated = 0.0
    for k in range(n // 2):
        cumulated += math.comb(n, k) / 2 ** n
        if cumulated > 0.025:
            break
        below = k
    # With fewer than six values not even the range covers the median that surely.
    low = max(below, 0)
    return ordered[low], ordered[n - 1 - low]


def at_most(values, limit):
    """Whether the median is; "unclear" where noise is larger than the distance to the limit."""
    low, high = interval(values)
    return True if high <= limit and len(values) > 1 else False if low > limit and len(values) > 1 else "unclear"


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def until(what, condition, seconds=60):
    """Waits for something that sends no event. Never part of a measured time."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise RuntimeError(f"waited {seconds} s for {what}")
        time.sleep(0.01)
    return result


# MARK: - Figures of processes


def private_memory(pid):
    """Memory that exists only because of this process (Private_Dirty of proc_pid_smaps_rollup(5)), in MB (10^6).

    Pages of the program file are not in it: the kernel can drop them at any time, and whether they are mapped depends on the
    page cache.
    """
    return memory_kinds(pid)["Private_Dirty"] * 1024 / 1e6


def memory_kinds(pid):
    """Kinds of memory in kB, by their names in proc_pid_smaps_rollup(5)."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        rows = (line.split() for line in file)
        return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) == 3 and row[2] == "kB"}


def switches(pid):
    """How often its threads stopped running, of themselves or not: each wake-up ends with one."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            total += sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)
    return total


def cpu_seconds(pid):
    """User and system time of its threads so far, to the nanosecond where the kernel says (schedstat), else in ticks."""
    try:
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as file:
                total += int(file.read().split()[0])
        return total / 1e9
    except OSError:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    """All descendants, itself first."""
    result = [pid]
    for parent in result:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as file:
                    result += [int(word) for word in file.read().split()]
        except FileNotFoundError:
            pass
    return result


def stamps(path):
    """{pid: nanoseconds} of what `bench stamp` wrote."""
    try:
        with open(path) as file:
            return {int(pid): int(time) for pid, time in (line.split() for line in file if line.endswith("\n"))}
    except FileNotFoundError:
        return {}


def run_time(argv, env=None):
    """Wall time of a whole process in seconds, from before its start until it is reaped; output goes nowhere."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
    begin = time.monotonic()
    pid = os.posix_spawnp(argv[0], argv, os.environ if env is None else env, file_actions=actions)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - begin
    os.close(null)
    return seconds, os.waitstatus_to_exitcode(status), usage


# MARK: - The daemon


class Control:
    """One connection to the control socket (Varlink: JSON objects, a zero byte after each)."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.rest = b""

    def send(self, method, **parameters):
        call = {"method": f"io.holdfast.Manager.{method}", "parameters": parameters}
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def receive(self):
        while b"\0" not in self.rest:
            data = self.socket.recv(1 << 20)
            if not data:
                raise RuntimeError("the daemon closed the control connection")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        reply = json.loads(message)
        if "error" in reply:
            raise RuntimeError(f"{reply['error']}: {json.dumps(reply.get('parameters'))}")
        return reply["parameters"]

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive()

    def operate(self, method, name, expected):
        result = self.call(method, name=name)["result"]
        if result["outcome"] != expected:
            raise RuntimeError(f"{method} {name}: {json.dumps(result)}")
        return result

    def close(self):
        self.socket.close()


class Daemon:
    """holdfastd with directories of its own: `with Daemon(setup) as daemon`. Units are written before, with `unit`."""

    def __init__(self, setup, directory=None):
        self.setup = setup
        self.directory = directory or setup.directory("daemon")
        self.units = f"{self.directory}/units"
        # On a host /run is in memory and /var on disk; so here, where there is memory to be had.
        self.run = setup.memory_directory("run")
        self.log = f"{self.directory}/log"
        os.makedirs(self.units, exist_ok=True)
        self.environment = dict(
            os.environ, XDG_CONFIG_HOME=f"{self.directory}/config", XDG_RUNTIME_DIR=self.run,
            XDG_STATE_HOME=f"{self.directory}/state", HOLDFAST_SOCKET=self.socket)

    @property
    def socket(self):
        return f"{self.run}/holdfast/io.holdfast"

    def unit(self, name, text):
        write(f"{self.units}/{name}", text)

    def __enter__(self):
        path = f"{self.directory}/ready"
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(path)
        ready.settimeout(60)
        argv = [
            self.setup.program("holdfastd"), "--user", "--units", self.units, "--runtime-dir", f"{self.run}/holdfast",
            "--state-dir", f"{self.directory}/state", "--log-dir", self.log]
        begin = time.monotonic()
        with open(f"{self.directory}/holdfastd.log", "w") as log:
            self.process = subprocess.Popen(
                argv, env=dict(self.environment, NOTIFY_SOCKET=path), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            while b"READY=1" not in ready.recv(4096):
                pass
        except TimeoutError:
            self.process.kill()
            raise RuntimeError(f"holdfastd does not get ready: {self.messages()}") from None
        self.start_seconds = time.monotonic() - begin
        self.pid = self.process.pid
        # Kept open: it says STOPPING=1 later.
        self.ready = ready
        self.control = Control(self.socket)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            say(f"holdfastd said: {self.messages()[-2000:]}")
        self.control.close()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            # Its services would outlive it.
            for pid in reversed(children(self.pid)):
                os.kill(pid, signal.SIGKILL)
            self.process.wait()
            say("holdfastd did not end within 120 s of SIGTERM and was killed")
        self.ready.close()
        os.unlink(f"{self.directory}/ready")
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.run, ignore_errors=True)

    def messages(self):
        with open(f"{self.directory}/holdfastd.log") as file:
            return file.read()

    def services(self, count, command, first=1, extra=""):
        """Unit files of `count` services, and a target without [X-Swap] that wants them all; its name."""
        names = [f"bench-{number}.service" for number in range(first, first + count)]
        for name in names:
            self.unit(name, f"[Unit]\nDescription=Benchmark\n[Service]\nType=simple\nExecStart={command}\n{extra}")
        target = f"all-{first}.target"
        self.unit(target, "[Unit]\nDescription=All of them\nWants=" + " ".join(names) + "\n")
        return target
