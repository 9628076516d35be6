import Foundation
import Testing

extension EndToEnd {
    /// Services of an unprivileged user that try to make the supervisor, which is root, act for them.
    @Suite(.enabled(if: supervisorIsRoot)) struct ServicePaths {
        /// A directory that only root may read.
        private func secret(_ layout: World.Layout) throws {
            try layout.write("secret/file", "secret\n", mode: 0o600)
            chmod(layout.path + "/secret", 0o700)
        }

        private func expectUntouched(_ world: World, _ location: SourceLocation = #_sourceLocation) throws {
            for (name, mode) in [("secret", 0o700), ("secret/file", 0o600)] {
                var status = stat()
                #expect(lstat("\(world.path)/\(name)", &status) == 0, sourceLocation: location)
                #expect(status.st_uid == 0 && Int(status.st_mode & 0o7777) == mode, "\(name)", sourceLocation: location)
            }
            let names = try FileManager.default.contentsOfDirectory(atPath: world.path + "/secret")
            #expect(names == ["file"], sourceLocation: location)
            #expect(world.contents("secret/file") == "secret\n", sourceLocation: location)
        }

        @Test("A service that puts a link in the place of one of its directories is given nothing, and is told why")
        func linkForDirectory() throws {
            try withWorld { layout in
                try secret(layout)
                try layout.unit(
                    "app.service",
                    """
                    [Unit]
                    StartLimitBurst=4
                    [Service]
                    User=nobody
                    RuntimeDirectory=foo foo/sub
                    RuntimeDirectoryPreserve=yes
                    Restart=always
                    RestartSec=0
                    ExecStart=/bin/sh -c 'cd $RUNTIME_DIRECTORY_TOP && rm -r sub && ln -s \(layout.path)/secret sub'
                    Environment=RUNTIME_DIRECTORY_TOP=\(layout.path)/run/foo
                    """)
            } then: { world in
                try world.run("start", "app")
                try eventually("the service to be given up") {
                    try world.control("why", "app").outputText.contains("permission denied")
                        || world.control("why", "app").outputText.contains("Permission denied")
                }
                let why = try world.control("why", "app").outputText
                #expect(why.contains("RuntimeDirectory=") && why.contains("\(world.path)/run/foo/sub"), "\(why)")
                try expectUntouched(world)
                try FileManager.default.removeItem(atPath: world.path + "/run/foo")
            }
        }

        @Test("A template or a credential at a path of the service's user is nothing that only root may read")
        func readAsRoot() throws {
            try withWorld { layout in
                try secret(layout)
                try layout.makeDirectory("own")
                try layout.makeDirectory("own/credentials")
                let own = layout.path + "/own"
                for name in ["template", "credential"] {
                    try #require(symlink(layout.path + "/secret/file", "\(own)/\(name)") == 0)
                    lchown("\(own)/\(name)", 65534, 65534)
                }
                // A hard link, as is possible with fs.protected_hardlinks=0.
                try #require(link(layout.path + "/secret/file", own + "/credentials/file") == 0)
                for name in ["", "/credentials"] { chown(own + name, 65534, 65534) }
                for (unit, setting) in [
                    ("template", "X-Template=\(own)/template:file"), ("file", "LoadCredential=x:\(own)/credential"),
                    ("directory", "LoadCredential=x:\(own)/credentials"),
                ] {
                    try layout.unit(
                        "\(unit).service", "[Service]\nType=oneshot\nUser=nobody\n\(setting)\nExecStart=/bin/true\n")
                }
            } then: { world in
                for unit in ["template", "file", "directory"] {
                    let started = try world.run("start", unit)
                    #expect(started.status != 0, "\(unit)")
                    let why = try world.control("why", unit).outputText
                    #expect(why.contains("ermission denied") && why.contains("\(world.path)/own/"), "\(why)")
                }
                #expect(unlink(world.path + "/own/credentials/file") == 0)
                try expectUntouched(world)
            }
        }

        @Test("Whatever a service has put into its credentials directory, its next run finds its credentials")
        func filledCredentials() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    User=nobody
                    SetCredential=token:good
                    ExecStart=/bin/sh -c 'cd $CREDENTIALS_DIRECTORY && ls -A && cat token && echo && chmod 700 . && rm -f token \\
                        && mkdir -p token/$(printf "d/%%.0s" $(seq 150)) && systemd-notify --ready && exec sleep infinity'
                    """)
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                #expect(try world.run("restart", "app").status == 0)
                #expect(try world.run("stop", "app").status == 0)
                let lines = (world.contents("log/app.service.log") ?? "").split(separator: "\n").map { $0.suffix(6) }
                #expect(lines == [" token", ": good", " token", ": good"], "\(lines)")
                #expect(!FileManager.default.fileExists(atPath: world.runtime + "/credentials/app.service"))
                try eventually("the trash to be empty") {
                    try FileManager.default.contentsOfDirectory(atPath: world.runtime + "/trash").isEmpty
                }
            }
        }

        @Test("A tree of any depth in a generation's directory goes with it")
        func deepGenerationDirectory() throws {
            try withWorld { layout in
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    User=nobody
                    Type=notify
                    NotifyAccess=all
                    RuntimeDirectory=app
                    ExecStart=/bin/sh -c 'cd $GENERATION_DIRECTORY && mkdir -p $(printf "d/%%.0s" $(seq 150)) \\
                        && cp -r d $RUNTIME_DIRECTORY/ && systemd-notify --ready && exec sleep infinity'
                    """)
            } then: { world in
                #expect(try world.run("start", "app").outcome == .started)
                #expect(try world.run("stop", "app").status == 0)
                #expect(!FileManager.default.fileExists(atPath: world.path + "/run/app"))
                try eventually("the trash to be empty") {
                    try FileManager.default.contentsOfDirectory(atPath: world.runtime + "/trash").isEmpty
                }
            }
        }

        @Test("A held socket in a service's runtime directory keeps its path whatever becomes of the directory")
        func heldPath() throws {
            try withWorld { layout in
                try layout.unit(
                    "api.socket",
                    """
                    [Socket]
                    ListenStream=%t/api/api.sock
                    SocketUser=root
                    Symlinks=%t/api/alias
                    RemoveOnStop=yes
                    """)
                try layout.unit(
                    "api.service",
                    """
                    [Service]
                    Type=notify
                    NotifyAccess=all
                    User=nobody
                    RuntimeDirectory=api
                    ExecStart=/bin/sh -c 'echo >$RUNTIME_DIRECTORY/own; systemd-notify --ready; exec sleep infinity'
                    """)
            } then: { world in
                let directory = world.path + "/run/api"
                func owner(_ name: String) -> (inode: ino_t, uid: uid_t)? {
                    var status = stat()
                    return stat(directory + name, &status) == 0 ? (status.st_ino, status.st_uid) : nil
                }
                #expect(try world.run("start", "api.socket").status == 0)
                let before = try #require(owner("/api.sock"))
                for command in ["start", "restart", "stop"] {
                    #expect(try world.run(command, "api.service").status == 0)
                    #expect(owner("/api.sock")?.inode == before.inode, "after \(command)")
                    #expect(owner("/alias")?.inode == before.inode, "after \(command)")
                    #expect(owner("/api.sock")?.uid == 0, "after \(command)")
                }
                #expect(owner("/own") == nil, "what is the service's goes")
                #expect(try world.run("stop", "api.socket").status == 0)
                #expect(owner("/api.sock") == nil)
            }
        }

        @Test("A service with User= can open its output anew, as /dev/stdout")
        func standardOutput() throws {
            try withWorld { layout in
                try layout.unit(
                    "o.service",
                    """
                    [Service]
                    Type=oneshot
                    User=nobody
                    ExecStart=/bin/sh -c 'echo out >/dev/stdout; echo err >/dev/stderr; echo fd >/proc/self/fd/1'
                    """)
            } then: { world in
                let started = try world.run("start", "o").status
                #expect(started == 0)
                let log = world.contents("log/o.service.log") ?? ""
                #expect(log.contains(" out") && log.contains(" err") && log.contains(" fd"), "\(log)")
            }
        }

        @Test("Nothing that is left over is a reason not to start")
        func leftovers() throws {
            try withWorld { _ in
            } then: { world in
                try world.crash()
                try FileManager.default.removeItem(atPath: world.runtime + "/journal")
                for name in ["generations/app/1", "credentials/x", "output/y", "output.left/z", "trash/a"] {
                    let path = "\(world.runtime)/\(name)/" + String(repeating: "d/", count: 150)
                    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
                }
                try world.startAgain()
                #expect(try world.control("status").end() == 0)
            }
        }
    }
}
