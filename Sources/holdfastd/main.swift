// holdfastd: wires the supervisor to the process that it runs in. Everything that it does is in `Supervisor`.

import ArgumentParser
import Glibc
import Linux
import Logging
import Supervisor

StarterTraits.fillStandardStreams()
// Before anything may start a thread: what is not blocked here would kill the process instead of waking the loop.
StarterTraits.resetSignals(blocking: [.terminate, .interrupt, .hangUp, .user2, .child, .reexecute])
signal(SIGPIPE, SIG_IGN)
// A write beyond RLIMIT_FSIZE is an error like a full disk.
signal(SIGXFSZ, SIG_IGN)
umask(0o022)
Daemon.main()
