"""Other supervisors, where installed, doing the same in the same run."""
import os
import shutil
import signal
import subprocess
import time

from harness import children, private_memory


class Peer:
    """`count` services of one command. `begin` is when it was started, in nanoseconds."""

    name = program = ""

    def __init__(self, setup, count, command):
        self.directory = setup.directory(self.name)
        self.services = f"{self.directory}/services"
        os.makedirs(self.services)
        for number in range(count):
            path = f"{self.services}/bench-{number}"
            os.makedirs(path)
            with open(f"{path}/run", "w") as file:
                file.write(f"#!/bin/sh\nexec {command}\n")
            os.chmod(f"{path}/run", 0o755)

    def argv(self):
        raise NotImplementedError

    def __enter__(self):
        self.begin = time.monotonic_ns()
        self.process = subprocess.Popen(
            self.argv(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True)
        return self

    def __exit__(self, *_):
        # Supervisors of single services would start theirs again: from the top down, and stopped until all are dead.
        mine = children(self.process.pid)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in mine:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    pass
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def memory(self):
        """All its own processes, without the services."""
        return sum(private_memory(pid) for pid in children(self.process.pid) if self.is_own(pid))

    def is_own(self, pid):
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip() != "bench"


class Runit(Peer):
    name, program = "runit", "runsvdir"

    def argv(self):
        return ["runsvdir", self.services]


class S6(Peer):
    name, program = "s6", "s6-svscan"

    def argv(self):
        return ["s6-svscan", "-c", "2000", self.services]


class Supervisor(Peer):
    name, program = "supervisor", "supervisord"

    def __init__(self, setup, count, command):
        super().__init__(setup, 0, command)
        self.configuration = f"{self.directory}/supervisord.conf"
        with open(self.configuration, "w") as file:
            file.write(f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nminfds=8192\n"
                       f"pidfile={self.directory}/pid\n")
            for number in range(count):
                file.write(f"[program:bench-{number}]\ncommand={command}\nautorestart=true\nstdout_logfile=/dev/null\n"
                           "stdout_logfile_maxbytes=0\nstderr_logfile=/dev/null\nstderr_logfile_maxbytes=0\n")

    def argv(self):
        return ["supervisord", "-c", self.configuration]


def installed():
    return [peer for peer in (Runit, S6, Supervisor) if shutil.which(peer.program)]


def missing():
    return [peer.name for peer in (Runit, S6, Supervisor) if not shutil.which(peer.program)]
