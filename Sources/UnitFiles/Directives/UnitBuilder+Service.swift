// [Service]

import Vocabulary

extension UnitBuilder {
    mutating func apply(_ directive: ServiceDirective, _ assignment: Assignment) {
        switch directive {
        case .type:
            typeLocation = assignment.valueLocation
            // Type=dbus is ready when its name appears on the message bus, which Holdfast does not use.
            if let type = choice(assignment, .fatal, of: ServiceType.self, unsupported: ["dbus"]) {
                service.type = type
            }
        case .execCondition:
            if assignment.value.isEmpty {
                service.execCondition = []
            } else {
                service.execCondition += commands(assignment)
            }
        case .execStartPre:
            if assignment.value.isEmpty {
                service.execStartPre = []
            } else {
                service.execStartPre += commands(assignment)
            }
        case .execStart:
            if assignment.value.isEmpty { service.execStart = [] } else { service.execStart += commands(assignment) }
        case .execStartPost:
            if assignment.value.isEmpty {
                service.execStartPost = []
            } else {
                service.execStartPost += commands(assignment)
            }
        case .execReload:
            if assignment.value.isEmpty { service.execReload = [] } else { service.execReload += commands(assignment) }
        case .execStop:
            if assignment.value.isEmpty { service.execStop = [] } else { service.execStop += commands(assignment) }
        case .execStopPost:
            if assignment.value.isEmpty {
                service.execStopPost = []
            } else {
                service.execStopPost += commands(assignment)
            }
        case .restart:
            if let restart = choice(assignment, .ignored, of: RestartPolicy.self) { service.restart = restart }
        case .restartSec:
            if let delay = value(assignment, .ignored, TimeSpan.parseLong) { service.restartDelay = delay }
        case .timeoutStartSec, .timeoutStopSec, .timeoutSec: timeout(directive, assignment)
        case .killSignal, .finalKillSignal: signal(directive, assignment)
        case .killMode:
            if assignment.value.isEmpty {
                service.killMode = .controlGroup
            } else if let mode = choice(assignment, .fatal, of: KillMode.self) {
                service.killMode = mode
            }
        case .sendSIGKILL: if let send = value(assignment, .ignored, Value.boolean) { service.sendSIGKILL = send }
        case .sockets: service.sockets += names(assignment, kinds: [.socket], instantiate: true, .fatal)
        case .upstreams:
            if assignment.value.isEmpty { service.upstreams = [] }
            service.upstreams += names(assignment, kinds: [.socket], instantiate: true, .fatal)
        case .handoff: handoff(assignment)
        case .template: template(assignment)
        case .notifyAccess:
            if let access = choice(assignment, .ignored, of: NotifyAccess.self) { service.notifyAccess = access }
        case .successExitStatus: service.successExitStatus = exitStatuses(assignment, service.successExitStatus)
        case .restartPreventExitStatus:
            service.restartPreventExitStatus = exitStatuses(assignment, service.restartPreventExitStatus)
        case .restartForceExitStatus:
            service.restartForceExitStatus = exitStatuses(assignment, service.restartForceExitStatus)
        case .startLimitIntervalSec, .startLimitInterval:
            if let limit = value(assignment, .ignored, TimeSpan.parse) { unit.startLimitInterval = limit }
        case .startLimitBurst: startLimitBurst(assignment)
        case .permissionsStartOnly:
            if let only = value(assignment, .ignored, Value.boolean) { service.permissionsStartOnly = only }
        case .rootDirectoryStartOnly:
            if let only = value(assignment, .fatal, Value.boolean) { service.rootDirectoryStartOnly = only }
        case .nonBlocking:
            if let nonBlocking = value(assignment, .ignored, Value.boolean) { service.nonBlocking = nonBlocking }
        case .openFile: openFile(assignment)
        case .fileDescriptorStoreMax:
            if let limit = number(assignment, .ignored, in: UInt32.min...UInt32.max) {
                if limit > 4096 {
                    report(
                        Diagnostic(
                            .warning, .unsupportedValue, at: assignment.valueLocation, directive: assignment.key,
                            "\(assignment.key)=: at most 4096 descriptors are stored"))
                }
                service.descriptorStoreLimit = Int(min(limit, 4096))
            }
        case .fileDescriptorStorePreserve: descriptorStorePreserve(assignment)
        case .allowUnsupported:
            if let allow = value(assignment, .fatal, Value.boolean) { allowsUnsupported = allow }
        }
    }

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

    private mutating func timeout(_ directive: ServiceDirective, _ assignment: Assignment) {
        guard var limit = value(assignment, .ignored, TimeSpan.parse) else { return }
        // Old units use 0 for "never"; systemd keeps that meaning.
        if limit == .after(.zero) { limit = .infinite }
        if directive != .timeoutStopSec {
            service.timeoutStart = limit
            hasStartTimeout = true
        }
        if directive != .timeoutStartSec { service.timeoutStop = limit }
    }

    private mutating func signal(_ directive: ServiceDirective, _ assignment: Assignment) {
        guard let signal = value(assignment, .fatal, Signal.parse) else { return }
        if directive == .finalKillSignal { service.finalKillSignal = signal } else { service.killSignal = signal }
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
