import Testing
import UnitFiles

@testable import holdfastctl

/// The unit of that name, without comments and blank lines.
private func settings(_ name: String, in result: ImportResult) -> [String] {
    let text = result.units.first { $0.name == name }?.text ?? "there is no \(name)"
    return text.split(separator: "\n").map(String.init).filter { !$0.hasPrefix("#") }
}

private func omitted(_ result: ImportResult) -> [String] {
    result.omissions.map { "\($0.setting.key)=\($0.setting.value)" }
}

/// The diagnostics of `holdfastctl verify`.
private func complaints(_ result: ImportResult) -> [String] {
    var files: [String: String] = [:]
    for unit in result.units { files["/units/\(unit.name)"] = unit.text }
    let loader = UnitLoader(source: InMemoryUnitFileSource(files: files), searchPath: ["/units"])
    return Verifier(loader: loader).verifyAll().map(\.description)
}

private func installed(_ name: String, _ text: String, dropIns: [String] = []) throws -> InstalledUnit {
    let extra = dropIns.enumerated().map { ("/etc/systemd/system/\(name).d/\($0.offset).conf", $0.element) }
    return InstalledUnit(name: try UnitName(name), texts: [("/lib/systemd/system/\(name)", text)] + extra)
}

@Suite struct SystemdImportTests {
    private let web = """
        [Unit]
        Description=The web
        After=network.target postgresql.service
        [Service]
        Type=notify
        ExecStart=/usr/bin/web --option \\
          value
        ImaginaryDirective=yes
        [Install]
        WantedBy=multi-user.target
        """

    @Test("a service and its socket become the same two files, with a swap section")
    func pair() throws {
        let socket = "[Socket]\nListenStream=127.0.0.1:8080\n[Install]\nWantedBy=sockets.target\n"
        let result = SystemdImport.translate([try installed("web.service", web), try installed("web.socket", socket)])
        #expect(
            settings("web.service", in: result) == [
                "[Unit]", "Description=The web", "[Service]", "Type=notify", "ExecStart=/usr/bin/web --option    value",
                "[X-Swap]",
                "[Install]", "WantedBy=multi-user.target",
            ])
        #expect(settings("web.socket", in: result).contains("ListenStream=127.0.0.1:8080"))
        #expect(complaints(result).isEmpty)
    }

    @Test("what Holdfast does not know is named with file and line, and kept as a comment")
    func unknown() throws {
        let result = SystemdImport.translate([try installed("web.service", web)])
        let omission = try #require(result.omissions.first { $0.setting.key == "ImaginaryDirective" })
        #expect(omission.setting.origin == "/lib/systemd/system/web.service:8")
        #expect(result.units[0].text.contains("\n#ImaginaryDirective=yes\n"))
        #expect(complaints(result).isEmpty)
    }

    @Test("units of the basic system need no naming, others are named as left out")
    func dependencies() throws {
        let result = SystemdImport.translate([try installed("web.service", web)])
        #expect(omitted(result).contains("After=postgresql.service"))
        #expect(result.units[0].text.contains("After=network.target is not needed"))
    }

    @Test("a drop-in applies after the file, and an empty value still resets")
    func dropIn() throws {
        let result = SystemdImport.translate([
            try installed("web.service", web, dropIns: ["[Service]\nExecStart=\nExecStart=/usr/bin/other\n"])
        ])
        let commands = settings("web.service", in: result).filter { $0.hasPrefix("ExecStart") }
        #expect(commands == ["ExecStart=/usr/bin/web --option    value", "ExecStart=", "ExecStart=/usr/bin/other"])
        #expect(complaints(result).isEmpty)
    }

    @Test("without a socket nothing is swapped, and the unit says why")
    func noSocket() throws {
        let result = SystemdImport.translate([try installed("web.service", web)])
        #expect(!settings("web.service", in: result).contains("[X-Swap]"))
        #expect(result.units[0].text.contains("binds its own port"))
    }
}

@Suite struct SupervisorImportTests {
    private func translate(_ text: String) throws -> ImportResult {
        try SupervisorImport.translate([SupervisorFile(text, path: "/etc/supervisor/app.conf")])
    }

    @Test("a program becomes a service that does what Supervisor did")
    func program() throws {
        let result = try translate(
            """
            [program:web]
            command=/srv/bin/web --title "a b" --price $5 --share 100%% ; started by hand before
            directory=/srv
            user=deploy
            umask=027
            environment=A="1",B='x, y',
                C=plain
            autorestart=unexpected
            exitcodes=0,2
            stopsignal=QUIT
            stopwaitsecs=30
            """)
        #expect(
            settings("web.service", in: result) == [
                "[Service]", "ExecStart=/srv/bin/web --title \"a b\" --price $$5 --share 100%%",
                "WorkingDirectory=/srv",
                "User=deploy", "UMask=027", "Environment=A=1", "Environment=\"B=x, y\"", "Environment=C=plain",
                "Restart=on-failure", "SuccessExitStatus=2", "RestartSec=1s", "StartLimitBurst=4",
                "StartLimitIntervalSec=8s",
                "KillSignal=SIGQUIT", "TimeoutStopSec=30s", "KillMode=mixed", "[Install]", "WantedBy=multi-user.target",
            ])
        #expect(result.omissions.isEmpty)
        #expect(complaints(result).isEmpty)
    }

    @Test("numprocs become instances of a template, with the zeros of process_num")
    func several() throws {
        let result = try translate(
            """
            [program:web]
            command=/srv/bin/web 80%(process_num)02d
            numprocs=3
            numprocs_start=8
            [group:site]
            programs=web
            """)
        #expect(settings("web@.service", in: result).contains("ExecStart=/srv/bin/web 80%i"))
        #expect(settings("web.target", in: result) == ["[Unit]", "Wants=web@08.service web@09.service web@10.service"])
        #expect(settings("site.target", in: result) == ["[Unit]", "Wants=web.target"])
        #expect(complaints(result).isEmpty)
    }

    @Test("a FastCGI program gets its socket as standard input")
    func fastCGI() throws {
        let result = try translate(
            """
            [fcgi-program:php]
            command=/usr/bin/php-cgi
            socket=unix:///run/%(program_name)s.sock
            socket_owner=www-data:web
            socket_mode=0660
            """)
        #expect(
            settings("php.socket", in: result) == [
                "[Socket]", "ListenStream=/run/php.sock", "SocketUser=www-data", "SocketGroup=web", "SocketMode=0660",
            ])
        #expect(settings("php.service", in: result).contains("Sockets=php.socket"))
        let tcp = try translate("[fcgi-program:php]\ncommand=/bin/php\nsocket=tcp://localhost:9002\n")
        #expect(settings("php.socket", in: tcp).contains("ListenStream=127.0.0.1:9002"))
    }

    @Test("the environment of Supervisor itself is named as missing, not invented")
    func outerEnvironment() throws {
        let result = try translate(
            "[program:web]\ncommand=/srv/bin/web %(ENV_SECRET)s\nenvironment=HOME=\"%(ENV_HOME)s\",X=\"1\"\n")
        #expect(settings("web.service", in: result).contains("ExecStart=/srv/bin/web ${SECRET}"))
        #expect(omitted(result) == ["environment=HOME=%(ENV_HOME)s"])
    }

    @Test("different priorities become an order, equal ones nothing")
    func priorities() throws {
        let result = try translate(
            "[program:b]\ncommand=/b\npriority=20\n[program:a]\ncommand=/a\npriority=10\n[program:c]\ncommand=/c\npriority=20\n"
        )
        #expect(settings("b.service", in: result).contains("After=a.service"))
        #expect(settings("c.service", in: result).contains("After=a.service"))
        #expect(!settings("a.service", in: result).contains { $0.hasPrefix("After=") })
    }

    @Test("every setting that is not translated is named")
    func notTranslated() throws {
        let result = try translate(
            "[program:a]\ncommand=/a\nserverurl=AUTO\nstdout_capture_maxbytes=1MB\n[eventlistener:m]\ncommand=/m\n")
        #expect(omitted(result) == ["serverurl=AUTO", "stdout_capture_maxbytes=1MB", "=[eventlistener:m]"])
    }

    @Test("a file without programs is refused") func nothing() {
        #expect(throws: ImportError(text: "there is no [program:…] section")) {
            try translate("[supervisord]\nuser=root\n")
        }
    }
}

@Suite struct ProcfileImportTests {
    private func translate(_ text: String) throws -> ImportResult {
        try ProcfileImport.translate(text, path: "/srv/shop/Procfile", directory: "/srv/shop", application: "shop")
    }

    @Test("each line becomes a service, and all of them a target")
    func lines() throws {
        let result = try translate("# comment\nweb: bundle exec puma -p $PORT\nworker: bin/worker --queue \"a b\"\n")
        #expect(
            settings("shop-web.service", in: result) == [
                "[Service]", "WorkingDirectory=/srv/shop", "EnvironmentFile=-/srv/shop/.env", "Environment=PORT=5000",
                "ExecStart=/bin/sh -c \"exec bundle exec puma -p $$PORT\"", "Restart=always", "[Install]",
                "WantedBy=multi-user.target",
            ])
        #expect(settings("shop-worker.service", in: result).contains("ExecStart=/srv/shop/bin/worker --queue \"a b\""))
        #expect(settings("shop.target", in: result) == ["[Unit]", "Wants=shop-web.service shop-worker.service"])
        #expect(complaints(result).isEmpty)
    }

    @Test("a list of commands stays with its shell") func list() throws {
        let result = try translate("web: cd app && ./run\n")
        #expect(settings("shop-web.service", in: result).contains("ExecStart=/bin/sh -c \"cd app && ./run\""))
    }

    @Test("a line that is none is named with its number") func bad() throws {
        let result = try translate("web: run\nnonsense\n")
        #expect(result.omissions.map(\.setting.origin) == ["/srv/shop/Procfile:2"])
        #expect(throws: ImportError.self) { try translate("nothing here\n") }
    }
}

@Suite struct ShellWordsTests {
    @Test(
        "words are split as a shell does",
        arguments: [
            ("a  b", ["a", "b"]), ("'a b' \"c d\"e", ["a b", "c de"]), ("a\\ b", ["a b"]), ("\"\\\"\\x\"", ["\"\\x"]),
            ("''", [""]),
        ]) func words(_ text: String, _ expected: [String])
    { #expect(ShellWords.split(text) == expected) }

    @Test("an unfinished quote is no command", arguments: ["'a", "\"a", "a\\"]) func unfinished(_ text: String) {
        #expect(ShellWords.split(text) == nil)
    }
}

@Suite struct MultibinderImportTests {
    private let text = """
        global
          daemon
        listen web
          bind <%= bind_tcp('0.0.0.0', '80') %>
          bind <%= bind_tcp("::1", 8080) %>
          bind <%= bind_tcp('0.0.0.0', '80') %> ssl
          server a <%= ENV['A'] %>
        """

    @Test("Each bind_tcp becomes a socket unit, HAProxy a service that is swapped, and both pass verify")
    func translate() throws {
        let result = try MultibinderImport.translate(text, path: "/etc/web.cfg.erb", application: "web")
        #expect(result.units.map(\.name) == ["web-tcp-80.socket", "web-tcp---1-8080.socket", "web.service"])
        #expect(
            settings("web-tcp-80.socket", in: result)
                == ["[Socket]", "ListenStream=0.0.0.0:80", "FileDescriptorName=tcp-80", "Service=web.service"])
        #expect(settings("web-tcp---1-8080.socket", in: result).contains("ListenStream=[::1]:8080"))
        let service = settings("web.service", in: result)
        #expect(service.contains("ExecStart=/usr/sbin/haproxy -Ws -f /etc/web.cfg") && service.contains("[X-Swap]"))
        #expect(service.contains("Sockets=web-tcp-80.socket web-tcp---1-8080.socket"))
        #expect(complaints(result) == [])
    }

    @Test("What has to change in the configuration is named, line by line")
    func omissions() throws {
        let result = try MultibinderImport.translate(text, path: "/etc/web.cfg.erb", application: "web")
        let told = result.general.map { "\($0.setting.origin) \($0.reason)" }
        #expect(told.contains("/etc/web.cfg.erb:4 in /etc/web.cfg, write \"fd@${LISTEN_FD_TCP_80}\" instead"))
        #expect(told.contains { $0.hasPrefix("/etc/web.cfg.erb:2 remove it") })
        #expect(told.contains { $0.hasPrefix("/etc/web.cfg.erb:7 it is Ruby code") })
        #expect(throws: ImportError.self) {
            try MultibinderImport.translate("listen web\n  bind :80\n", path: "/x", application: "x")
        }
    }
}
