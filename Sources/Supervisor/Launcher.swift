import Engine
import Glibc
import Linux
import UnitFiles
import UnitStore

/// From a definition and a command to the plan of a process: who it is, what it sees, what it gets.
struct Launcher {
    let configuration: Configuration
    /// RLIMIT_NOFILE as it was before the supervisor raised its own: services get this one unless they ask for another.
    let fileLimit: SpawnPlan.Limit
    /// Our own environment, of which services get nothing but what `baseEnvironment` takes.
    let environment: [String: String]

    /// A step that failed before there was a process; the text names it.
    struct LaunchError: Error { let text: String }

    /// Descriptors that live until the spawn.
    struct Streams: ~Copyable {
        let input: OwnedDescriptor
        let output: OwnedDescriptor
        let error: OwnedDescriptor
    }

    /// The command behind an index of a directive; nil if there is none, which the engine never asks for.
    static func command(_ command: ServiceCommand, of unit: ServiceUnit) -> ExecCommand? {
        func at(_ list: [ExecCommand], _ index: Int) -> ExecCommand? {
            list.indices.contains(index) ? list[index] : nil
        }
        return switch command {
        case .condition(let index): at(unit.execCondition, index)
        case .startPre(let index): at(unit.execStartPre, index)
        case .start: unit.execStart.first
        case .startPost(let index): at(unit.execStartPost, index)
        case .reload(let index): at(unit.execReload, index)
        case .stop(let index): at(unit.execStop, index)
        case .stopPost(let index): at(unit.execStopPost, index)
        }
    }

    /// The plan, without standard streams.
    func plan(
        _ command: ExecCommand, as kind: ServiceCommand, for instance: RunningInstance,
        in generation: GenerationResources,
        mainPid: Int32?, result: ServiceResult?
    ) throws(LaunchError) -> SpawnPlan {
        let unit = instance.definition.unit
        var environment = try serviceEnvironment(unit)
        addHoldfastVariables(to: &environment, instance, generation)
        if let mainPid { environment["MAINPID"] = "\(mainPid)" }
        if kind.isAfterTheEnd, let result { addResult(result, to: &environment) }
        if mayNotify(kind, instance.definition) { environment["NOTIFY_SOCKET"] = configuration.notifySocket }
        var descriptors: [Int32] = []
        if kind.getsSockets { descriptors = addSockets(to: &environment, instance, generation) }

        let program = try find(command.path)
        var plan = SpawnPlan(
            program: program, arguments: command.expanded(with: environment), environment: environment,
            standardInput: -1, standardOutput: -1, standardError: -1)
        plan.descriptors = descriptors
        plan.pidVariables = descriptors.isEmpty ? ["SYSTEMD_EXEC_PID"] : ["LISTEN_PID", "SYSTEMD_EXEC_PID"]
        plan.credentials = try credentials(unit, command)
        plan.workingDirectory = workingDirectory(unit)
        plan.umask = UInt32(unit.umask)
        plan.nice = unit.nice.map { Int32($0) }
        plan.oomScoreAdjust = unit.oomScoreAdjust.map { Int32($0) }
        plan.limits = [limit(unit)]
        return plan
    }

    private func find(_ path: String) throws(LaunchError) -> String {
        do throws(SystemError) {
            return try ProgramSearch.find(path)
        } catch {
            throw LaunchError(text: "executing \(path): \(error.errno.text)")
        }
    }

    private func credentials(_ unit: ServiceUnit, _ command: ExecCommand) throws(LaunchError) -> Credentials? {
        switch command.prefixes.privileges {
        case .full, .keepUser, .ambient: return nil
        case .restricted: break
        }
        guard unit.user != nil || unit.group != nil || !unit.supplementaryGroups.isEmpty else { return nil }
        do throws(UnknownAccount) {
            return try Accounts.credentials(
                user: unit.user, group: unit.group, supplementaryGroups: unit.supplementaryGroups)
        } catch {
            throw LaunchError(text: "\(error)")
        }
    }

    private func workingDirectory(_ unit: ServiceUnit) -> SpawnPlan.WorkingDirectory {
        guard let wanted = unit.workingDirectory else {
            return .init(path: configuration.isUser ? environment["HOME"] ?? "/" : "/", optional: true)
        }
        switch wanted.place {
        case .path(let path): return .init(path: path, optional: wanted.mayBeMissing)
        case .home:
            let home = unit.user.flatMap { try? Accounts.user($0).home } ?? environment["HOME"] ?? "/root"
            return .init(path: home, optional: wanted.mayBeMissing)
        }
    }

    private func limit(_ unit: ServiceUnit) -> SpawnPlan.Limit {
        guard let wanted = unit.limitNOFILE else { return fileLimit }
        return .init(resource: fileLimit.resource, soft: wanted.soft ?? .max, hard: wanted.hard ?? .max)
    }

    // MARK: - Environment

    /// Defaults, then `Environment=`, then `EnvironmentFile=`, each over what stands before (systemd.exec(5)).
    private func serviceEnvironment(_ unit: ServiceUnit) throws(LaunchError) -> [String: String] {
        var result = ["PATH": ProgramSearch.path, "LANG": environment["LANG"] ?? "C.UTF-8"]
        if let user = unit.user ?? (configuration.isUser ? "\(geteuid())" : nil), let account = try? Accounts.user(user)
        {
            result["USER"] = account.name
            result["LOGNAME"] = account.name
            result["HOME"] = account.home
            result["SHELL"] = account.shell
        }
        if configuration.isUser {
            for name in ["HOME", "XDG_RUNTIME_DIR"] { if let value = environment[name] { result[name] = value } }
        }
        for assignment in unit.environment { result[assignment.name] = assignment.value }
        for file in unit.environmentFiles {
            for assignment in try read(file) { result[assignment.name] = assignment.value }
        }
        return result
    }

    private func read(_ file: EnvironmentFileReference) throws(LaunchError) -> [EnvironmentAssignment] {
        do throws(UnitFileReadError) {
            return EnvironmentFile.parse(try UnitsOnDisk().read(file.path), path: file.path).assignments
        } catch {
            if file.mayBeMissing, error == .missing { return [] }
            throw LaunchError(text: "reading EnvironmentFile=\(file.path): \(error)")
        }
    }

    private func addHoldfastVariables(
        to environment: inout [String: String], _ instance: RunningInstance, _ generation: GenerationResources
    ) {
        environment["INVOCATION_ID"] = instance.invocation
        environment["GENERATION"] = "\(generation.id.number)"
        environment["GENERATION_DIRECTORY"] = generation.directory
        if let release = instance.definition.unit.name.instance { environment["RELEASE"] = release }
        for unit in instance.definition.upstreams {
            guard let address = generation.sockets[unit.name.description]?.first?.address else { continue }
            environment["UPSTREAM_" + HeldSocket.variable(unit.name.description)] = "\(address.loopback)"
        }
    }

    /// `LISTEN_FDS`, `LISTEN_FDNAMES` as systemd has them, and `LISTEN_FD_NAME` for programs that read only numbers.
    private func addSockets(
        to environment: inout [String: String], _ instance: RunningInstance, _ generation: GenerationResources
    ) -> [Int32] {
        // Named as the unit says now: a shared socket may be older than its present name.
        let sockets = instance.definition.sockets.flatMap { unit in
            (generation.sockets[unit.name.description] ?? []).map { (name: unit.fileDescriptorName, held: $0) }
        }
        guard !sockets.isEmpty else { return [] }
        environment["LISTEN_FDS"] = "\(sockets.count)"
        environment["LISTEN_FDNAMES"] = sockets.map(\.name).joined(separator: ":")
        var seen: [String: Int] = [:]
        for (index, entry) in sockets.enumerated() {
            let name = "LISTEN_FD_" + HeldSocket.variable(entry.name)
            seen[name, default: 0] += 1
            // A unit with several addresses: the first has the plain name, the others are counted from 2.
            let count = seen[name] ?? 1
            environment[count == 1 ? name : "\(name)_\(count)"] = "\(3 + index)"
        }
        return sockets.map(\.held.endpoint.raw)
    }

    private func mayNotify(_ kind: ServiceCommand, _ definition: Definition) -> Bool {
        let unit = definition.unit
        switch (unit.notifyAccess, kind) {
        case (.all, _), (.exec, _): return true
        case (.main, .start): return true
        case (.none, .start): return unit.type == .notify
        case (.main, _), (.none, _): return false
        }
    }

    private func addResult(_ result: ServiceResult, to environment: inout [String: String]) {
        let status: EngineExitStatus?
        switch result {
        case .clean(let end):
            environment["SERVICE_RESULT"] = "success"
            status = end
        case .skipped:
            environment["SERVICE_RESULT"] = "exec-condition"
            status = nil
        case .failed(let failure):
            environment["SERVICE_RESULT"] = failure.cause.serviceResult
            status = if case .exited(let end) = failure.cause { end } else { nil }
        }
        switch status {
        case .exited(let code):
            environment["EXIT_CODE"] = "exited"
            environment["EXIT_STATUS"] = "\(code)"
        case .signalled(let signal, let core):
            environment["EXIT_CODE"] = core ? "dumped" : "killed"
            environment["EXIT_STATUS"] = String(Linux.Signal(rawValue: signal).name.dropFirst(3))
        case .unknown, nil: break
        }
    }
}

extension Failure.Cause {
    /// `$SERVICE_RESULT` of systemd.exec(5).
    fileprivate var serviceResult: String {
        switch self {
        case .spawn, .text: "resources"
        case .exited(.signalled(_, coreDumped: true)): "core-dump"
        case .exited(.signalled): "signal"
        case .exited: "exit-code"
        case .timedOut, .probe: "timeout"
        case .startLimit: "start-limit-hit"
        }
    }
}

extension ServiceCommand {
    /// Those that may have to check or use a socket: `haproxy -c` refuses a configuration whose `fd@3` is not there.
    fileprivate var getsSockets: Bool {
        switch self {
        case .condition, .startPre, .start, .reload: true
        case .startPost, .stop, .stopPost: false
        }
    }

    fileprivate var isAfterTheEnd: Bool {
        switch self {
        case .stop, .stopPost: true
        case .condition, .startPre, .start, .startPost, .reload: false
        }
    }
}
