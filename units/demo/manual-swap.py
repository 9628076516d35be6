#!/usr/bin/env python3
"""Swap HAProxy and its backend by hand, many times under load, and count what was lost.

This is the demo without Holdfast: it proves that the programs and configurations beside this file can be swapped without a
loss, so that a loss under Holdfast is Holdfast's. It holds the sockets, starts both programs of a generation, and then stops
the old proxy (SIGUSR1) and after it the old backend (SIGTERM).

    manual-swap.py BIN_DIR [--swaps 10] [--clients 64] [--soak 0.3] [--rate N] [--keep-alive | --new-connections]
                   [--backend-only] [--config FILE]

BIN_DIR has holdfast-static and holdfast-probe. Exit status: 0 if nothing was lost.
"""
import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Process:
    """A started program that has said READY=1."""

    def __init__(self, run, name, argv, listening, variables):
        self.name = name
        notify_path = f"{run}/notify-{name}"
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(notify_path)
        # LISTEN_PID is known only in the child.
        environment = dict(os.environ, LISTEN_FDS="1", NOTIFY_SOCKET=notify_path, **variables)
        begin = time.monotonic()
        log = os.open(f"{run}/log-{name}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(log, 1)
                os.dup2(log, 2)
                os.dup2(listening.fileno(), 3)
                os.set_inheritable(3, True)
                environment["LISTEN_PID"] = str(os.getpid())
                os.execve(argv[0], argv, environment)
            finally:
                os._exit(127)
        os.close(log)
        notify.settimeout(10)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
        except TimeoutError:
            sys.exit(f"{name} did not get ready: {open(f'{run}/log-{name}').read()}")
        self.start_up = time.monotonic() - begin
        # Kept open: what the program says later has somewhere to go.
        self.notify = notify

    def drain(self, number):
        begin = time.monotonic()
        os.kill(self.pid, number)
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), time.monotonic() - begin


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--swaps", type=int, default=10)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--soak", type=float, default=0.3)
    parser.add_argument("--keep-alive", action="store_true")
    parser.add_argument("--new-connections", action="store_true")
    parser.add_argument("--rate", type=int, help="requests per second, so that kept connections are idle in between")
    parser.add_argument("--backend-only", action="store_true", help="one proxy stays, on one socket of the backends")
    parser.add_argument("--config", help="instead of the release's haproxy.cfg")
    options = parser.parse_args()
    lost = 0
    for keep_alive in (False, True):
        if keep_alive and options.new_connections or not keep_alive and options.keep_alive:
            continue
        with tempfile.TemporaryDirectory() as run:
            lost += swaps(run, options, keep_alive)
    return 1 if lost else 0


def swaps(run, options, keep_alive):
    public = socket.create_server(("127.0.0.1", 0), backlog=4096)
    public.setblocking(False)
    port = public.getsockname()[1]
    shared = []

    def generation(number, old):
        release = "v1" if number % 2 else "v2"
        path = f"{run}/app.{0 if options.backend_only else number}"
        if options.backend_only and shared:
            private = shared[0]
        else:
            private = socket.socket(socket.AF_UNIX)
            private.bind(path)
            private.listen(4096)
            private.setblocking(False)
            shared.append(private)
        www = f"{HERE}/{release}/www"
        backend = Process(run, f"app-{number}", [f"{options.bin}/holdfast-static", "--root", www], private, {})
        if options.backend_only and old:
            return old[0], backend
        config = options.config or f"{HERE}/{release}/haproxy.cfg"
        variables = {"LISTEN_FD_HTTP": "3", "UPSTREAM_APP": path}
        proxy = Process(run, f"edge-{number}", ["/usr/sbin/haproxy", "-Ws", "-f", config], public, variables)
        return proxy, backend

    current = generation(1, None)
    argv = [f"{options.bin}/holdfast-probe", "-c", str(options.clients), "--json", f"http://127.0.0.1:{port}/"]
    argv += ["-k"] if keep_alive else []
    argv += ["--rate", str(options.rate)] if options.rate else []
    probe = subprocess.Popen(argv, stdout=subprocess.PIPE)
    time.sleep(0.5)
    figures = {"proxy drain": [], "backend drain": [], "proxy start": [], "backend start": []}
    for number in range(2, options.swaps + 2):
        new = generation(number, current)
        figures["backend start"].append(new[1].start_up)
        time.sleep(options.soak)
        if new[0] is not current[0]:
            figures["proxy start"].append(new[0].start_up)
            code, seconds = current[0].drain(signal.SIGUSR1)
            assert code in (0, 143), f"haproxy exited with {code}"
            figures["proxy drain"].append(seconds)
        code, seconds = current[1].drain(signal.SIGTERM)
        assert code == 0, f"holdfast-static exited with {code}"
        figures["backend drain"].append(seconds)
        current = new
    time.sleep(0.3)
    probe.send_signal(signal.SIGTERM)
    result = json.loads(probe.communicate()[0])
    current[0].drain(signal.SIGUSR1)
    current[1].drain(signal.SIGTERM)
    print("keep-alive" if keep_alive else "new connections", f"{options.swaps} swaps", json.dumps(result))
    for name, values in figures.items():
        if values:
            print(f"  {name}: mean {1000 * sum(values) / len(values):.0f} ms, most {1000 * max(values):.0f} ms")
    return result["lost"]


if __name__ == "__main__":
    sys.exit(main())
