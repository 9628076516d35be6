import Vocabulary

@testable import UnitFiles

/// Properties of a unit as `systemctl show` of systemd 252 prints them.
enum ShownProperties {
    /// nil: this property is not compared.
    static func value(_ property: String, of unit: Unit) -> String? {
        if let shown = section(property, unit.definition.unit) { return shown }
        switch unit {
        case .service(let service):
            return lifecycle(property, service) ?? commands(property, service) ?? execution(property, service.execution)
                ?? logging(property, service)
        case .socket(let socket): return options(property, socket)
        case .target: return nil
        }
    }

    static func yesNo(_ value: Bool) -> String { value ? "yes" : "no" }
    static func names(_ list: [UnitReference]) -> String {
        // A unit that depends on itself does not, there.
        list.map(\.name.description).filter { $0 != "v00000.service" }.sorted().map(quoted).joined(separator: " ")
    }
    /// As systemctl quotes the words of a list (its shell_maybe_quote()).
    static func quoted(_ word: String) -> String {
        let special = "\"\\`$*?['()<>|&;! \t\n\r"
        guard word.isEmpty || word.contains(where: { special.contains($0) }) else { return word }
        var text = ""
        for character in word {
            switch character {
            case "\n": text += "\\n"
            case "\t": text += "\\t"
            case "\"", "\\", "`", "$": text += "\\\(character)"
            default: text.append(character)
            }
        }
        return "\"\(text)\""
    }
    static func words(_ list: [String]) -> String { list.map(quoted).joined(separator: " ") }
    static func mode(_ mode: UInt16) -> String {
        let digits = String(mode, radix: 8)
        return String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// systemd's format_timespan() with an accuracy of a microsecond.
    static func span(_ limit: TimeLimit) -> String { limit.duration.map(span) ?? "infinity" }
    static func span(_ duration: Duration) -> String {
        let parts = duration.components
        var left = UInt64(parts.seconds) * 1_000_000 + UInt64(parts.attoseconds / 1_000_000_000_000)
        guard left > 0 else { return "0" }
        let second: UInt64 = 1_000_000
        let day = 86_400 * second
        let year = 365 * day + day / 4
        let units: [(String, UInt64, Int)] = [
            ("y", year, 0), ("month", year / 12, 0), ("w", 7 * day, 0), ("d", day, 0), ("h", 3600 * second, 0),
            ("min", 60 * second, 0), ("s", second, 6), ("ms", 1000, 3), ("us", 1, 0),
        ]
        var words: [String] = []
        for (name, length, digits) in units where left >= length {
            if left < 60 * second, left % length > 0, digits > 0 {
                let fraction = String(left % length)
                words.append(
                    "\(left / length).\(String(repeating: "0", count: digits - fraction.count))\(fraction)\(name)")
                break
            }
            words.append("\(left / length)\(name)")
            left %= length
        }
        return words.joined(separator: " ")
    }

    // MARK: [Unit]

    static func section(_ property: String, _ unit: UnitSection) -> String? {
        let graph = unit.graph
        switch property {
        case "Description": return unit.description
        case "Documentation": return words(unit.documentation)
        case "StopWhenUnneeded": return yesNo(graph.stopWhenUnneeded)
        case "RefuseManualStart": return yesNo(graph.refusesManualStart)
        case "RefuseManualStop": return yesNo(graph.refusesManualStop)
        case "DefaultDependencies": return yesNo(graph.hasDefaultDependencies)
        case "StartLimitIntervalUSec": return span(unit.startLimitInterval)
        case "StartLimitBurst": return "\(unit.startLimitBurst)"
        case "OnFailureJobMode": return graph.onFailureJobMode.rawValue
        case "OnSuccessJobMode": return graph.onSuccessJobMode.rawValue
        case "Wants": return names(unit.wants)
        case "Requires": return names(unit.requires)
        case "Requisite": return names(graph.requisite)
        case "BindsTo": return names(graph.bindsTo)
        case "PartOf": return names(graph.partOf)
        case "Upholds": return names(graph.upholds)
        case "Conflicts": return names(graph.conflicts)
        case "Before": return names(unit.before)
        case "After": return names(unit.after)
        case "OnFailure": return names(graph.onFailure)
        case "OnSuccess": return names(graph.onSuccess)
        case "PropagatesReloadTo": return names(graph.propagatesReloadTo)
        case "ReloadPropagatedFrom": return names(graph.reloadPropagatedFrom)
        case "PropagatesStopTo": return names(graph.propagatesStopTo)
        case "StopPropagatedFrom": return names(graph.stopPropagatedFrom)
        case "Conditions": return conditions(unit.conditions.conditions)
        case "Asserts": return conditions(unit.conditions.asserts)
        default: return nil
        }
    }

    static func conditions(_ list: [Condition]) -> String {
        // The newest first.
        list.reversed().map { ($0.isTrigger ? "|" : "") + ($0.isNegated ? "!" : "") + $0.parameter }
            .joined(separator: " ")
    }

    // MARK: [Service]

    static func lifecycle(_ property: String, _ service: ServiceUnit) -> String? {
        let life = service.lifecycle
        switch property {
        case "Type": return service.type.rawValue
        case "RemainAfterExit": return yesNo(life.remainAfterExit)
        case "GuessMainPID": return yesNo(life.guessesMainPid)
        case "RootDirectoryStartOnly": return yesNo(service.rootDirectoryStartOnly)
        case "NonBlocking": return yesNo(service.nonBlocking)
        case "SendSIGKILL": return yesNo(service.sendSIGKILL)
        case "SendSIGHUP": return yesNo(life.sendsSIGHUP)
        case "RestartUSec": return span(service.restartDelay)
        case "TimeoutStartUSec": return span(service.timeoutStart)
        case "TimeoutStopUSec": return span(service.timeoutStop)
        case "TimeoutAbortUSec": return span(life.timeoutAbort ?? service.timeoutStop)
        case "RuntimeMaxUSec": return span(life.runtimeMax)
        case "RuntimeRandomizedExtraUSec": return span(life.runtimeRandomizedExtra)
        case "FileDescriptorStoreMax": return "\(service.descriptorStoreLimit)"
        case "KillSignal": return "\(service.killSignal.rawValue)"
        case "RestartKillSignal": return "\((life.restartKillSignal ?? service.killSignal).rawValue)"
        case "FinalKillSignal": return "\(service.finalKillSignal.rawValue)"
        case "WatchdogSignal": return "\(life.watchdogSignal.rawValue)"
        case "SuccessExitStatus": return statuses(service.successExitStatus)
        case "RestartPreventExitStatus": return statuses(service.restartPreventExitStatus)
        case "RestartForceExitStatus": return statuses(service.restartForceExitStatus)
        case "ExitType": return life.exitType.rawValue
        case "Restart": return service.restart.keyword
        case "NotifyAccess": return service.notifyAccess.keyword
        case "OOMPolicy": return life.oomPolicy?.rawValue
        case "TimeoutStartFailureMode": return life.startFailureMode.keyword
        case "TimeoutStopFailureMode": return life.stopFailureMode.keyword
        case "KillMode": return service.killMode.keyword
        case "PIDFile": return life.pidFile ?? ""
        case "TTYReset": return yesNo(service.terminal.isReset)
        case "TTYVHangup": return yesNo(service.terminal.isHungUp)
        case "TTYVTDisallocate": return yesNo(service.terminal.isDeallocated)
        case "TTYPath": return service.terminal.path
        case "TTYRows": return "\(service.terminal.rows ?? .max)"
        case "TTYColumns": return "\(service.terminal.columns ?? .max)"
        default: return nil
        }
    }

    static func statuses(_ set: ExitStatusSet) -> String {
        let signals = set.signals.sorted { $0.rawValue < $1.rawValue }.map { signal in
            signal.rawValue >= 34
                ? (signal.rawValue == 34 ? "RTMIN" : "RTMIN+\(signal.rawValue - 34)") : String("\(signal)".dropFirst(3))
        }
        return (set.codes.sorted().map { "\($0)" } + signals).joined(separator: " ")
    }

    static func commands(_ property: String, _ service: ServiceUnit) -> String? {
        let list: [ExecCommand]
        switch property {
        case "ExecConditionEx": list = service.execCondition
        case "ExecStartPreEx": list = service.execStartPre
        case "ExecStartEx": list = service.execStart
        case "ExecStartPostEx": list = service.execStartPost
        case "ExecReloadEx": list = service.execReload
        case "ExecStopEx": list = service.execStop
        case "ExecStopPostEx": list = service.execStopPost
        default: return nil
        }
        return list.map { command in
            var flags: [String] = []
            if command.prefixes.ignoreFailure { flags.append("ignore-failure") }
            switch command.prefixes.privileges {
            case .restricted: break
            case .full: flags.append("privileged")
            case .keepUser: flags.append("no-setuid")
            case .ambient: flags.append("ambient")
            }
            if command.prefixes.literal { flags.append("no-env-expand") }
            let words = [command.argv0 ?? command.path] + command.arguments
            return ([command.path] + words + [flags.joined(separator: " ")]).joined(separator: "\u{1F}")
        }.joined(separator: "\u{1E}")
    }

    // MARK: systemd.exec(5)

    static func execution(_ property: String, _ settings: ExecutionSettings) -> String? {
        if property.hasPrefix("Limit") { return limit(property, settings) }
        if let shown = directories(property, settings) { return shown }
        switch property {
        case "User": return settings.user ?? ""
        case "Group": return settings.group ?? ""
        case "SupplementaryGroups": return words(settings.supplementaryGroups)
        case "CPUSchedulingResetOnFork": return yesNo(settings.cpuScheduling?.resetOnFork ?? false)
        case "CPUSchedulingPolicy": return "\(settings.cpuScheduling?.policy.number ?? 0)"
        case "CPUSchedulingPriority": return "\(settings.cpuScheduling?.priority ?? 0)"
        case "NoNewPrivileges": return yesNo(settings.noNewPrivileges)
        case "IgnoreSIGPIPE": return yesNo(settings.ignoreSIGPIPE)
        case "TimerSlackNSec": return settings.timerSlack.map { "\($0)" }
        case "Nice": return "\(settings.nice ?? 0)"
        case "OOMScoreAdjust": return settings.oomScoreAdjust.map { "\($0)" }
        case "UMask": return mode(settings.umask)
        case "KeyringMode": return settings.keyringMode?.rawValue
        case "IOSchedulingClass": return settings.ioScheduling.map { "\($0.schedulingClass.number)" }
        case "IOSchedulingPriority": return settings.ioScheduling.map { "\($0.priority)" }
        case "CPUAffinity": return ranges(settings.cpuAffinity)
        case "CoredumpFilter": return settings.coredumpFilter.map { "0x" + String($0, radix: 16) }
        case "SecureBits": return "\(settings.secureBits.rawValue)"
        case "CapabilityBoundingSet": return settings.capabilityBoundingSet.map(capabilities)
        case "AmbientCapabilities": return capabilities(settings.ambientCapabilities)
        case "WorkingDirectory": return workingDirectory(settings.workingDirectory)
        case "RootDirectory": return settings.rootDirectory.map { ($0.mayBeMissing ? "-" : "") + $0.path } ?? ""
        case "ExecSearchPath": return words(settings.execSearchPath)
        case "Environment": return words(environment(settings.environment))
        case "EnvironmentFiles":
            return settings.environmentFiles.map { "\($0.path) (ignore_errors=\(yesNo($0.mayBeMissing)))" }
                .joined(separator: " ")
        case "PassEnvironment": return words(settings.passEnvironment)
        case "UnsetEnvironment": return words(settings.unsetEnvironment.map(removal))
        case "StandardInput": return input(settings.standardInput)
        case "StandardInputData": return base64(settings.inputData)
        case "Personality": return settings.personality.map { $0 == .native ? "x86-64" : "x86" } ?? ""
        default: return nil
        }
    }

    /// Of several values of one name the last.
    static func environment(_ list: [EnvironmentAssignment]) -> [String] {
        var result: [EnvironmentAssignment] = []
        for assignment in list {
            if let index = result.firstIndex(where: { $0.name == assignment.name }) {
                result[index] = assignment
            } else {
                result.append(assignment)
            }
        }
        return result.map { "\($0.name)=\($0.value)" }
    }

    static func removal(_ removal: EnvironmentRemoval) -> String {
        switch removal {
        case .name(let name): name
        case .assignment(let assignment): "\(assignment.name)=\(assignment.value)"
        }
    }

    static func workingDirectory(_ directory: WorkingDirectory?) -> String {
        guard let directory else { return "" }
        let path =
            switch directory.place {
            case .home: "~"
            case .path(let path): path
            }
        return (directory.mayBeMissing ? "!" : "") + path
    }

    static func limit(_ property: String, _ settings: ExecutionSettings) -> String? {
        let isSoft = property.hasSuffix("Soft")
        let name = property.dropFirst(5).dropLast(isSoft ? 4 : 0)
        guard let kind = ResourceLimitKind(rawValue: String(name)), let limit = settings.limits[kind] else {
            return nil
        }
        return (isSoft ? limit.soft : limit.hard).map { "\($0)" } ?? "infinity"
    }

    static func directories(_ property: String, _ settings: ExecutionSettings) -> String? {
        for kind in DirectoryKind.allCases where property.hasPrefix(kind.rawValue) {
            let directories = settings.directories[kind] ?? ManagedDirectories()
            switch property.dropFirst(kind.rawValue.count) {
            case "": return words(directories.paths)
            case "Mode": return mode(directories.mode)
            case "Preserve":
                switch settings.runtimeDirectoryPreserve {
                case .no: return "no"
                case .restart: return "restart"
                case .yes: return "yes"
                }
            case "Symlink":
                return directories.entries.compactMap { entry in entry.link.map { entry.path + ":" + $0 } }
                    .joined(separator: " ")
            default: return nil
            }
        }
        return nil
    }

    static func ranges(_ cpus: Set<Int>) -> String {
        var words: [String] = []
        var rest = cpus.sorted()[...]
        while let first = rest.first {
            var last = first
            rest = rest.dropFirst()
            while rest.first == last + 1 {
                last += 1
                rest = rest.dropFirst()
            }
            words.append(first == last ? "\(first)" : "\(first)-\(last)")
        }
        return words.joined(separator: " ")
    }

    static func capabilities(_ set: CapabilitySet) -> String {
        CapabilitySet.names.indices.filter { set.bits >> UInt64($0) & 1 == 1 }.map { "cap_" + CapabilitySet.names[$0] }
            .joined(separator: " ")
    }

    static func input(_ input: StandardInput) -> String? {
        switch input {
        case .null: "null"
        case .data: "data"
        case .socket: "socket"
        case .descriptor: "fd"
        case .file: "file"
        case .terminal(let claim): claim.rawValue
        }
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let bits = group.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for index in 0..<4 {
                text.append(index <= group.count ? digits[bits >> (18 - 6 * index) & 63] : "=")
            }
        }
        return text
    }

    // MARK: Output

    static func logging(_ property: String, _ service: ServiceUnit) -> String? {
        let settings = service.logging
        switch property {
        case "SyslogIdentifier": return settings.syslogIdentifier ?? ""
        case "SyslogLevel": return "\(settings.syslogLevel)"
        case "SyslogFacility": return "\(settings.syslogFacility)"
        case "SyslogLevelPrefix": return yesNo(settings.syslogLevelPrefix)
        // 7 is shown as -1 where it is not written.
        case "LogLevelMax": return settings.levelMax == 7 ? nil : "\(settings.levelMax)"
        case "LogRateLimitIntervalUSec": return span(settings.rateLimitInterval ?? .zero)
        case "LogRateLimitBurst": return "\(settings.rateLimitBurst ?? 0)"
        default: return nil
        }
    }
}
