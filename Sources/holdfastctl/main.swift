// holdfastctl: the command line of Holdfast.
//
// One process, one connection, one answer: it speaks `io.holdfast.Manager` over the control socket with plain blocking
// calls, and renders what comes back. What to print is decided by pure functions in Rendering/ (a value and a `Screen`
// in, lines out); what to ask is decided by the commands in Commands/; `Session` and `Connection` are between them.

import Glibc
import Linux

StarterTraits.fillStandardStreams()
// Services ignore SIGPIPE, and "holdfastctl logs -f | head" in one must end all the same.
StarterTraits.resetSignals(only: [SIGPIPE, SIGCHLD])
exit(Holdfastctl.start(Array(CommandLine.arguments.dropFirst())).rawValue)
