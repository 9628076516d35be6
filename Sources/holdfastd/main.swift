// holdfastd: runs the supervisor in this process. The code is in `Supervisor`.

import ArgumentParser
import Glibc
import Linux
import Logging
import Supervisor

StarterTraits.fillStandardStreams()
// Before any thread can start: a signal that is not blocked here would kill the process instead of waking the loop.
StarterTraits.resetSignals(blocking: [.terminate, .interrupt, .hangUp, .user2, .child, .reexecute])
signal(SIGPIPE, SIG_IGN)
// A write beyond RLIMIT_FSIZE is an error like a full disk.
signal(SIGXFSZ, SIG_IGN)
umask(0o022)
Daemon.main()
