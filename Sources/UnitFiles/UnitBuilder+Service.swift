// [Service]

extension UnitBuilder {
    /// Values of `Type=` that systemd has and we do not run yet.
    private static let unsupportedTypes: Set<String> = ["forking", "oneshot", "dbus", "idle", "notify-reload"]

    mutating func apply(_ directive: ServiceDirective, _ assignment: Assignment) {
        switch directive {
        case .type:
            isOneshot = assignment.value == "oneshot"
            if let type = choice(assignment, .fatal, of: ServiceType.self, unsupported: Self.unsupportedTypes) {
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
            if let delay = value(assignment, .ignored, TimeSpan.parseFinite) { service.restartDelay = delay }
        case .timeoutStartSec, .timeoutStopSec, .timeoutSec: timeout(directive, assignment)
        case .killSignal, .finalKillSignal: signal(directive, assignment)
        case .killMode: if let mode = choice(assignment, .fatal, of: KillMode.self) { service.killMode = mode }
        case .sendSIGKILL: if let send = value(assignment, .ignored, Value.boolean) { service.sendSIGKILL = send }
        case .user: service.user = account(assignment, service.user)
        case .group: service.group = account(assignment, service.group)
        case .supplementaryGroups: supplementaryGroups(assignment)
        case .workingDirectory: workingDirectory(assignment)
        case .environment: environment(assignment)
        case .environmentFile: environmentFile(assignment)
        case .umask: if let umask = value(assignment, .fatal, Value.mode) { service.umask = umask & 0o777 }
        case .limitNOFILE: limitNOFILE(assignment)
        case .nice: service.nice = adjustment(assignment, -20...19, service.nice)
        case .oomScoreAdjust: service.oomScoreAdjust = adjustment(assignment, -1000...1000, service.oomScoreAdjust)
        case .sockets: service.sockets += names(assignment, kinds: [.socket], instantiate: true, .fatal)
        case .upstreams:
            if assignment.value.isEmpty { service.upstreams = [] }
            service.upstreams += names(assignment, kinds: [.socket], instantiate: true, .fatal)
        case .notifyAccess:
            if let access = choice(assignment, .ignored, of: NotifyAccess.self) { service.notifyAccess = access }
        case .standardInput: standardInput(assignment)
        case .standardOutput:
            if let output = standardOutput(assignment, descriptor: "stdout") { service.standardOutput = output }
        case .standardError:
            if let output = standardOutput(assignment, descriptor: "stderr") { service.standardError = output }
        case .successExitStatus: service.successExitStatus = exitStatuses(assignment, service.successExitStatus)
        case .restartPreventExitStatus:
            service.restartPreventExitStatus = exitStatuses(assignment, service.restartPreventExitStatus)
        case .restartForceExitStatus:
            service.restartForceExitStatus = exitStatuses(assignment, service.restartForceExitStatus)
        case .syslogIdentifier: service.syslogIdentifier = text(assignment)
        case .startLimitIntervalSec, .startLimitInterval:
            if let limit = value(assignment, .ignored, TimeSpan.parse) { unit.startLimitInterval = limit }
        case .startLimitBurst: startLimitBurst(assignment)
        }
    }

    /// What only shows once all files are applied.
    mutating func finishService() {
        service.sockets = Self.unique(service.sockets)
        service.upstreams = Self.unique(service.upstreams)
        if service.execStart.isEmpty, !isOneshot {
            missing("ExecStart", "the service has no ExecStart=, it could do nothing")
        } else if service.execStart.count > 1, !isOneshot {
            isUsable = false
            let location = service.execStart[1].location
            report(
                Diagnostic(
                    .error, .invalidValue, at: location, directive: "ExecStart",
                    "ExecStart=: a second command is only allowed with Type=oneshot"))
        }
        // "If those options are used but NotifyAccess= is not configured, it will be implicitly set to main."
        if service.type == .notify, service.notifyAccess == .none { service.notifyAccess = .main }
    }

    mutating func commands(_ assignment: Assignment) -> [ExecCommand] {
        do {
            let reader = try ExecCommandReader(assignment, expander)
            warnAboutEscapes(assignment, reader.unknownEscapes)
            return reader.commands
        } catch {
            reject(assignment, error, .fatal)
            return []
        }
    }

    private mutating func timeout(_ directive: ServiceDirective, _ assignment: Assignment) {
        guard var limit = value(assignment, .ignored, TimeSpan.parse) else { return }
        // Old units write 0 for "never"; systemd keeps that meaning.
        if limit == .after(.zero) { limit = .infinite }
        if directive != .timeoutStopSec { service.timeoutStart = limit }
        if directive != .timeoutStartSec { service.timeoutStop = limit }
    }

    private mutating func signal(_ directive: ServiceDirective, _ assignment: Assignment) {
        guard let signal = value(assignment, .fatal, Signal.parse) else { return }
        if directive == .finalKillSignal { service.finalKillSignal = signal } else { service.killSignal = signal }
    }

    /// A user or group; an empty assignment resets it.
    mutating func account(_ assignment: Assignment, _ current: String?) -> String? {
        if assignment.value.isEmpty { return nil }
        return expanded(assignment, .fatal, Value.account) ?? current
    }

    private mutating func adjustment(_ assignment: Assignment, _ range: ClosedRange<Int>, _ current: Int?) -> Int? {
        if assignment.value.isEmpty { return nil }
        return number(assignment, .ignored, in: range) ?? current
    }

    private mutating func supplementaryGroups(_ assignment: Assignment) {
        if assignment.value.isEmpty { service.supplementaryGroups = [] }
        for word in words(assignment, escapes: .interpreted, .fatal) {
            do {
                service.supplementaryGroups.append(try Value.account(word.text))
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .fatal)
            }
        }
    }

    private mutating func workingDirectory(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.workingDirectory = nil
            return
        }
        let directory = expanded(assignment, .fatal) { (text) throws(ValueError) in
            let optional = text.hasPrefix("-")
            let path = optional ? String(text.dropFirst()) : text
            if path == "~" { return WorkingDirectory(.home, mayBeMissing: optional) }
            return WorkingDirectory(.path(try Value.absolutePath(path)), mayBeMissing: optional)
        }
        if let directory { service.workingDirectory = directory }
    }

    private mutating func environment(_ assignment: Assignment) {
        if assignment.value.isEmpty { service.environment = [] }
        for word in words(assignment, escapes: .interpreted) {
            do {
                service.environment.append(try EnvironmentAssignment.parse(word.text))
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .ignored)
            }
        }
    }

    private mutating func environmentFile(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.environmentFiles = []
            return
        }
        let location = assignment.valueLocation
        let file = expanded(assignment, .fatal) { (text) throws(ValueError) in
            let optional = text.hasPrefix("-")
            let path = try Value.absolutePath(optional ? String(text.dropFirst()) : text)
            return EnvironmentFileReference(path: path, mayBeMissing: optional, location: location)
        }
        if let file { service.environmentFiles.append(file) }
    }

    private mutating func limitNOFILE(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.limitNOFILE = nil
            return
        }
        let limit = expanded(assignment, .ignored) { (text) throws(ValueError) in
            try ResourceLimit.parse(text, unit: .count)
        }
        if let limit { service.limitNOFILE = limit }
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

    private mutating func standardInput(_ assignment: Assignment) {
        let input = expanded(assignment, .fatal) { (text) throws(ValueError) -> StandardInput in
            switch text {
            case "null": return .null
            case "socket": return .socket
            case "fd": return .descriptor("stdin")
            case "tty", "tty-force", "tty-fail", "data":
                throw ValueError("\"\(text)\" is not supported yet", code: .unsupportedValue)
            default: break
            }
            if text.hasPrefix("file:") { return .file(try Value.absolutePath(String(text.dropFirst(5)))) }
            if text.hasPrefix("fd:") { return .descriptor(try Self.descriptorName(String(text.dropFirst(3)))) }
            throw ValueError("expected null, file:PATH, socket or fd:NAME, not \"\(text)\"")
        }
        if let input { service.standardInput = input }
    }

    private mutating func standardOutput(_ assignment: Assignment, descriptor: String) -> StandardOutput? {
        expanded(assignment, .fatal) { (text) throws(ValueError) -> StandardOutput in
            switch text {
            case "inherit": return .inherit
            case "null": return .null
            case "journal": return .journal
            case "socket": return .socket
            case "fd": return .descriptor(descriptor)
            case "tty", "kmsg", "journal+console", "kmsg+console", "syslog", "syslog+console":
                throw ValueError("\"\(text)\" is not supported yet", code: .unsupportedValue)
            default: break
            }
            for (prefix, make) in [
                ("file:", StandardOutput.file), ("append:", StandardOutput.append),
                ("truncate:", StandardOutput.truncate),
            ] where text.hasPrefix(prefix) {
                return make(try Value.absolutePath(String(text.dropFirst(prefix.count))))
            }
            if text.hasPrefix("fd:") { return .descriptor(try Self.descriptorName(String(text.dropFirst(3)))) }
            throw ValueError(
                "expected inherit, null, journal, file:PATH, append:PATH, truncate:PATH, socket or fd:NAME, not \"\(text)\""
            )
        }
    }

    /// systemd.socket(5): ASCII without control characters and ":", at most 255 characters.
    static func descriptorName(_ text: String) throws(ValueError) -> String {
        let good = text.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
        guard good, !text.isEmpty, text.utf8.count <= 255 else {
            throw ValueError("expected a name of ASCII characters without \":\", not \"\(text)\"")
        }
        return text
    }
}
