"""Swaps of HAProxy and its backend: requests lost, latency, overhead. Units and configuration are those of units/demo."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

from harness import ROOT, Daemon, Row, Skip, at_most, cpu_seconds, free_port, interval, median, quartiles, say, write

HAPROXY = "/usr/sbin/haproxy"


class Site:
    """The demo, prepared in a daemon's directory."""

    def __init__(self, setup, soak):
        if not os.access(HAPROXY, os.X_OK):
            raise Skip("haproxy is not installed")
        directory = setup.directory("site")
        self.port = free_port()
        subprocess.run([f"{ROOT}/units/demo/prepare", directory, setup.bin, str(self.port)], check=True,
                       stdout=subprocess.DEVNULL)
        self.daemon = Daemon(setup, directory)
        self.daemon.unit("site@.target.d/bench.conf", f"[X-Swap]\nSoakSec={soak}\n")
        self.url = f"http://127.0.0.1:{self.port}/"
        self.releases = ["v2", "v1"]

    def __enter__(self):
        self.daemon.__enter__()
        try:
            self.daemon.control.operate("Swap", "site@v1", "started")
        except BaseException as error:
            self.daemon.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(self, *reason):
        self.daemon.__exit__(*reason)

    def swap(self):
        """To the other release, until the old one is gone."""
        release = self.releases[0]
        result = self.daemon.control.operate("Swap", f"site@{release}", "completed")
        self.releases.reverse()
        return result


class Hand:
    """The same programs and sockets, started one after the other by a small C program: what they cost by themselves."""

    def __init__(self, setup, site):
        self.setup = setup
        self.config = f"{site.daemon.directory}/config/site"
        self.directory = setup.directory("hand")
        self.public = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.public.setblocking(False)
        self.url = f"http://127.0.0.1:{self.public.getsockname()[1]}/"
        self.number = 0
        self.current = None

    def prepare(self, release):
        """A generation that waits for "go"."""
        self.number += 1
        path = f"{self.directory}/app.{self.number}"
        private = socket.socket(socket.AF_UNIX)
        private.bind(path)
        private.listen(4096)
        private.setblocking(False)
        files = f"{self.config}/{release}"
        argv = [
            self.setup.helper, "hand", f"{self.directory}/notify.{self.number}", str(self.public.fileno()),
            str(private.fileno()), self.setup.program("holdfast-static"), "--root", f"{files}/www", "--", HAPROXY, "-c",
            "-q", "-f", f"{files}/haproxy.cfg", "--", HAPROXY, "-Ws", "-f", f"{files}/haproxy.cfg"]
        with open(f"{self.directory}/log", "a") as log:
            process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                pass_fds=[self.public.fileno(), private.fileno()],
                env=dict(os.environ, LISTEN_FD_HTTP="3", UPSTREAM_APP=path))
        private.close()
        process.release = release
        return process

    def tell(self, process, word):
        process.stdin.write(word.encode() + b"\n")
        process.stdin.flush()

    def answer(self, process, word):
        line = process.stdout.readline().decode().strip()
        if line != word:
            with open(f"{self.directory}/log") as log:
                raise RuntimeError(f"started by hand: {log.read()[-2000:]}")

    def leave(self, process):
        self.tell(process, "drain")
        self.answer(process, "gone")
        process.wait()

    def swap(self, soak=0.0):
        release = "v2" if self.current and self.current.release == "v1" else "v1"
        new = self.prepare(release)
        self.tell(new, "go")
        self.answer(new, "ready")
        time.sleep(soak)
        if self.current:
            self.leave(self.current)
        self.current = new

    def __enter__(self):
        self.swap()
        return self

    def __exit__(self, *_):
        if self.current:
            self.current.stdin.close()
            self.current.wait()
        self.public.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class Load:
    """holdfast-probe twice at the same time: new connections and kept ones."""

    def __init__(self, setup, url, clients, rate=None):
        self.probes = []
        for kind, options in (("new", []), ("kept", ["--keep-alive"])):
            argv = [setup.program("holdfast-probe"), "-c", str(clients), "--json", *options, url]
            argv += ["--rate", str(rate)] if rate else []
            self.probes.append((kind, subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)))

    def stop(self):
        for _, probe in self.probes:
            probe.send_signal(signal.SIGTERM)
        return {kind: json.loads(probe.communicate()[0]) for kind, probe in self.probes}


def swaps(setup):
    """Requests lost in swaps under load; 99.9th percentile during swaps ÷ without, in alternate phases of equal length."""
    rows = []
    full = setup.choose(10, 100, 1000)
    rows += under_load(setup, "full load, 2 × 32 clients", full, 32, None)
    rows += under_load(setup, "1,000 requests/s", setup.choose(6, 50, 200), 32, 500)
    return rows


def under_load(setup, name, count, clients, rate):
    """Phases: nothing, swaps by Holdfast, swaps by hand (the programs' own share), and again."""
    length = setup.choose(2.0, 6.0, 20.0)
    soak = 0.2
    phases = []
    done = by_hand = 0
    lost = {"Holdfast": {}, "by hand": {}}
    requests = 0
    with Site(setup, f"{int(soak * 1000)}ms") as site, Hand(setup, site) as hand:
        while done < count:
            phase = {}
            for kind, url, step in (
                    ("quiet", site.url, None), ("swaps", site.url, site.swap), ("hand", hand.url, lambda: hand.swap(soak))):
                load = Load(setup, url, clients, rate)
                begin = time.monotonic()
                if step is None:
                    time.sleep(length)
                elif kind == "swaps":
                    before = done
                    while time.monotonic() < begin + length:
                        step()
                        done += 1
                else:
                    # As many in the same time: by hand they are quicker, and more of them would cost more.
                    for number in range(done - before):
                        time.sleep(max(0, begin + number * length / (done - before) - time.monotonic()))
                        step()
                        by_hand += 1
                phase[kind] = load.stop()
                for result in phase[kind].values():
                    who = "by hand" if kind == "hand" else "Holdfast"
                    for loss, number in result["losses"].items():
                        lost[who][loss] = lost[who].get(loss, 0) + number
                    requests += result["requests"] if kind != "hand" else 0
            phases.append(phase)
            say(f"{name}: {done} swaps, {requests} requests, lost {sum(lost['Holdfast'].values())}; 99.9 % in ms "
                + "; ".join(f"{kind} {p999(phase, kind, 'new'):.1f} new, {p999(phase, kind, 'kept'):.1f} kept"
                            for kind in phase))
    total = sum(lost["Holdfast"].values())
    losses = ", ".join(f"{number} {loss}" for loss, number in lost["Holdfast"].items() if number)
    rows = [Row(f"lost in {done} swaps, {name}", str(total), "0", total == 0,
                f"of {requests} requests{'; ' + losses if losses else ''}; "
                f"{sum(lost['by hand'].values())} in {by_hand} swaps by hand")]
    for client in ("new", "kept"):
        ratios = [p999(phase, "swaps", client) / p999(phase, "quiet", client) for phase in phases]
        against_hand = [p999(phase, "swaps", client) / p999(phase, "hand", client) for phase in phases]
        absolute = [median([p999(phase, kind, client) for phase in phases]) for kind in ("swaps", "quiet", "hand")]
        what = "new connections" if client == "new" else "kept connections"
        rows.append(Row(
            f"  99.9th percentile during swaps ÷ without, {what}", quartiles(ratios), "≤ 1.5", at_most(ratios, 1.5),
            f"÷ during swaps by hand: {median(against_hand):.2f}; {absolute[0]:.1f}, {absolute[1]:.1f}, "
            f"{absolute[2]:.1f} ms"))
    return rows


def p999(phase, kind, client):
    """Milliseconds."""
    return max(phase[kind][client]["latencyMicroseconds"]["p999"], 1) / 1000


def overhead(setup):
    """From `swap` to the new generation's first answer, minus the same programs started by hand; in alternate trials."""
    trials = setup.choose(5, 40, 100)
    ours, hands, differences, results, cpus = [], [], [], [], []
    with Site(setup, "0") as site, Hand(setup, site) as hand:
        for _ in range(trials):
            wanted = site.releases[0]
            cpu = cpu_seconds(site.daemon.pid)
            begin = time.monotonic()
            site.daemon.control.send("Swap", name=f"site@{wanted}")
            mine = first_answer(site.port, wanted) - begin
            result = site.daemon.control.receive()["result"]
            if result["outcome"] != "completed":
                raise RuntimeError(f"swap: {json.dumps(result)}")
            results.append(result)
            cpus.append(1000 * (cpu_seconds(site.daemon.pid) - cpu))
            site.releases.reverse()
            new = hand.prepare("v2" if hand.current.release == "v1" else "v1")
            # It is as ready as the daemon was: its own start is not the programs'.
            time.sleep(0.05)
            begin = time.monotonic()
            hand.tell(new, "go")
            theirs = first_answer(hand.public.getsockname()[1], new.release) - begin
            hand.answer(new, "ready")
            hand.leave(hand.current)
            hand.current = new
            ours.append(1000 * mine)
            hands.append(1000 * theirs)
            differences.append(ours[-1] - hands[-1])
    low, high = interval(differences)
    phases = {name: [1000 * result["durations"].get(name, 0) for result in results]
              for name in ("prepare", "start", "soak", "drain", "total")}
    say("phases of the swap, ms: " + ", ".join(f"{name} {quartiles(values, '', 1)}" for name, values in phases.items()))
    return [Row("swap → first answer, minus the programs' own start-up", f"{median(differences):.1f} ms", "≤ 5 ms",
                at_most(differences, 5), f"{'95 % sure' if trials >= 6 else 'range'}: {low:.1f} to {high:.1f} ms; ÷ by hand: "
                f"{median(ours) / median(hands):.2f}; {quartiles(ours, ' ms', 1)} against {quartiles(hands, ' ms', 1)}; "
                f"CPU of holdfastd for a whole swap {quartiles(cpus, ' ms', 1)}")]


def first_answer(port, release):
    """When the first answer of `release` has come, asking again and again."""
    wanted = release.upper().encode()
    request = b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"
    end = time.monotonic() + 20
    while True:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(request)
            answer = b""
            while data := client.recv(65536):
                answer += data
        now = time.monotonic()
        if wanted in answer.split(b"\r\n\r\n", 1)[-1]:
            return now
        if now > end:
            raise RuntimeError(f"no answer of {release} within 20 s; last: {answer[:200]}")
