import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// No setting is ignored silently: the findings of `verify` on a unit are also in the answer to its start, and in
    /// the log.
    @Suite struct Remarks {
        private func count(_ text: String, in log: String) -> Int { log.components(separatedBy: text).count - 1 }

        @Test("what unit files say in vain is told by each start, restart and swap, by why, and once in the log")
        func files() throws {
            let env = "web.service:2:13: Environment=: \"X.Y\" is not the name of a variable"
            let name = "web.socket:3:20: FileDescriptorName=:"
            try withWorld { layout in
                try layout.unit(
                    "web.service", "[Service]\nEnvironment=\"X.Y=42\"\nExecStart=/usr/bin/sleep 1000\n[X-Swap]\n")
                try layout.unit(
                    "web.socket", "[Socket]\nListenStream=\(layout.path)/s\nFileDescriptorName=http:https\n")
                try layout.unit("all.target", "[Unit]\nWants=web.service\nAftre=x\n")
                try layout.unit("user.service", "[Unit]\nRequires=bad.service\n[Service]\nExecStart=/usr/bin/sleep 9\n")
                try layout.unit("bad.service", "[Service]\nEnvironment=\"X.Y=42\"\nUser=a:b\nExecStart=/usr/bin/true\n")
            } then: { world in
                for arguments in [["start", "web"], ["restart", "web"], ["swap", "web"], ["start", "all.target"]] {
                    if arguments.contains("all.target") { #expect(try world.run("stop", "web").outcome == .stopped) }
                    let notes = try Operation(arguments, in: world).end().result?.notes.joined(separator: "\n") ?? ""
                    #expect(count(env, in: notes) == 1 && count(name, in: notes) == 1, "\(arguments): \(notes)")
                    #expect(notes.contains("Aftre") == arguments.contains("all.target"))
                }
                #expect(count(env, in: world.daemon.errorText) == 1, "\(world.daemon.errorText)")
                #expect(count(name, in: world.daemon.errorText) == 1)
                let why = try world.control("why", "web").outputText
                #expect(why.contains(env) && why.contains(name) && !why.contains("nothing is wrong"), "\(why)")
                #expect(try world.control("why", "web.socket").outputText.contains(name))
                // The first line is the error that makes the unit unusable, not a warning; both are shown.
                let bad = try world.control("start", "bad")
                let lines = bad.errorText.split(separator: "\n")
                #expect(lines.first?.contains("bad.service:3:6: User=") == true, "\(bad.errorText)")
                #expect(lines.dropFirst().contains { $0.contains("X.Y") })
                #expect(try world.control("start", "user").errorText.contains("bad.service:3:6: User="))
                for line in ["bad.service:2:13: ", "bad.service:3:6: "] {
                    #expect(count(line, in: world.daemon.errorText) == 1, "\(line)")
                }
            }
        }

        @Test("lines of EnvironmentFile= that are ignored are told with file and line: answer, log, why, show, verify")
        func environmentFiles() throws {
            try withWorld { layout in
                try layout.write("env", "export A=1\nb.c=2\nGOOD=4\nnonsense\n")
                try layout.makeDirectory("directory")
                for (name, type) in [("once", "oneshot"), ("app", "exec")] {
                    try layout.unit(
                        "\(name).service",
                        """
                        [Service]
                        Type=\(type)
                        EnvironmentFile=\(layout.path)/e*v
                        EnvironmentFile=-\(layout.path)/gone
                        EnvironmentFile=-\(layout.path)/env/gone
                        EnvironmentFile=-\(layout.path)/directory
                        EnvironmentFile=/dev/null
                        ExecStartPre=/usr/bin/true
                        ExecStart=/bin/sh -c 'echo "$GOOD $A" > \(layout.path)/out/\(name); \(type == "exec" ? "sleep 1000" : "")'
                        """)
                }
            } then: { world in
                let remarks = [
                    "env:1:1: \"export A\" is not the name of a variable", "env:2:1: \"b.c\" is not the name",
                    "env:4:1: expected NAME=value", "EnvironmentFile=\(world.path)/directory: not a regular file",
                ]
                for unit in ["once", "app"] {
                    let start = try world.run("start", unit)
                    #expect(start.outcome == (unit == "once" ? .done : .started))
                    let notes = try #require(start.result?.notes)
                    #expect(notes.count == remarks.count, "\(notes)")
                    #expect(try world.control("restart", unit).end() == 0)
                    let verify = try world.control("verify", "--units", world.units, unit)
                    let why = try world.control("why", unit).outputText
                    for remark in remarks {
                        #expect(notes.contains { $0.contains(remark) }, "\(remark): \(notes)")
                        let logged = world.daemon.errorText.split(separator: "\n").filter {
                            $0.contains("\(unit).service: ") && $0.contains(remark)
                        }
                        #expect(logged.count == 1, "once in the log: \(logged)")
                        // `verify` prints the severity after the place.
                        let words = remark.split(separator: ": ", maxSplits: 1).last ?? ""
                        #expect(verify.outputText.contains(words), "\(remark): \(verify.outputText)")
                        #expect(why.contains(remark), "\(why)")
                    }
                }
                let shown = try world.control("show", "-p", "StartRemark", "--value", "app").outputText
                #expect(remarks.allSatisfy(shown.contains), "\(shown)")
                // The remarks are still known after a re-exec.
                #expect(try world.control("daemon-reexec").end() == 0)
                #expect(try world.control("why", "app").outputText.contains(remarks[0]))
            }
        }

        @Test(
            "an EnvironmentFile= without \"-\" that cannot be read keeps the service from starting, and verify says error"
        )
        func unreadable() throws {
            try withWorld { layout in
                try layout.makeDirectory("directory")
                for (unit, file) in [("a", "gone"), ("b", "directory"), ("c", "gone*")] {
                    try layout.unit(
                        "\(unit).service",
                        "[Service]\nEnvironmentFile=\(layout.path)/\(file)\nExecStart=/usr/bin/sleep 1000\n")
                }
            } then: { world in
                for unit in ["a", "b", "c"] {
                    #expect(try world.run("start", unit).outcome == .failed)
                    let verify = try world.control("verify", "--units", world.units, unit)
                    #expect(try verify.end() == 1)
                    #expect(verify.outputText.contains("\(unit).service:2:17: error: reading EnvironmentFile="))
                }
            }
        }
    }
}
