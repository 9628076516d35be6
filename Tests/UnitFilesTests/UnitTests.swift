import Testing
import Vocabulary

@testable import UnitFiles

@Suite("Typed units")
struct UnitTests {
    @Test(
        "DESIGN.md's five example units load without a word",
        arguments: ["site@v2.target", "http.socket", "app@v2.socket", "app@v2.service", "edge@v2.service"])
    func designExamples(unit: String) throws {
        let loaded = loader(Site.files).load(try name(unit))
        #expect(loaded.diagnostics == [] && loaded.unit != nil)
    }

    @Test("DESIGN.md's examples mean what they say")
    func designMeaning() throws {
        let all = loader(Site.files)
        let edge = try #require(all.load(try name("edge@v2.service")).service)
        #expect(edge.type == .notify && edge.notifyAccess == .main)
        #expect(edge.sockets.map(\.name.description) == ["http.socket"])
        #expect(edge.upstreams.map(\.name.description) == ["app@v2.socket"])
        #expect(edge.unit.after.map(\.name.description) == ["app@v2.service"])
        #expect(edge.drainSignal == .user1)
        #expect(
            edge.execStart.first?.expanded(with: [:]) == ["/usr/sbin/haproxy", "-Ws", "-f", "/srv/site/v2/haproxy.cfg"])
        let app = try #require(all.load(try name("app@v2.service")).service)
        #expect(
            app.execution.environmentFiles.map(\.path) == ["/etc/site/v2.env"]
                && app.execution.environmentFiles[0].mayBeMissing)
        #expect(app.swap?.readyProbe?.method == .http(.socket(try name("app@v2.socket")), path: "/healthz"))
        let http = try #require(all.load(try name("http.socket")).socket)
        #expect(http.scope == .shared && http.backlog == 4096 && http.fileDescriptorName == "http")
        #expect(http.listen.map(\.target.description) == ["0.0.0.0:80"])
        let own = try #require(all.load(try name("app@v2.socket")).socket)
        #expect(
            own.scope == .generation && own.listen.map(\.target) == [.stream(.unix("/run/site/app-v2.sock"))])
        let target = try #require(all.load(try name("site@v2.target")).target)
        #expect(target.swap?.soak == .seconds(5) && target.swap?.strategy == nil)
        #expect(target.sources == [UnitSource(path: "/etc/holdfast/units/site@.target", text: Site.target)])
    }

    @Test("defaults are systemd's documented ones")
    func defaults() throws {
        let unit = try #require(try service("").service)
        #expect(unit.type == .simple && unit.restart == .no && unit.restartDelay == .milliseconds(100))
        #expect(unit.timeoutStart == .after(.seconds(90)) && unit.timeoutStop == .after(.seconds(90)))
        #expect(unit.killSignal == .terminate && unit.finalKillSignal == .kill && unit.killMode == .controlGroup)
        #expect(unit.sendSIGKILL && unit.execution.umask == 0o022 && unit.notifyAccess == .none)
        #expect(unit.execution.standardInput == .null && unit.standardOutput == .log && unit.standardError == .inherit)
        #expect(unit.unit.startLimitInterval == .after(.seconds(10)) && unit.unit.startLimitBurst == 5)
        #expect(unit.swap == nil && unit.drainSignal == .terminate)
        let socket = try #require(try load("x.socket", "[Socket]\nListenStream=80").socket)
        #expect(socket.backlog == .max && socket.socketMode == 0o666 && !socket.removeOnStop)
        #expect(socket.fileDescriptorName == "x.socket" && socket.serviceName?.description == "x.service")
        // A colon separates names in LISTEN_FDNAMES.
        let colon = try #require(try load("x:80@:.socket", "[Socket]\nListenStream=80").socket)
        #expect(colon.fileDescriptorName == #"x\x3a80@\x3a.socket"#)
        let swap = SwapSection()
        #expect(swap.effectiveReadyTimeout == .after(.seconds(30)) && swap.effectiveSoak == .seconds(1))
        #expect(swap.effectiveDrainTimeout == .after(.seconds(60)) && swap.effectiveStrategy == .overlap)
        #expect(
            swap.effectiveReadyProbeInterval == .milliseconds(500) && swap.effectiveReadyProbeTimeout == .seconds(5))
    }

    /// Every directive of [Service] with a value that is not its default.
    private static let everyServiceDirective =
        """
        [Unit]
        Description=The app of %N
        Documentation=man:app(8) https://example.org
        StartLimitIntervalSec=1min
        StartLimitBurst=3
        [Service]
        Type=exec
        ExecCondition=/bin/cond
        ExecStartPre=-/bin/pre
        ExecStart=/bin/app
        ExecStartPost=/bin/post
        ExecReload=/bin/kill -HUP $MAINPID
        ExecStop=/bin/stop
        ExecStopPost=/bin/after
        Restart=on-abnormal
        RestartSec=2s
        TimeoutSec=10
        TimeoutStartSec=0
        KillSignal=QUIT
        FinalKillSignal=ABRT
        KillMode=mixed
        SendSIGKILL=no
        User=deploy
        Group=33
        SupplementaryGroups=a b
        SupplementaryGroups=c
        WorkingDirectory=-~
        Environment="A=b c" D=e
        Environment=F=%n
        EnvironmentFile=/etc/a
        EnvironmentFile=-/etc/b
        UMask=0077
        LimitNOFILE=1024:4096
        Nice=-5
        OOMScoreAdjust=500
        Sockets=a.socket b.socket a.socket
        NotifyAccess=all
        StandardInput=file:/dev/zero
        StandardOutput=append:/var/log/%N
        StandardError=fd:err
        SuccessExitStatus=TEMPFAIL SIGKILL
        RestartPreventExitStatus=1
        RestartForceExitStatus=2 3
        SyslogIdentifier=%p-x
        X-Upstreams=db.socket
        [Install]
        WantedBy=multi-user.target
        """

    @Test("every honoured directive of [Service] is read")
    func everyServiceDirective() throws {
        let loaded = try load("app.service", Self.everyServiceDirective)
        #expect(loaded.diagnostics == [])
        let unit = try #require(loaded.service)
        #expect(unit.unit.description == "The app of app" && unit.unit.documentation.count == 2)
        #expect(unit.unit.startLimitInterval == .after(.seconds(60)) && unit.unit.startLimitBurst == 3)
        #expect(unit.type == .exec && unit.execStartPre.first?.prefixes.ignoreFailure == true)
        let lists = [
            unit.execCondition, unit.execStart, unit.execStartPost, unit.execReload, unit.execStop, unit.execStopPost,
        ]
        #expect(
            lists.map { $0.map(\.path) } == [
                ["/bin/cond"], ["/bin/app"], ["/bin/post"], ["/bin/kill"], ["/bin/stop"], ["/bin/after"],
            ])
        #expect(unit.restart == .onAbnormal && unit.restartDelay == .seconds(2))
        #expect(unit.timeoutStart == .infinite && unit.timeoutStop == .after(.seconds(10)))
        #expect(
            unit.killSignal == .quit && unit.finalKillSignal == .abort && unit.killMode == .mixed && !unit.sendSIGKILL)
        let execution = unit.execution
        #expect(execution.user == "deploy" && execution.group == "33")
        #expect(execution.supplementaryGroups == ["a", "b", "c"])
        #expect(execution.workingDirectory == WorkingDirectory(.home, mayBeMissing: true))
        #expect(execution.environment.map { "\($0.name)=\($0.value)" } == ["A=b c", "D=e", "F=app.service"])
        #expect(execution.environmentFiles.map(\.mayBeMissing) == [false, true])
        #expect(execution.umask == 0o077 && execution.limits == [.nofile: ResourceLimit(soft: 1024, hard: 4096)])
        #expect(execution.nice == -5 && execution.oomScoreAdjust == 500 && unit.notifyAccess == .all)
        #expect(unit.sockets.map(\.name.description) == ["a.socket", "b.socket"])
        #expect(execution.standardInput == .file("/dev/zero") && unit.standardOutput == .append("/var/log/app"))
        #expect(unit.standardError == .descriptor("err"))
        #expect(unit.successExitStatus == ExitStatusSet(codes: [75], signals: [.kill]))
        #expect(unit.restartPreventExitStatus.codes == [1] && unit.restartForceExitStatus.codes == [2, 3])
        #expect(unit.logging.syslogIdentifier == "app-x" && unit.upstreams.map(\.name.description) == ["db.socket"])
        #expect(unit.install.wantedBy.map(\.name.description) == ["multi-user.target"])
    }

    @Test("every honoured directive of [Socket] and [X-Swap] is read")
    func everySocketAndSwapDirective() throws {
        let loaded = try load(
            "a@x.socket",
            """
            [Socket]
            ListenStream=80
            ListenStream=
            ListenStream=[::1]:0
            ListenStream=@%p
            Backlog=7
            FileDescriptorName=web
            SocketMode=0600
            SocketUser=www
            SocketGroup=www
            Service=b@.service
            RemoveOnStop=yes
            Accept=no
            X-Scope=shared
            """)
        #expect(loaded.diagnostics == [])
        let socket = try #require(loaded.socket)
        #expect(socket.listen.map(\.target.description) == ["[::1]:0", "@a"])
        #expect(socket.backlog == 7 && socket.fileDescriptorName == "web" && socket.socketMode == 0o600)
        #expect(socket.socketUser == "www" && socket.socketGroup == "www" && socket.removeOnStop)
        #expect(socket.service?.name.description == "b@x.service" && socket.scope == .shared)
        let swap = try #require(
            try service(
                """
                [X-Swap]
                ReadyTimeoutSec=infinity
                SoakSec=0
                DrainTimeoutSec=2min
                MaxDraining=2
                Strategy=queue
                ReadyProbe=exec -/bin/check --url "a b" %n
                ReadyProbeIntervalSec=1
                ReadyProbeTimeoutSec=2
                DrainSignal=WINCH
                """
            ).service?.swap)
        #expect(swap.readyTimeout == .infinite && swap.soak == .zero && swap.drainTimeout == .after(.seconds(120)))
        #expect(
            swap.strategy == .queue && swap.readyProbeInterval == .seconds(1) && swap.readyProbeTimeout == .seconds(2))
        #expect(swap.drainSignal == Signal(validating: 28))
        #expect(SwapSettings(swap).drainLimit == 2 && SwapSettings(SwapSection()).drainLimit == 4)
        for bad in ["0", "-1", "1001", "many", "infinity"] {
            #expect(try service("[X-Swap]\nMaxDraining=\(bad)").service == nil, "\(bad)")
        }
        guard case .exec(let command)? = swap.readyProbe?.method else {
            Issue.record("no exec probe")
            return
        }
        #expect(command.prefixes.ignoreFailure && command.arguments == ["--url", "a b", "app.service"])
        #expect(command.location.line == 9 && command.location.column == 17)
    }

    @Test(
        "endpoints of probes",
        arguments: [
            ("tcp 127.0.0.1:80", ProbeEndpoint.address(.ipv4(IPv4Address(bits: 0x7F00_0001), port: 80))),
            ("tcp [2001:db8::7]:80", .address(.ipv6(IPv6Address("2001:db8::7") ?? .any, port: 80, interface: nil))),
            ("tcp localhost:80", .host("localhost", port: 80)),
            ("http /run/x.sock /h", .address(.unix("/run/x.sock"))), ("http @x /h", .address(.abstract("x"))),
        ] as [(String, ProbeEndpoint)])
    func endpoints(value: String, expected: ProbeEndpoint) throws {
        let unit = try service("[X-Swap]\nReadyProbe=" + value)
        #expect(unit.service?.swap?.readyProbe?.endpoint == expected, "\(unit.diagnostics)")
    }

    @Test("an empty assignment resets lists and our own values")
    func resets() throws {
        let unit = try #require(
            try service(
                """
                ExecStart=
                ExecStart=/bin/other
                Environment=A=b
                Environment=
                User=x
                User=
                SuccessExitStatus=1
                SuccessExitStatus=
                [X-Swap]
                SoakSec=9
                SoakSec=
                """
            ).service)
        #expect(
            unit.execStart.map(\.path) == ["/bin/other"] && unit.execution.environment.isEmpty
                && unit.execution.user == nil)
        #expect(unit.successExitStatus.isEmpty && unit.swap != nil && unit.swap?.soak == nil)
    }

    @Test("the start limit is also read at its old place and by its old name")
    func oldStartLimit() throws {
        let unit = try #require(try service("StartLimitInterval=1min\nStartLimitBurst=9").service)
        #expect(unit.unit.startLimitInterval == .after(.seconds(60)) && unit.unit.startLimitBurst == 9)
    }

    @Test(
        "a bad value names what was expected, and stops the unit only where going on would start something else",
        arguments: [
            ("RestartSec=soon", .invalidValue, true), ("Restart=allways", .invalidValue, true),
            ("Nice=20", .invalidValue, true), ("Environment=A", .invalidValue, true),
            ("TimeoutStopSec=", .invalidValue, true), ("User=a:b", .invalidValue, false),
            ("KillSignal=SIGFOO", .invalidValue, false), ("Type=dbus", .unsupportedValue, false),
            ("PIDFile=a b/../x%Q", .unknownSpecifier, false), ("Type=notfy", .invalidValue, false),
            ("Sockets=a.service", .invalidValue, false), ("UMask=9", .invalidValue, false),
            ("StandardOutput=teletype", .invalidValue, false), ("WorkingDirectory=x", .invalidValue, false),
            ("ExecStart=/bin/second", .invalidValue, false),
            ("[X-Swap]\nReadyProbe=htp a.socket /", .invalidValue, false),
            ("[X-Swap]\nReadyProbe=http a.socket", .invalidValue, false), ("[X-Swap]\nSoakSec=x", .invalidValue, false),
            ("[X-Swap]\nReadyTimeoutSec=0", .invalidValue, false), ("[X-Swap]\nStrategy=both", .invalidValue, false),
            ("[X-Swap]\nReadyProbe=tcp a.socket b", .invalidValue, false),
        ] as [(String, DiagnosticCode, Bool)])
    func badValues(lines: String, code: DiagnosticCode, isUsable: Bool) throws {
        let unit = try service(lines)
        #expect(codes(unit.diagnostics) == [code], "\(unit.diagnostics)")
        #expect(unit.diagnostics.first?.severity == (isUsable ? .warning : .error))
        #expect((unit.unit != nil) == isUsable)
    }

    @Test(
        "names that are not honoured",
        arguments: [
            ("CPUAccounting=yes", .unsupportedDirective, .warning, nil),
            ("ExecStrat=/x", .unknownDirective, .warning, "ExecStart="),
            ("execstart=/x", .unknownDirective, .warning, "ExecStart="),
            ("Nonsense=1", .unknownDirective, .warning, nil),
            ("After=x.service", .unknownDirective, .warning, "After= in [Unit]"),
            ("ListenStream=80", .unknownDirective, .warning, "ListenStream= in [Socket]"),
            ("X-Upstrems=a.socket", .unknownDirective, .warning, "X-Upstreams="),
            ("X-Scope=shared", .unknownDirective, .warning, "X-Scope= in [Socket]"),
            ("[X-Swp]\nA=b", .unknownSection, .warning, "[X-Swap]"),
            ("[Swap]\nA=b", .unknownSection, .warning, "[X-Swap]"),
            ("[Servcie]\nA=b", .unknownSection, .warning, "[Service]"),
            ("[Socket]\nA=b", .unknownSection, .warning, nil),
            ("[X-Swap]\nSoakSecs=1", .unknownDirective, .warning, "SoakSec="),
            ("[Unit]\nWants=data.mount", .unsupportedUnitKind, .warning, nil),
            ("Environment=A=\\q", .unknownEscape, .warning, nil),
        ] as [(String, DiagnosticCode, Diagnostic.Severity, String?)])
    func names(lines: String, code: DiagnosticCode, severity: Diagnostic.Severity, suggestion: String?) throws {
        let unit = try service(lines)
        #expect(codes(unit.diagnostics) == [code], "\(unit.diagnostics)")
        #expect(unit.diagnostics.first?.severity == severity && unit.diagnostics.first?.suggestion == suggestion)
        #expect(unit.unit != nil)
    }

    @Test(
        "other people's X- names are ignored without a word",
        arguments: [
            "X-Team=web", "[X-Deploy]\nA=b", "[X-Swap]\nX-Foo=1", "[Unit]\nX-Owner=me",
            "[Unit]\nAfter=data.mount network.target",
        ])
    func foreignNames(lines: String) throws {
        let unit = try service(lines)
        #expect(unit.diagnostics == [] && unit.unit != nil)
    }

    @Test("a service without ExecStart=, and a socket without an address, are errors")
    func missingDirectives() throws {
        let service = try load("a.service", "[Unit]\nDescription=x\n[Service]\nUser=x\n")
        #expect(codes(service.diagnostics) == [.missingDirective] && service.unit == nil)
        #expect(service.diagnostics.first?.location.line == 3)
        #expect(codes(try load("a.socket", "[Socket]\nBacklog=1").diagnostics) == [.missingDirective])
        let half = try load("a.socket", "[Socket]\nListenStream=80\nListenUSBFunction=/run/f")
        #expect(codes(half.diagnostics) == [.unsupportedDirective] && half.unit == nil)
        #expect(codes(try load("a.socket", "[Socket]\nListenStream=80\nAccept=maybe").diagnostics) == [.invalidValue])
    }

    @Test("a diagnostic reads as path:line:column: severity: message")
    func description() throws {
        let unit = try load("app@v2.service", "[Service]\nExecStart=/x\nExecStrat=/y\n")
        #expect(
            unit.diagnostics.map(\.description) == [
                "/etc/holdfast/units/app@.service:3:1: warning: unknown directive ExecStrat= in [Service]; "
                    + "it is ignored (did you mean ExecStart=?)"
            ])
    }
}
