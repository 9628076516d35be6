// holdfast-multibinder PATH: replaces GitHub's multibinder. The code is in `Multibinder`.

import Glibc
import Linux
import Multibinder

StarterTraits.fillStandardStreams()
StarterTraits.resetSignals(blocking: [.terminate, .interrupt, .user1])
signal(SIGPIPE, SIG_IGN)

func complain(_ text: String) -> Never {
    var line = text + "\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    exit(1)
}

let usage = "Usage: holdfast-multibinder PATH\nHolds listening sockets for clients of multibinder's protocol at PATH."
if CommandLine.arguments.dropFirst() == ["--help"] {
    print(usage)
    exit(0)
}
guard CommandLine.arguments.count == 2, let path = CommandLine.arguments.last, !path.hasPrefix("-") else {
    complain(usage)
}
guard let file = ProgramFile.current() else { complain("cannot find my own program file: is /proc mounted?") }
FileLimit.raise()
do {
    let loop = try EventLoop()
    let program = MultibinderProgram(loop: loop, path: path, program: file, arguments: CommandLine.arguments)
    try program.start()
    let status = try loop.run()
    program.stop()
    exit(status)
} catch {
    complain("holdfast-multibinder: \(error)")
}
