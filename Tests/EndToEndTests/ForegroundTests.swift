import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// `holdfastctl fg`: shows a service's output, and passes on typed input.
    @Suite struct Foreground {
        private static let loop = """
            echo "begun $1"
            while read -r line; do echo "$1 got $line"; done
            echo "the end of input"
            exec sleep 1000
            """

        private func game(_ layout: World.Layout, _ service: String = "", _ script: String = loop) throws {
            try layout.write("game.sh", script)
            try layout.unit(
                "game.socket",
                "[Socket]\nListenFIFO=\(layout.path)/game.input\nFileDescriptorName=input\nSocketMode=0600\n")
            try layout.unit(
                "game.service",
                """
                [Service]
                Type=exec
                ExecStart=/bin/sh \(layout.path)/game.sh ${GENERATION}
                TimeoutStopSec=1s
                \(service)
                [X-Swap]
                SoakSec=100ms
                """)
        }

        /// Runs `fg` with a FIFO as its input, to which `mouth` opens the other end.
        private func attach(_ world: World, _ name: String) throws -> Program {
            let pipe = "\(world.path)/said-\(name)"
            mkfifo(pipe, 0o600)
            return try Program(
                "sh", ["-c", "exec \"$0\" fg \(name) < \(pipe)", "\(World.binaries)/holdfastctl"],
                environment: world.environment)
        }

        /// The writing end of the input; closing it ends `fg`.
        private func mouth(_ world: World, _ name: String) throws -> FileHandle {
            let pipe = "\(world.path)/said-\(name)"
            guard let mouth = FileHandle(forWritingAtPath: pipe) else { throw WaitedInVain(what: pipe) }
            return mouth
        }

        private func wait(_ program: Program, for text: String) throws {
            _ = try program.waitFor(text) { output, _ in
                String(decoding: output, as: UTF8.self).contains(text) ? true : nil
            }
        }

        @Test("What is typed is read by the service, and after a swap and a crash of the supervisor by who serves then")
        func typing() throws {
            try withWorld {
                try game($0, "StandardInput=fd:input")
            } then: { world in
                #expect(try world.run("start", "game").outcome == .started)
                let fg = try attach(world, "game")
                let mouth = try mouth(world, "game")
                // An earlier input would be in the log before `fg` watches it, and not be shown.
                try eventually("fg to look") {
                    ProcessEntry(fg.pid)?.descriptors.values.contains("anon_inode:inotify") ?? false
                }
                mouth.write(Data("hello\nünïcode\n".utf8))
                try wait(fg, for: "1 got hello\n1 got ünïcode\n")
                #expect(try world.run("swap", "game").outcome == .completed)
                mouth.write(Data("again\n".utf8))
                try wait(fg, for: "2 got again\n")
                let pid = try world.mainPid("game.service")
                try world.crash()
                mouth.write(Data("is anybody there\n".utf8))
                try world.startAgain()
                try wait(fg, for: "2 got is anybody there\n")
                try mouth.close()
                #expect(try fg.end() == 0, "\(fg.errorText)")
                #expect(!fg.outputText.contains("begun 1"), "what was printed before")
                #expect(!fg.outputText.contains("the end of input"))
                #expect(try world.mainPid("game.service") == pid)
            }
        }

        @Test("A service that does not read stops neither the supervisor nor what is typed for good; it waits")
        func full() throws {
            try withWorld {
                try game($0, "StandardInput=fd:input", "exec sleep 1000")
            } then: { world in
                #expect(try world.run("start", "game").outcome == .started)
                try world.layout().write("much", String(repeating: "yes\n", count: 75000))
                let fg = try Program(
                    "sh",
                    ["-c", "exec \"$0\" fg game < \"$1\"", "\(World.binaries)/holdfastctl", "\(world.path)/much"],
                    environment: world.environment)
                _ = try fg.waitFor("the wait") { _, errors in
                    String(decoding: errors, as: UTF8.self).contains("does not read its input") ? true : nil
                }
                #expect(try world.status("game").first?.state == .running)
                fg.killIfAlive()
                #expect(try world.run("stop", "game").outcome == .stopped)
            }
        }

        @Test(
            "A service without an input that can be typed into: fg says what its input is, and what is refused ends a pipe with 1",
            arguments: [
                ("", "StandardInput= is null"),
                ("StandardInputText=hello", "StandardInput= is data"),
                ("StandardInput=file:/etc/passwd", "StandardInput= is file:/etc/passwd, which is no FIFO"),
            ])
        func noInput(directive: String, reason: String) throws {
            try withWorld {
                try game($0, directive)
            } then: { world in
                #expect(try world.run("start", "game").outcome == .started)
                let silent = try world.control("fg", "game")
                #expect(try silent.end() == 0)
                #expect(silent.errorText.contains("game.service takes no input: its \(reason)"), "\(silent.errorText)")
                #expect(silent.errorText.contains("StandardInput=fd:NAME"))
                let loud = try Program.run(
                    "sh", ["-c", "echo x | \"$0\" fg game", "\(World.binaries)/holdfastctl"],
                    environment: world.environment)
                #expect(try loud.end() == 1)
                let stopped = try world.run("stop", "game")
                #expect(stopped.outcome == .stopped || stopped.outcome == .unchanged)
                let gone = try world.control("fg", "game")
                #expect(try gone.end() == 1)
                #expect(gone.errorText.contains("game.service is not running"), "\(gone.errorText)")
            }
        }
    }
}
