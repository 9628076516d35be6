// holdfastd: wires the supervisor to the process that it runs in. Everything that it does is in `Supervisor`.

import ArgumentParser
import Glibc
import Linux
import Logging
import Supervisor

// Before anything may start a thread: what is not blocked here would kill the process instead of waking the loop.
EventLoop.blockSignals([.terminate, .interrupt, .hangUp, .user2, .child, .reexecute])
signal(SIGPIPE, SIG_IGN)
Daemon.main()
