import Testing

@testable import UnitFiles

@Suite("Service types, dependencies and conditions in unit files")
struct LifecycleTests {
    // MARK: - Types

    @Test("every Type= of systemd.service(5) is read, but dbus")
    func types() throws {
        for type in ServiceType.allCases {
            #expect(try service("Type=\(type.rawValue)").service?.type == type)
        }
        let dbus = try service("Type=dbus\nBusName=org.example")
        #expect(codes(dbus.diagnostics) == [.unsupportedValue] && dbus.unit == nil)
        #expect(dbus.diagnostics.first?.location.description == "/etc/holdfast/units/app.service:3:6")
    }

    @Test("oneshot: any number of ExecStart=, no time-out unless one is given")
    func oneshot() throws {
        let unit = try #require(try service("Type=oneshot\nExecStart=/bin/second").service)
        #expect(unit.execStart.count == 2 && unit.timeoutStart == .infinite)
        #expect(try service("Type=oneshot\nTimeoutStartSec=5").service?.timeoutStart == .after(.seconds(5)))
        #expect(try service("Type=oneshot\nRestart=on-failure").service?.restart == .onFailure)
        for bad in [
            "Type=oneshot\nRestart=always", "Type=oneshot\nRestart=on-success", "Type=oneshot\nExitType=cgroup",
        ] {
            #expect(try service(bad).unit == nil, "\(bad)")
        }
    }

    @Test("ExecStart= may be missing if the service remains and has an ExecStop=; without Type= it is oneshot then")
    func noExecStart() throws {
        let text = "[Service]\nRemainAfterExit=yes\nExecStop=/bin/down\n"
        #expect(try load("a.service", text).service?.type == .oneshot)
        #expect(try load("a.service", "[Service]\nType=oneshot\n" + text.dropFirst(10)).service != nil)
        #expect(try load("a.service", "[Service]\nType=oneshot\nExecStop=/bin/down\n").unit == nil)
        #expect(try load("a.service", "[Service]\nType=simple\n" + text.dropFirst(10)).unit == nil)
    }

    @Test("PIDFile= is below /run if it is relative; specifiers count; empty resets")
    func pidFile() throws {
        #expect(try service("PIDFile=app.pid").service?.lifecycle.pidFile == "/run/app.pid")
        #expect(try service("PIDFile=/run/%p//x.pid").service?.lifecycle.pidFile == "/run/app/x.pid")
        #expect(try service("PIDFile=/run/x\nPIDFile=").service?.lifecycle.pidFile == nil)
    }

    @Test("settings of the lifecycle are read with their units and defaults")
    func lifecycle() throws {
        let plain = try #require(try service("").service).lifecycle
        #expect(plain == LifecycleSettings())
        let unit = try service(
            """
            RemainAfterExit=yes
            GuessMainPID=no
            ExitType=cgroup
            ReloadSignal=SIGUSR2
            RestartSteps=5
            RestartMaxDelaySec=1min
            RestartMode=direct
            TimeoutStartFailureMode=kill
            TimeoutStopFailureMode=abort
            TimeoutAbortSec=7
            WatchdogSec=30
            WatchdogSignal=QUIT
            RuntimeMaxSec=1h
            RuntimeRandomizedExtraSec=5min
            RestartKillSignal=SIGHUP
            SendSIGHUP=yes
            OOMPolicy=continue
            StartLimitAction=none
            """)
        let settings = try #require(unit.service).lifecycle
        #expect(unit.diagnostics.isEmpty, "\(unit.diagnostics)")
        #expect(settings.remainAfterExit && !settings.guessesMainPid && settings.exitType == .cgroup)
        #expect(settings.reloadSignal == .user2 && settings.watchdogSignal == .quit && settings.sendsSIGHUP)
        #expect(settings.restartSteps == 5 && settings.restartMaxDelay == .after(.seconds(60)))
        #expect(settings.restartMode == .direct && settings.restartKillSignal == .hangUp)
        #expect(settings.startFailureMode == .kill && settings.stopFailureMode == .abort)
        #expect(settings.timeoutAbort == .after(.seconds(7)) && settings.watchdog == .seconds(30))
        #expect(settings.runtimeMax == .after(.seconds(3600)) && settings.runtimeRandomizedExtra == .seconds(300))
        #expect(try service("WatchdogSec=0").service?.lifecycle.watchdog == nil)
        #expect(try service("WatchdogSec=10").service?.notifyAccess == .main)
    }

    @Test("what would act on the whole host is named, and not done")
    func emergencyActions() throws {
        for line in ["StartLimitAction=reboot", "FailureAction=poweroff"] {
            let unit = try service(line)
            #expect(codes(unit.diagnostics) == [.unsupportedValue] && unit.unit != nil, "\(line)")
        }
        let unit = try load("a.service", "[Unit]\nSuccessAction=exit\n[Service]\nExecStart=/x")
        #expect(codes(unit.diagnostics) == [.unsupportedValue])
    }

    // MARK: - Dependencies

    private func graph(_ lines: String) throws -> LoadedUnit {
        try load("app.service", "[Unit]\n\(lines)\n[Service]\nExecStart=/x\n")
    }

    @Test("every dependency of systemd.unit(5) is read, by its old names too")
    func dependencies() throws {
        let lists: [(String, WritableKeyPath<DependencySection, [UnitReference]>)] = [
            ("Requisite", \.requisite), ("RequisiteOverridable", \.requisite), ("BindsTo", \.bindsTo),
            ("BindTo", \.bindsTo), ("PartOf", \.partOf), ("Upholds", \.upholds), ("Conflicts", \.conflicts),
            ("PropagatesReloadTo", \.propagatesReloadTo), ("PropagateReloadTo", \.propagatesReloadTo),
            ("ReloadPropagatedFrom", \.reloadPropagatedFrom), ("PropagateReloadFrom", \.reloadPropagatedFrom),
            ("PropagatesStopTo", \.propagatesStopTo), ("StopPropagatedFrom", \.stopPropagatedFrom),
            ("OnFailure", \.onFailure), ("OnSuccess", \.onSuccess),
        ]
        for (name, list) in lists {
            let unit = try graph("\(name)=b.service c@%p.service b.service")
            #expect(unit.diagnostics.isEmpty, "\(name): \(unit.diagnostics)")
            let found = unit.service?.unit.graph[keyPath: list].map(\.name.description)
            #expect(found == ["b.service", "c@app.service"], "\(name)")
        }
        #expect(
            try graph("RequiresOverridable=b.service").service?.unit.requires.map(\.name.description) == ["b.service"])
    }

    @Test("flags and modes of [Unit]")
    func flags() throws {
        let unit = try graph(
            """
            DefaultDependencies=no
            StopWhenUnneeded=yes
            RefuseManualStart=on
            RefuseManualStop=1
            IgnoreOnIsolate=yes
            RequiresMountsFor=/srv//x /var
            OnFailureJobMode=fail
            """)
        #expect(unit.diagnostics.isEmpty)
        let graph = try #require(unit.service?.unit.graph)
        #expect(!graph.hasDefaultDependencies && graph.stopWhenUnneeded && graph.refusesManualStart)
        #expect(graph.refusesManualStop && graph.requiresMountsFor == ["/srv/x", "/var"])
        #expect(graph.onFailureJobMode == .fail)
        #expect(codes(try self.graph("OnFailureJobMode=isolate").diagnostics).contains(.unsupportedValue))
        // It takes nothing back, and systemd says nothing about it.
        #expect(try self.graph("BindsTo=").diagnostics.isEmpty)
    }

    @Test(
        "dependencies on what only a whole system has are no mistake where they order, and named where they would start"
    )
    func foreignKinds() throws {
        #expect(try graph("Conflicts=shutdown.target\nAfter=y.device").diagnostics.isEmpty)
        #expect(codes(try graph("BindsTo=user.slice").diagnostics).contains(.unsupportedUnitKind))
    }

    @Test("a required mount or device must be there when the unit starts; wanted ones, and those to bind to, are named")
    func hostRequirements() throws {
        let unit = try graph(
            "AssertPathExists=/lost\nRequires=srv-www\\x2ddata.mount -.mount b.service\nAssertUser=\n"
                + "Requisite=sys-subsystem-net-devices-eth0.device dev-sda1.device")
        #expect(
            unit.service?.unit.conditions.asserts.map { $0.text(isAssert: true) } == [
                "AssertPathIsMountPoint=/srv/www-data", "AssertPathIsMountPoint=/",
                "AssertPathExists=/sys/class/net/eth0",
                "AssertPathExists=/dev/sda1",
            ])
        #expect(unit.service?.unit.requires.map(\.name.description) == ["b.service"])
        #expect(codes(unit.diagnostics).allSatisfy { $0 != .unsupportedUnitKind })
        for line in ["Wants=srv.mount", "BindsTo=a.scope", "Requires=a.slice"] {
            #expect(codes(try graph(line).diagnostics).contains(.unsupportedUnitKind), "\(line)")
        }
        let bound = try graph("BindsTo=dev-sda.device")
        #expect(codes(bound.diagnostics) == [.unsupportedValue])
        #expect(bound.service?.unit.conditions.asserts.map(\.parameter) == ["/dev/sda"])
    }

    // MARK: - Conditions

    @Test("conditions are read with their prefixes; an empty one resets all of them, but not the asserts")
    func conditions() throws {
        let unit = try graph("ConditionPathExists=!/a//b\nConditionUser=|!root\nAssertHost=%p")
        let section = try #require(unit.service?.unit.conditions)
        #expect(unit.diagnostics.isEmpty)
        #expect(
            section.conditions.map { $0.text(isAssert: false) } == [
                "ConditionPathExists=!/a/b", "ConditionUser=|!root",
            ])
        #expect(section.asserts.map { $0.text(isAssert: true) } == ["AssertHost=app"])
        let reset = try graph("ConditionPathExists=/a\nAssertHost=x\nConditionUser=")
        #expect(reset.service?.unit.conditions.conditions == [] && reset.service?.unit.conditions.asserts.count == 1)
    }

    @Test("a condition that cannot be read makes the unit unusable: without it, it would run where it must not")
    func badConditions() throws {
        for (line, column) in [
            ("ConditionPathExists=relative", 21), ("ConditionACPower=!perhaps", 19), ("AssertUser=|", 13),
        ] {
            let unit = try graph(line)
            #expect(codes(unit.diagnostics) == [.invalidValue] && unit.unit == nil, "\(line)")
            #expect(unit.diagnostics.first?.location.column == column, "\(line): \(unit.diagnostics)")
        }
    }

    @Test("all conditions must hold, and of the triggering ones one")
    func verdicts() {
        func verdict(_ list: [(kind: Character, Bool)]) -> Bool {
            let conditions = list.map { Condition(.pathExists, $0.1 ? "/yes" : "/no", isTrigger: $0.kind == "|") }
            return Condition.firstFailing(conditions) { $0.parameter == "/yes" } == nil
        }
        #expect(verdict([]))
        #expect(verdict([(" ", true), (" ", true)]) && !verdict([(" ", true), (" ", false)]))
        #expect(verdict([("|", false), ("|", true)]) && !verdict([("|", false), ("|", false)]))
        #expect(!verdict([("|", true), (" ", false)]) && verdict([("|", true), (" ", true)]))
        let negated = Condition(.pathExists, "/no", isNegated: true)
        #expect(Condition.firstFailing([negated]) { _ in false } == nil)
        #expect(Condition.firstFailing([negated]) { _ in true } == negated)
    }
}
