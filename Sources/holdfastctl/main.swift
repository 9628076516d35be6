// holdfastctl: the command line of Holdfast.
//
// One process and one connection at a time: it calls `io.holdfast.Manager` over the control socket with blocking calls
// and renders the replies. Pure functions in Rendering/ decide the output (a value and a `Screen` in, lines out); the
// commands in Commands/ decide the requests; `Session` and `Connection` connect them.

import Glibc
import Linux

StarterTraits.fillStandardStreams()
// Services ignore SIGPIPE, and "holdfastctl logs -f | head" in one must end all the same.
StarterTraits.resetSignals(only: [SIGPIPE, SIGCHLD])
exit(Holdfastctl.start(Array(CommandLine.arguments.dropFirst())).rawValue)
