import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// The examples of systemd.service(5) and systemd.socket(5), with other units.
    @Suite struct Examples {
        /// Writes each of its arguments on a line of its own, in brackets, to `out/arguments`.
        private static let show = "#!/bin/sh\nfor word in \"$@\"; do echo \"[$word]\"; done >> @/out/arguments\n"

        private func layOut(_ units: [String: String]) -> (World.Layout) throws -> Void {
            { layout in
                try layout.write("show", Self.show.replacing("@/", with: layout.path + "/"), mode: 0o755)
                for (name, text) in units { try layout.unit(name, text.replacing("@/", with: layout.path + "/")) }
            }
        }

        private func service(_ world: World, _ unit: String) throws -> ServiceStatus? {
            try world.status(unit).first?.generations.first?.services.first { $0.unit == unit }
        }

        private func state(_ world: World, _ unit: String) throws -> UnitState? { try world.status(unit).first?.state }

        private func kill(_ world: World, _ unit: String, _ signal: Int32) throws {
            let main = try Watched(try world.mainPid(unit))
            Glibc.kill(pid_t(main.pid), signal)
            try main.awaitEnd()
        }

        /// The findings of `verify` on the units of this world, one per line.
        private func verify(_ world: World) throws -> [String] {
            let program = try world.control("verify", "--units", world.units)
            return (program.outputText + program.errorText).split(separator: "\n").map(String.init)
        }

        @Test("A simple service is started as soon as it is executed, and stopped with all of its processes by SIGTERM")
        func simple() throws {
            try withWorld(
                layOut(["foo.service": "[Service]\nExecStart=/bin/sh -c 'sleep 1000 & exec sleep 1001'\n"])
            ) { (world: World) throws in
                #expect(try world.run("start", "foo").outcome == .started)
                try eventually("both processes") { world.processes().count == 2 }
                let processes = try world.processes().map { try Watched($0.pid) }
                #expect(try world.run("stop", "foo").outcome == .stopped)
                for process in processes { try process.awaitEnd() }
                #expect(try state(world, "foo") == .stopped)
            }
        }

        @Test("A oneshot is starting until it has ended, then stopped; each start runs all of its commands again")
        func oneshot() throws {
            try withWorld(
                layOut([
                    "cleanup.service": """
                    [Service]
                    Type=oneshot
                    ExecStart=@/show first
                    ExecStart=-/bin/false
                    ExecStart=/bin/sh -c 'read line < @/out/gate; exec @/show last'
                    """,
                    "next.service": """
                    [Unit]
                    Wants=cleanup.service
                    After=cleanup.service
                    [Service]
                    ExecStart=/bin/sleep 1000
                    """,
                ])
            ) { (world: World) throws in
                #expect(mkfifo(world.path + "/out/gate", 0o666) == 0)
                for round in 1...2 {
                    let start = try world.begin("start", "next")
                    try eventually("the first command") {
                        world.contents("out/arguments")?.split(separator: "\n").count == 2 * round - 1
                    }
                    #expect(try state(world, "cleanup") == .starting)
                    #expect(try service(world, "next.service")?.mainPid == nil, "what is ordered after it waits")
                    let gate = try FileHandle(forWritingTo: URL(filePath: world.path + "/out/gate"))
                    try gate.write(contentsOf: Data("go\n".utf8))
                    try gate.close()
                    #expect(try start.end().outcome == .started)
                    #expect(try state(world, "cleanup") == .stopped)
                    try world.run("stop", "next")
                }
                #expect(world.contents("out/arguments") == "[first]\n[last]\n[first]\n[last]\n")
            }
        }

        @Test("A stoppable oneshot is started once, and stopped by its ExecStop=")
        func stoppable() throws {
            try withWorld(
                layOut([
                    "firewall.service": """
                    [Service]
                    Type=oneshot
                    RemainAfterExit=yes
                    ExecStart=@/show up
                    ExecStop=@/show down
                    """
                ])
            ) { (world: World) throws in
                #expect(try world.run("start", "firewall").outcome == .started)
                #expect(try world.run("start", "firewall").outcome == .unchanged)
                #expect(try service(world, "firewall.service")?.state == .exited)
                #expect(try world.run("stop", "firewall").outcome == .stopped)
                #expect(world.contents("out/arguments") == "[up]\n[down]\n")
            }
        }

        @Test(
            "A daemon that forks: the one process that is left is $MAINPID; of several none is, unless a PID file says")
        func forking() throws {
            let reload = "ExecReload=@/show reload $MAINPID\nExecStop=@/show stop ${MAINPID}\n"
            try withWorld(
                layOut([
                    "one.service": "[Service]\nType=forking\nExecStart=/bin/sh -c 'sleep 1000 &'\n\(reload)",
                    "two.service":
                        "[Service]\nType=forking\nExecStart=/bin/sh -c 'sleep 1000 & sleep 1001 &'\n\(reload)",
                    "file.service": """
                    [Service]
                    Type=forking
                    PIDFile=@/out/pid
                    ExecStart=/bin/sh -c 'sleep 1000 & sleep 1001 & echo $$! > @/out/pid'
                    ExecStopPost=/bin/rm @/out/pid
                    \(reload)
                    """,
                ])
            ) { (world: World) throws in
                #expect(try world.run("start", "one", "two", "file").status == 0)
                let pids = try ["one", "file"].map { try world.mainPid("\($0).service") }
                #expect(try service(world, "two.service")?.mainPid == nil)
                for name in ["one", "two", "file"] {
                    #expect(try world.run("reload", name).status == 0)
                    #expect(try world.run("stop", name).outcome == .stopped)
                }
                #expect(
                    world.contents("out/arguments")
                        == "[reload]\n[\(pids[0])]\n[stop]\n[\(pids[0])]\n"
                        + "[reload]\n[stop]\n[]\n" + "[reload]\n[\(pids[1])]\n[stop]\n[\(pids[1])]\n")
            }
        }

        @Test("A service that waits for a name on the message bus is refused, with the line that says so")
        func dbus() throws {
            try withWorld(
                layOut([
                    "bus.service":
                        "[Service]\nType=dbus\nBusName=org.example.simple\nExecStart=/bin/sleep 1000\n"
                ])
            ) { (world: World) throws in
                let start = try world.run("start", "bus")
                #expect(start.status == 1)
                #expect(start.output.contains(#"Type=: \"dbus\""#), "\(start.output)")
                // `verify` does not read files of other users at all.
                let told = try verify(world).first ?? ""
                let expected = "\(world.units)/bus.service:2:6: error: Type=: \"dbus\" is not"
                #expect(otherUser != nil || told.hasPrefix(expected), "\(told)")
            }
        }

        @Test("A notifying service is starting until it says READY=1; one that never says it is ended after its time")
        func notify() throws {
            try withWorld(
                layOut([
                    "told.service": """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    ExecStart=/bin/sh -c 'read line < @/out/gate; systemd-notify --ready; exec sleep 1000'
                    """,
                    "mute.service": "[Service]\nType=notify\nExecStart=/bin/sleep 1000\nTimeoutStartSec=300ms\n",
                ])
            ) { (world: World) throws in
                #expect(mkfifo(world.path + "/out/gate", 0o666) == 0)
                let start = try world.begin("start", "told")
                try eventually("its process") { try service(world, "told.service")?.mainPid != nil }
                #expect(try service(world, "told.service")?.state == .starting)
                let gate = try FileHandle(forWritingTo: URL(filePath: world.path + "/out/gate"))
                try gate.write(contentsOf: Data("go\n".utf8))
                try gate.close()
                #expect(try start.end().outcome == .started)
                #expect(try service(world, "told.service")?.state == .running)
                let mute = try world.run("start", "mute")
                #expect(mute.outcome == .failed && mute.reason?.message.contains("300 ms") == true, "\(mute.errors)")
            }
        }

        @Test("SuccessExitStatus= and its siblings: statuses by number and by name, and signals")
        func exitStatuses() throws {
            func unit(_ end: String) -> String {
                """
                [Service]
                SuccessExitStatus=TEMPFAIL 250 SIGUSR1
                RestartPreventExitStatus=1 SIGUSR2
                Restart=on-failure
                RestartSec=1h
                ExecStart=/bin/sh -c 'sleep 0.1; \(end)'
                """
            }
            let ends = [
                "exit 75", "exit 250", "kill -USR1 $$$$", "exit 1", "kill -USR2 $$$$", "exit 2", "kill -KILL $$$$",
            ]
            let named = Dictionary(
                uniqueKeysWithValues: ends.enumerated().map { ("end\($0.offset).service", unit($0.element)) })
            try withWorld(layOut(named)) { (world: World) throws in
                for name in named.keys { try world.run("start", name) }
                for (index, end) in ends.enumerated() {
                    try eventually("the end by \(end)") { try state(world, "end\(index)") != .running }
                    #expect(try state(world, "end\(index)") == (index < 3 ? .stopped : .failed), "\(end)")
                    let phase = try service(world, "end\(index).service")?.state
                    #expect((phase == .autoRestart) == (index > 4), "\(end): \(String(describing: phase))")
                }
            }
        }
    }
}

extension EndToEnd {
    /// The command lines of systemd.service(5), "COMMAND LINES".
    @Suite struct CommandLines {
        /// The arguments that a oneshot with these lines has executed, one per line.
        private func arguments(_ lines: String) throws -> String? {
            var found: String?
            try withWorld {
                try $0.write(
                    "bin/show",
                    "#!/bin/sh\necho \"($0)\" | sed 's,/.*/,,' >> \($0.path)/out/a\n"
                        + "for word in \"$@\"; do echo \"[$word]\" >> \($0.path)/out/a; done\n", mode: 0o755)
                try $0.unit(
                    "app.service",
                    "[Service]\nType=oneshot\nExecSearchPath=\($0.path)/bin:/usr/bin:/bin\n"
                        + lines.replacing("SHOW", with: "\($0.path)/bin/show"))
            } then: { (world: World) throws in
                let start = try world.run("start", "app")
                #expect(start.status == 0, "\(start.errors)")
                found = world.contents("out/a")?.replacing("(show)\n", with: "")
            }
            return found
        }

        @Test("A variable as a word of its own is split at white space, in braces it is one argument")
        func variables() throws {
            #expect(
                try arguments(
                    """
                    Environment="ONE=one" 'TWO=two two'
                    ExecStart=SHOW $ONE $TWO ${TWO} a${ONE}b $ONE,x end
                    """) == "[one]\n[two]\n[two]\n[two two]\n[aoneb]\n[end]\n", "a name that is none has no value")
        }

        @Test("Quotes in a variable's value stay with braces; without, they hold words together and vanish")
        func quotedVariables() throws {
            #expect(
                try arguments(
                    """
                    Environment=ONE='one' "TWO='two two' too" THREE=
                    ExecStart=SHOW ${ONE} ${TWO} ${THREE}
                    ExecStart=SHOW $ONE $TWO $THREE
                    """) == "[one]\n['two two' too]\n[]\n[one]\n[two two]\n[too]\n")
        }

        @Test("$$ is a dollar sign, an unknown variable is empty, and the prefix : takes dollars as they are")
        func dollars() throws {
            #expect(
                try arguments(
                    """
                    ExecStart=SHOW $$HOME $${HOME} a$$b $UNKNOWN ${UNKNOWN} 100%%
                    ExecStart=:SHOW ${HOME} $HOME $$
                    """) == "[$HOME]\n[${HOME}]\n[a$b]\n[]\n[100%]\n[${HOME}]\n[$HOME]\n[$$]\n")
        }

        @Test("A lone semicolon separates commands; escaped or quoted it is an argument, and so is what shells know")
        func semicolons() throws {
            #expect(
                try arguments(
                    """
                    ExecStart=SHOW one ; SHOW "two two"
                    ExecStart=SHOW / >/dev/null & \\; \\
                    ls | ";" a;b
                    """)
                    == "[one]\n[two two]\n[/]\n[>/dev/null]\n[&]\n[;]\n[ls]\n[|]\n[;]\n[a;b]\n")
        }

        @Test(
            "Quotes and escapes as in systemd.syntax(7); a shell has to be called by name; names without / are looked for"
        )
        func quoting() throws {
            #expect(
                try arguments(
                    #"""
                    ExecStart=show "a b" 'c "d"' "e'f" g\x20h \u00e9 "tab\there" '' plain
                    ExecStart=sh -c 'printf "x\\ny\\n" | sort -r | while read l; do show "$l"; done'
                    """#)
                    == "[a b]\n[c \"d\"]\n[e'f]\n[g h]\n[é]\n[tab\there]\n[]\n[plain]\n[y]\n[x]\n")
        }

        @Test("The prefix @ says what the program is called, - that it may fail; both may be together")
        func prefixes() throws {
            #expect(
                try arguments(
                    """
                    ExecStart=-/bin/false
                    ExecStart=-@/bin/sh other -c 'SHOW "$0" "$1"; exit 3' zero one
                    ExecStart=SHOW end
                    """) == "[zero]\n[one]\n[end]\n")
        }
    }
}
