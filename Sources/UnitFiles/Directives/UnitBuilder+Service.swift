// [Service]

import Vocabulary

extension UnitBuilder {
    /// [Service]: commands, restarts, time limits and signals.
    static let serviceDirectives: [Directive] = [
        Directive("Type", .service, in: .service) {
            $0.typeLocation = $1.valueLocation
            // Type=dbus is ready when its name appears on the message bus, which Holdfast does not use.
            if let type = $0.choice($1, .fatal, of: ServiceType.self, unsupported: ["dbus"]) {
                $0.service.type = type
            }
        },
        Directive("ExecCondition", .service, in: .service) { $0.addCommands(\.execCondition, $1) },
        Directive("ExecStartPre", .service, in: .service) { $0.addCommands(\.execStartPre, $1) },
        Directive("ExecStart", .service, in: .service) { $0.addCommands(\.execStart, $1) },
        Directive("ExecStartPost", .service, in: .service) { $0.addCommands(\.execStartPost, $1) },
        Directive("ExecReload", .service, in: .service) { $0.addCommands(\.execReload, $1) },
        Directive("ExecStop", .service, in: .service) { $0.addCommands(\.execStop, $1) },
        Directive("ExecStopPost", .service, in: .service) { $0.addCommands(\.execStopPost, $1) },
        Directive("Restart", .service, in: .service) {
            if let restart = $0.choice($1, .ignored, of: RestartPolicy.self) { $0.service.restart = restart }
        },
        Directive("RestartSec", .service, in: .service) {
            if let delay = $0.value($1, .ignored, TimeSpan.parseLong) { $0.service.restartDelay = delay }
        },
        Directive("TimeoutStartSec", .service, in: .service) { $0.setTimeouts($1, start: true, stop: false) },
        Directive("TimeoutStopSec", .service, in: .service) { $0.setTimeouts($1, start: false, stop: true) },
        Directive("TimeoutSec", .service, in: .service) { $0.setTimeouts($1, start: true, stop: true) },
        Directive("KillSignal", .kill, in: .service) {
            if let signal = $0.value($1, .fatal, Signal.parse) { $0.service.killSignal = signal }
        },
        Directive("FinalKillSignal", .kill, in: .service) {
            if let signal = $0.value($1, .fatal, Signal.parse) { $0.service.finalKillSignal = signal }
        },
        Directive("KillMode", .kill, in: .service) {
            if $1.value.isEmpty {
                $0.service.killMode = .controlGroup
            } else if let mode = $0.choice($1, .fatal, of: KillMode.self) {
                $0.service.killMode = mode
            }
        },
        Directive("SendSIGKILL", .kill, in: .service) {
            if let send = $0.value($1, .ignored, Value.boolean) { $0.service.sendSIGKILL = send }
        },
        Directive("Sockets", .service, in: .service) {
            $0.service.sockets += $0.names($1, kinds: [.socket], instantiate: true, .fatal)
        },
        Directive("X-Upstreams", .holdfast, in: .service) {
            if $1.value.isEmpty { $0.service.upstreams = [] }
            $0.service.upstreams += $0.names($1, kinds: [.socket], instantiate: true, .fatal)
        },
        Directive("X-Handoff", .holdfast, in: .service) { $0.handoff($1) },
        Directive("X-Template", .holdfast, in: .service) { $0.template($1) },
        Directive("NotifyAccess", .service, in: .service) {
            if let access = $0.choice($1, .ignored, of: NotifyAccess.self) { $0.service.notifyAccess = access }
        },
        Directive("SuccessExitStatus", .service, in: .service) {
            $0.service.successExitStatus = $0.exitStatuses($1, $0.service.successExitStatus)
        },
        Directive("RestartPreventExitStatus", .service, in: .service) {
            $0.service.restartPreventExitStatus = $0.exitStatuses($1, $0.service.restartPreventExitStatus)
        },
        Directive("RestartForceExitStatus", .service, in: .service) {
            $0.service.restartForceExitStatus = $0.exitStatuses($1, $0.service.restartForceExitStatus)
        },
        Directive("StartLimitIntervalSec", .unit, in: .service) {
            if let limit = $0.value($1, .ignored, TimeSpan.parse) { $0.unit.startLimitInterval = limit }
        },
        Directive("StartLimitInterval", .unit, in: .service) {
            if let limit = $0.value($1, .ignored, TimeSpan.parse) { $0.unit.startLimitInterval = limit }
        },
        Directive("StartLimitBurst", .unit, in: .service) { $0.startLimitBurst($1) },
        Directive("PermissionsStartOnly", .service, in: .service) {
            if let only = $0.value($1, .ignored, Value.boolean) { $0.service.permissionsStartOnly = only }
        },
        Directive("RootDirectoryStartOnly", .service, in: .service) {
            if let only = $0.value($1, .fatal, Value.boolean) { $0.service.rootDirectoryStartOnly = only }
        },
        Directive("NonBlocking", .service, in: .service) {
            if let nonBlocking = $0.value($1, .ignored, Value.boolean) { $0.service.nonBlocking = nonBlocking }
        },
        Directive("OpenFile", .service, in: .service) { $0.openFile($1) },
        Directive("FileDescriptorStoreMax", .service, in: .service) {
            if let limit = $0.number($1, .ignored, in: UInt32.min...UInt32.max) {
                if limit > 4096 {
                    $0.report(
                        Diagnostic(
                            .warning, .unsupportedValue, at: $1.valueLocation, directive: $1.key,
                            "\($1.key)=: at most 4096 descriptors are stored"))
                }
                $0.service.descriptorStoreLimit = Int(min(limit, 4096))
            }
        },
        Directive("FileDescriptorStorePreserve", .service, in: .service) { $0.descriptorStorePreserve($1) },
        Directive("X-AllowUnsupported", .holdfast, in: .service) {
            if let allow = $0.value($1, .fatal, Value.boolean) { $0.allowsUnsupported = allow }
        },
    ]

    /// Checks and defaults that need all files of the unit.
    mutating func finishService() {
        finishProtection()
        service.sockets = Self.unique(service.sockets)
        service.upstreams = Self.unique(service.upstreams)
        finishHandoff()
        finishCredentials()
        finishTerminal()
        finishLifecycle()
    }

    private mutating func descriptorStorePreserve(_ assignment: Assignment) {
        let preserve = value(assignment, .ignored) { (text) throws(ValueError) -> DescriptorStorePreserve in
            if text == "restart" { return .restart }
            guard let on = try? Value.boolean(text) else {
                throw ValueError("expected \"yes\", \"no\" or \"restart\", not \"\(text)\"")
            }
            return on ? .yes : .no
        }
        if let preserve { service.descriptorStorePreserve = preserve }
    }

    mutating func commands(_ assignment: Assignment) -> [ExecCommand] {
        do {
            let reader = try ExecCommandReader(assignment, expander)
            warnAboutEscapes(assignment, reader.unknownEscapes)
            warnAboutSpecifiers(assignment)
            return reader.commands
        } catch {
            reject(assignment, error, .fatal)
            return []
        }
    }

    private mutating func addCommands(_ path: WritableKeyPath<ServiceUnit, [ExecCommand]>, _ assignment: Assignment) {
        if assignment.value.isEmpty {
            service[keyPath: path] = []
        } else {
            service[keyPath: path] += commands(assignment)
        }
    }

    private mutating func setTimeouts(_ assignment: Assignment, start: Bool, stop: Bool) {
        guard var limit = value(assignment, .ignored, TimeSpan.parse) else { return }
        // Old units use 0 for "never"; systemd keeps that meaning.
        if limit == .after(.zero) { limit = .infinite }
        if start {
            service.timeoutStart = limit
            hasStartTimeout = true
        }
        if stop { service.timeoutStop = limit }
    }

    private mutating func exitStatuses(_ assignment: Assignment, _ current: ExitStatusSet) -> ExitStatusSet {
        var set = assignment.value.isEmpty ? ExitStatusSet() : current
        for word in words(assignment, escapes: .interpreted) {
            do {
                try set.insert(word.text)
            } catch {
                var moved = error
                moved.offset = word.offset
                reject(assignment, moved, .ignored)
            }
        }
        return set
    }

    /// Checks a name as in systemd.socket(5): ASCII without control characters and ":", at most 255 characters.
    static func descriptorName(_ text: String) throws(ValueError) -> String {
        let good = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
        guard good, !text.isEmpty, text.utf8.count <= 255 else {
            throw ValueError("expected a name of ASCII characters without \":\", not \"\(text)\"")
        }
        return text
    }
}
