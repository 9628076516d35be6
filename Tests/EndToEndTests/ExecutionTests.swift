import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// The environment of a service at its start (systemd.exec(5)).
    @Suite struct Execution {
        /// A service that writes its environment to `out/env` and stays.
        private func dump(_ lines: String) -> (World.Layout) throws -> Void {
            { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    ExecStart=/bin/sh -c 'env >\(layout.path)/out/env; systemd-notify --ready; exec sleep infinity'
                    TimeoutStopSec=1s
                    \(lines.replacing("@", with: layout.path))
                    """)
            }
        }

        private func start(_ world: World) throws {
            let start = try world.run("start", "app")
            #expect(start.outcome == .started, "\(start.output)\(start.errors)")
        }

        private func stop(_ world: World) throws { #expect(try world.run("stop", "app").status == 0) }

        private func environment(_ world: World) -> [String: String] {
            let lines = (world.contents("out/env") ?? "").split(separator: "\n")
            return Dictionary(
                lines.map { line in
                    let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                    return (String(parts[0]), parts.count > 1 ? String(parts[1]) : "")
                }, uniquingKeysWith: { _, last in last })
        }

        @Test(
            "Variables: ours, then passed, then Environment=, then files by wildcard, and at the end those unset are gone"
        )
        func variables() throws {
            try withWorld { layout in
                try layout.write("env.d/1.env", "C=file\nD=first\n")
                try layout.write("env.d/2.env", "D=second\n")
                try dump(
                    """
                    PassEnvironment=NOTHING HOME
                    Environment=A=a B=b C=c INVOCATION_ID=mine
                    EnvironmentFile=@/env.d/*.env
                    EnvironmentFile=-@/nothing/*.env
                    UnsetEnvironment=B A=other GENERATION
                    """)(layout)
            } then: { world in
                try start(world)
                let found = environment(world)
                #expect(found["A"] == "a" && found["B"] == nil && found["C"] == "file" && found["D"] == "second")
                #expect(found["HOME"] == world.path && found["NOTHING"] == nil)
                #expect(found["INVOCATION_ID"] == "mine" && found["GENERATION"] == nil)
                let pid = try world.mainPid("app.service")
                #expect(found["SYSTEMD_EXEC_PID"] == "\(pid)")
                #expect(found["LISTEN_PID"] == nil)
            }
        }

        @Test("An environment file that is missing, and a wildcard that matches nothing, are named")
        func missingFile() throws {
            try withWorld(dump("EnvironmentFile=@/none/*.env")) { world in
                let start = try world.run("start", "app")
                #expect(
                    start.reason?.message
                        == "cannot start app.service: reading EnvironmentFile=\(world.path)/none/*.env: no file matches"
                )
            }
        }

        @Test("Data of the unit is on standard input")
        func inputData() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    StandardInputText=one
                    StandardInputText=two
                    ExecStart=/bin/sh -c 'cat >\(layout.path)/out/input; systemd-notify --ready; exec sleep infinity'
                    """)
            } then: { world in
                try start(world)
                #expect(world.contents("out/input") == "one\ntwo\n")
            }
        }

        @Test("A runtime directory has its mode, is shared by two generations, and goes with the last of them")
        func runtimeDirectory() throws {
            try withWorld { layout in
                try layout.web(service: "RuntimeDirectory=web/data:web-link\nRuntimeDirectoryMode=0700")
            } then: { world in
                let directory = "\(world.path)/run/web/data"
                func mode() -> Any? {
                    (try? FileManager.default.attributesOfItem(atPath: directory))?[.posixPermissions]
                }
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(mode() as? Int == 0o700)
                try world.layout().write("run/web-link/file", "kept")
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                try eventually("the old generation to be gone") { try world.generations("web").count == 1 }
                #expect(world.contents("run/web/data/file") == "kept", "the new generation has the same directory")
                #expect(try world.run("stop", "web").status == 0)
                #expect(!FileManager.default.fileExists(atPath: directory))
                #expect(FileManager.default.fileExists(atPath: "\(world.path)/run/web"), "only the innermost goes")
                #expect(
                    (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(world.path)/run/web-link")) == nil)
            }
        }

        @Test("RuntimeDirectoryPreserve=yes keeps it")
        func preserved() throws {
            try withWorld(dump("RuntimeDirectory=kept\nRuntimeDirectoryPreserve=yes")) { world in
                try start(world)
                #expect(environment(world)["RUNTIME_DIRECTORY"] == "\(world.path)/run/kept")
                try stop(world)
                #expect(FileManager.default.fileExists(atPath: "\(world.path)/run/kept"))
            }
        }

        @Test("An attribute that the kernel refuses is named as the directive, with the reason")
        func refusedAttribute() throws {
            try withWorld(dump("CPUAffinity=8000")) { world in
                let start = try world.run("start", "app")
                #expect(
                    start.reason?.message == "cannot start app.service: setting CPUAffinity= 8000: Invalid argument")
            }
        }

        @Test("A service that asks for confinement is refused with each directive's place, and starts when it says so")
        func protection() throws {
            try withWorld(dump("PrivateTmp=yes\nMemoryMax=1G")) { world in
                let start = try world.run("start", "app")
                #expect(start.status != 0 && start.result == nil, "\(start.output)")
                for (line, directive) in [(6, "PrivateTmp"), (7, "MemoryMax")] {
                    let text = "\(world.units)/app.service:\(line):1: error: \(directive)= is not supported yet"
                    #expect(start.errors.contains(text), "\(start.errors)")
                }
                try dump("PrivateTmp=yes\nX-AllowUnsupported=yes")(world.layout())
                try self.start(world)
            }
        }

        @Test(
            "Commands with +, and all but ExecStart= with PermissionsStartOnly=, run as root",
            .enabled(if: supervisorIsRoot))
        func privilegedCommands() throws {
            try withWorld { layout in
                try dump(
                    """
                    User=nobody
                    NoNewPrivileges=yes
                    ExecStartPre=+/bin/sh -c 'id -u >@/out/plus; grep NoNewPrivs /proc/self/status >>@/out/plus; chmod 777 @/out'
                    ExecStartPre=!/bin/sh -c 'id -u >@/out/bang; grep NoNewPrivs /proc/self/status >>@/out/bang'
                    ExecStartPre=!!/bin/sh -c 'id -u >@/out/bangs; echo $USER $HOME $SHELL >>@/out/bangs'
                    """)(layout)
            } then: { world in
                try start(world)
                #expect(world.contents("out/plus") == "0\nNoNewPrivs:\t0\n")
                #expect(world.contents("out/bang") == "0\nNoNewPrivs:\t1\n")
                #expect(world.contents("out/bangs") == "65534\nnobody\n")
            }
            try withWorld { layout in
                try layout.makeDirectory("out/shared")
                chmod("\(layout.path)/out", 0o777)
                try dump("User=nobody\nPermissionsStartOnly=yes\nExecStartPre=/bin/sh -c 'id -u >@/out/pre'")(layout)
            } then: { world in
                try start(world)
                #expect(world.contents("out/pre") == "0\n")
                #expect(environment(world)["USER"] == "nobody")
            }
        }

        @Test("OpenFile=: files are opened for the service with its supervisor's rights, behind its sockets")
        func openFiles() throws {
            try withWorld { layout in
                try layout.write("secret", "only root reads this\n", mode: 0o600)
                try layout.write("journal", "before\n", mode: 0o600)
                try layout.unit("app.socket", "[Socket]\nListenStream=\(layout.path)/out/s\nFileDescriptorName=web\n")
                try dump(
                    """
                    OpenFile=@/secret::read-only
                    OpenFile=@/journal:log:append
                    OpenFile=@/none:none:graceful
                    \(supervisorIsRoot ? "User=nobody" : "")
                    ExecStartPost=/bin/sh -c 'test -s @/out/env'
                    """)(layout)
                try layout.write(
                    "units/app.service.d/exec.conf",
                    "[Service]\nExecStart=\nExecStart=/bin/sh -c 'env > \(layout.path)/out/env; cat <&4 > \(layout.path)/out/got; "
                        + "echo after >&5; systemd-notify --ready; exec sleep infinity'\n")
                try layout.unit("bad.service", "[Service]\nExecStart=/bin/true\nOpenFile=/no/such/file\n")
                chmod(layout.path + "/out", 0o777)
            } then: { world in
                try start(world)
                let found = environment(world)
                #expect(found["LISTEN_FDS"] == "3" && found["LISTEN_FDNAMES"] == "web:secret:log")
                #expect(world.contents("out/got") == "only root reads this\n")
                #expect(world.contents("journal") == "before\nafter\n")
                let bad = try world.run("start", "bad")
                #expect(
                    bad.reason?.message
                        == "cannot start bad.service: OpenFile=: open /no/such/file: No such file or directory",
                    "\(bad.output)")
                try stop(world)
            }
        }

        // MARK: - Credentials

        private func mode(_ path: String) -> Int? {
            var status = stat()
            return stat(path, &status) == 0 ? Int(status.st_mode & 0o777) : nil
        }

        @Test("Credentials lie in a directory of the service's own, readable by its user only, and go with it")
        func credentials() throws {
            try withWorld { layout in
                try layout.write("secret", "top\u{0}secret\n", mode: 0o600)
                try layout.write("keys/a", "A")
                try layout.write("keys/more/b", "B")
                try dump(
                    """
                    LoadCredential=password:@/secret
                    LoadCredential=key:@/keys
                    LoadCredential=absent
                    LoadCredential=default:@/no/such
                    SetCredential=default:in its\\x20place
                    SetCredential=password:not this
                    Environment=PLACE=%d/password
                    \(supervisorIsRoot ? "User=nobody" : "")
                    ExecStartPre=/bin/sh -c 'cat ${CREDENTIALS_DIRECTORY}/* >> @/out/copy'
                    """)(layout)
                chmod(layout.path + "/out", 0o777)
            } then: { world in
                try start(world)
                let found = environment(world)
                let directory = world.runtime + "/credentials/app.service"
                #expect(found["CREDENTIALS_DIRECTORY"] == directory && found["PLACE"] == directory + "/password")
                #expect(world.filesBelow(directory).sorted() == ["default", "key_a", "key_more_b", "password"])
                #expect(world.contents("out/copy") == "in its placeABtop\u{0}secret\n", "its user can read them")
                #expect(try String(contentsOfFile: directory + "/password", encoding: .utf8) == "top\u{0}secret\n")
                #expect(try String(contentsOfFile: directory + "/default", encoding: .utf8) == "in its place")
                #expect(try String(contentsOfFile: directory + "/key_more_b", encoding: .utf8) == "B")
                #expect(mode(directory) == 0o500 && mode(directory + "/password") == 0o400)
                // Another run has the credentials of its own start.
                try world.layout().write("secret", "new", mode: 0o600)
                #expect(try world.run("restart", "app").status == 0)
                #expect(try String(contentsOfFile: directory + "/password", encoding: .utf8) == "new")
                // They remain the service's under another supervisor process.
                try world.crash()
                try world.startAgain()
                #expect(try String(contentsOfFile: directory + "/password", encoding: .utf8) == "new")
                try stop(world)
                #expect(!FileManager.default.fileExists(atPath: directory))
            }
        }

        @Test("A credential that cannot be loaded and has no default fails the start by name; so do more than 1 MB")
        func missingCredential() throws {
            try withWorld { layout in
                try dump("LoadCredential=password:@/secret")(layout)
                try layout.write(
                    "units/large.service", "[Service]\nExecStart=/bin/true\nLoadCredential=x:\(layout.path)/large\n")
                try layout.write("large", String(repeating: "x", count: (1 << 20) + 1))
            } then: { world in
                let start = try world.run("start", "app")
                #expect(
                    start.reason?.message
                        == "cannot start app.service: setting credentials: read credential \(world.path)/secret: "
                        + "No such file or directory")
                #expect(try world.run("start", "large").reason?.message.contains("File too large") == true)
            }
        }
    }
}
