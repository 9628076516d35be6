import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Output of services: no line is lost, and all can be found again.
    @Suite struct Logs {
        /// Prints numbered lines until it is stopped; `site@v2` prints as `v2`.
        private static let counter = """
            trap 'exit 0' TERM
            i=0
            while :; do i=$((i + 1)); echo "$1 line $i"; sleep 0.005; done
            """

        private func service(_ layout: World.Layout, _ name: String, _ script: String, _ more: String = "") throws {
            try layout.write("\(name).sh", script)
            try layout.unit(
                "\(name).service",
                """
                [Service]
                Type=exec
                ExecStart=/bin/sh \(layout.path)/\(name).sh %i
                TimeoutStopSec=1s
                \(more)
                """)
        }

        /// The output lines of `logs` with these arguments.
        private func logs(_ world: World, _ arguments: String..., location: SourceLocation = #_sourceLocation) throws
            -> [String]
        {
            let program = try Program.run(
                "\(World.binaries)/holdfastctl", ["logs"] + arguments, environment: world.environment)
            #expect(try program.end() == 0, "\(program.errorText)", sourceLocation: location)
            return program.outputLines
        }

        /// Whether the numbers at the ends of one origin's lines are 1, 2, 3, …
        private func isWhole(_ lines: [String], _ origin: String) -> Bool {
            let numbers = lines.filter { $0.hasPrefix(origin) }.compactMap {
                $0.split(separator: " ").last.flatMap { Int($0) }
            }
            return !numbers.isEmpty && numbers == Array(1...numbers.count)
        }

        @Test(
            "logs shows lines of several units by time, with unit, generation and stream, and finds what is asked for")
        func reading() throws {
            try withWorld { layout in
                try service(layout, "one", "echo first\necho oops >&2\nexec sleep 1000")
                try service(layout, "two", "echo 'second 502'\nexec sleep 1000")
            } then: { world in
                for name in ["one", "two"] {
                    #expect(try world.run("start", name).outcome == .started)
                    try eventually("the output of \(name)") { try !logs(world, "-n", "all", name).isEmpty }
                }
                try eventually("standard error") { try logs(world, "-n", "all", "one").count == 2 }
                #expect(try logs(world, "--output", "cat", "--stream", "out") == ["first", "second 502"])
                #expect(try logs(world, "-o", "cat", "one.service", "--stream", "err") == ["oops"])
                #expect(try logs(world, "-o", "cat", "--grep", "[0-9]{3}$", "all") == ["second 502"])
                #expect(try logs(world, "-o", "cat", "-n", "1", "tw*") == ["second 502"])
                #expect(try logs(world, "-o", "cat", "--since", "-1h", "--until", "-30min") == [])
                #expect(try logs(world, "--generation", "7") == [])
                let short = try logs(world, "two").first ?? ""
                #expect(
                    try /\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| second 502/.wholeMatch(in: short) != nil, "\(short)")
                #expect(try logs(world).first { $0.contains("oops") }?.contains(" one#1 ! oops") == true)
                struct Line: Decodable, Equatable {
                    var unit: String
                    var generation: Int
                    var stream: String
                    var text: String
                }
                let json = try logs(world, "--json", "two").first ?? ""
                #expect(
                    try JSONDecoder().decode(Line.self, from: Data(json.utf8))
                        == Line(unit: "two.service", generation: 1, stream: "out", text: "second 502"))
                let unknown = try world.control("logs", "tree")
                #expect(try unknown.end() == 1)
                #expect(unknown.errorText.contains("tree"))
                let bad = try world.control("logs", "--since", "soon")
                #expect(try bad.end() == 2)
                #expect(bad.errorText.contains("--since takes a time"))
                // The commands that Supervisor's users know.
                #expect(try world.control("tail", "one", "stderr").outputText == "oops\n")
                #expect(try world.control("tail", "-4", "one", "stdout").outputText == "rst\n")
                #expect(try world.control("maintail").outputText.contains("is ready"))
                #expect(
                    try world.control("clear", "one", "two").outputText
                        == "one.service: cleared\ntwo.service: cleared\n")
                #expect(try logs(world, "-n", "all") == [])
            }
        }

        @Test("logs -f goes on over rotations, a swap and a re-exec, and loses no line; ^C ends it with 130")
        func following() throws {
            try withWorld { layout in
                try service(
                    layout, "count@", Self.counter,
                    "X-LogMaxBytes=4K\nX-LogKeep=1000\n[X-Swap]\nSoakSec=100ms\nDrainTimeoutSec=5s")
            } then: { world in
                let follow = try Program(
                    "\(World.binaries)/holdfastctl", ["logs", "-f", "-n", "all", "-o", "cat", "count@*"],
                    environment: world.environment)
                #expect(try world.run("start", "count@v1").outcome == .started)
                func awaitLine(_ text: String) throws {
                    _ = try follow.waitFor(text) { output, _ in
                        String(decoding: output, as: UTF8.self).contains(text + "\n") ? true : nil
                    }
                }
                try awaitLine("v1 line 300")
                #expect(try world.run("swap", "count@v2").outcome == .completed)
                try awaitLine("v2 line 300")
                #expect(try world.control("daemon-reexec").end() == 0)
                try awaitLine("v2 line 600")
                let names = world.filesBelow(world.logs)
                #expect(names.filter { $0.hasPrefix("count@v1.service.log.") }.count > 1, "it was rotated: \(names)")
                follow.send(SIGINT)
                #expect(try follow.end() == 130)
                #expect(follow.errorText == "")
                for release in ["v1", "v2"] {
                    #expect(isWhole(follow.outputLines, "\(release) line "), "\(release)")
                    let read = try logs(world, "-n", "all", "-o", "cat", "count@\(release)")
                    #expect(isWhole(read, "\(release) line "), "\(release), read later")
                }
            }
        }

        @Test(
            "100 MB through one service: nothing is lost, the order is kept, and a quiet one and status are heard meanwhile"
        )
        func flood() throws {
            try withWorld { layout in
                try service(
                    layout, "flood",
                    """
                    awk 'BEGIN { s = sprintf("%1000s", ""); for (i = 1; i <= 100000; i++) print s, i }'
                    echo done
                    exec sleep 1000
                    """, "X-LogMaxBytes=20M")
                try service(layout, "quiet", Self.counter)
            } then: { world in
                #expect(try world.run("start", "quiet").outcome == .started)
                #expect(try world.run("start", "flood").outcome == .started)
                let follow = try Program(
                    "\(World.binaries)/holdfastctl", ["logs", "-f", "-n", "0", "-o", "cat", "quiet"],
                    environment: world.environment)
                _ = try follow.waitFor("the quiet one") { output, _ in output.isEmpty ? nil : true }
                follow.send(SIGINT)
                #expect(try follow.end() == 130)
                #expect(try world.status("flood").first?.state == .running)
                try eventually("the end of the flood") { try logs(world, "-n", "1", "-o", "cat", "flood") == ["done"] }
                let program = try Program.run(
                    "/bin/sh",
                    [
                        "-c",
                        "\(World.binaries)/holdfastctl logs -n all -o cat flood | awk '$1 != ++n { print \"line\", n, \"is\", $1; exit }'",
                    ], environment: world.environment)
                #expect(program.outputText == "line 100001 is done\n")
                #expect(
                    isWhole(try logs(world, "-n", "all", "-o", "cat", "quiet").map { String($0.dropFirst()) }, "line "))
                #expect(try world.run("stop", "flood").status == 0)
            }
        }

        /// Numbered lines of all lengths, each of which shows by itself whether it is complete.
        private static let lines = 80_000
        private static let printer = """
            awk 'BEGIN {
                for (i = 0; i < 300; i++) pad[i] = pad[i - 1] "x"
                for (i = 1; i <= \(lines); i++) print i, pad[i % 300], i
            }'
            exec sleep 1000
            """
        /// Prints errors in the lines; then the last number, the count of jumps back, the bytes that were repeated, and
        /// the count of cut lines.
        private static let checker = """
            / \\[cut\\]$/ { cut++; next }
            NF != 3 || $3 != $1 || length($2) != $1 % 300 + 1 { print "torn: " $0 }
            $1 > last + 1 { print "lost: between " last " and " $1 }
            $1 <= last { again += length($0) + 1; if ($1 != before + 1) jumps++ }
            { before = $1; if ($1 > last) last = $1 }
            END { print last, jumps + 0, again + 0, cut + 0 }
            """

        @Test(
            "kill -9 of the supervisor while a service prints at full speed: no line is lost, torn or out of order, the service does not notice"
        )
        func killedWhileReading() throws {
            try withWorld { layout in
                try service(layout, "print", Self.printer, "X-LogMaxBytes=3M\nX-LogKeep=1000")
            } then: { world in
                #expect(try world.run("start", "print").outcome == .started)
                let pid = try world.mainPid("print.service")
                func captured() -> Int {
                    let names = (try? FileManager.default.contentsOfDirectory(atPath: world.logs)) ?? []
                    let rotated = names.filter { $0.hasPrefix("print.service.log.") }.count
                    var status = stat()
                    return rotated << 20
                        + (stat("\(world.logs)/print.service.log", &status) == 0 ? Int(status.st_size) : 0)
                }
                let kills = 5
                for _ in 1...kills {
                    let before = captured()
                    try eventually("something to be captured") { captured() > before + 300_000 }
                    try world.crash()
                    try world.startAgain()
                }
                try eventually("the last line") {
                    try logs(world, "-n", "1", "-o", "cat", "print").last?.hasPrefix("\(Self.lines) ") == true
                }
                #expect(try world.mainPid("print.service") == pid)
                let check = try Program.run(
                    "/bin/sh",
                    [
                        "-c", "\"$0\" logs -n all -o cat print | awk \"$1\"", "\(World.binaries)/holdfastctl",
                        Self.checker,
                    ],
                    environment: world.environment)
                let words = check.outputText.split(separator: " ").compactMap { Int($0.filter { $0 != "\n" }) }
                try #require(words.count == 4, "\(check.outputText.prefix(2000))")
                #expect(words[0] == Self.lines)
                #expect(words[1] <= kills && words[3] <= kills, "\(check.outputText)")
                #expect(words[2] <= kills * 64 << 10, "\(check.outputText)")
                #expect(try world.run("stop", "print").status == 0)
            }
        }

        @Test(
            "a full disk: the services go on, the loss is counted, told and shown, and ends when there is room",
            .enabled(if: supervisorIsRoot))
        func fullDisk() throws {
            var directory = ""
            defer { _ = try? Program.run("umount", ["--lazy", directory]) }
            try withWorld { layout in
                directory = layout.path + "/log"
                #expect(try Program.run("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", directory]).end() == 0)
                try service(layout, "count", Self.counter)
            } then: { world in
                try world.layout().write("log/filler", String(repeating: "x", count: 1))
                #expect(try Program.run("dd", ["if=/dev/zero", "of=\(directory)/filler", "bs=4k"]).end() == 1)
                #expect(try world.run("start", "count").outcome == .started)
                func lost() throws -> Int {
                    try world.status("count").first?.generations.first?.services.first?.linesLost ?? 0
                }
                try eventually("lines to be lost") { try lost() > 10 }
                #expect(try world.status("count").first?.state == .running)
                #expect(try world.control("status", "count").outputText.contains("lines of its output were lost"))
                try world.layout().remove("log/filler")
                try eventually("the word about it in the file") {
                    try logs(world, "-n", "all", "--stream", "log").contains { $0.contains("No space left on device") }
                }
                #expect(world.daemon.errorText.contains("count.service: its output is lost: write"))
                #expect(world.daemon.errorText.contains("count.service: its output is captured again"))
                let kept = try logs(world, "-n", "1", "-o", "cat", "--stream", "out", "count")
                #expect(kept.first?.hasPrefix(" line ") == true)
            }
        }

        @Test("logrotate's move, with SIGUSR2 or without, and a removed file: the next line is in a new one")
        func movedAway() throws {
            try withWorld { layout in
                try service(layout, "count", Self.counter)
            } then: { world in
                let file = "log/count.service.log"
                #expect(try world.run("start", "count").outcome == .started)
                for signals in [true, false] {
                    try eventually("its file") { world.contents(file)?.isEmpty == false }
                    try FileManager.default.moveItem(
                        atPath: "\(world.path)/\(file)", toPath: "\(world.path)/\(file)-old")
                    if signals { world.daemon.send(SIGUSR2) }
                    try eventually("a new file") { world.contents(file)?.isEmpty == false }
                    let (old, new) = (world.contents("\(file)-old") ?? "", world.contents(file) ?? "")
                    func number(_ line: Substring?) -> Int? { line?.split(separator: " ").last.flatMap { Int($0) } }
                    let (last, next) = (
                        number(old.split(separator: "\n").last), number(new.split(separator: "\n").first)
                    )
                    #expect(last.map { $0 + 1 } == next, "no line is missing in between")
                    try world.layout().remove("\(file)-old")
                }
                try world.layout().remove(file)
                try eventually("a new file") { world.contents(file)?.isEmpty == false }
            }
        }
    }
}
