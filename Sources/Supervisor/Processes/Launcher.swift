import Engine
import Linux
import UnitFiles
import UnitStore

/// Makes the plan of a process from a definition and a command: its identity, environment, restrictions and
/// descriptors.
///
/// - `Launcher+Environment`: environment variables.
/// - `Launcher+Attributes`: identity, limits, scheduling.
/// - `Launcher+Directories`: the service's directories.
struct Launcher {
    let configuration: Configuration
    /// Limits from before the supervisor raised its own, RLIMIT_NOFILE first: services get these unless they set
    /// others.
    let limits: [SpawnPlan.Limit]
    /// The supervisor's environment, of which services get only the variables in `baseEnvironment` and
    /// `PassEnvironment=`.
    let environment: [String: String]
    /// Roots of `RuntimeDirectory=`, `StateDirectory=` and the like.
    let specifiers: SpecifierEnvironment
    /// Whether the supervisor's own OOM score is below 0.
    let isProtectedFromOOM: Bool
    let machine: any Machine

    /// Descriptors that are closed after the spawn.
    struct Streams: ~Copyable {
        let input: OwnedDescriptor
        let output: OwnedDescriptor
        let error: OwnedDescriptor
    }

    /// Groups of a unit's settings that apply to one of its commands (systemd.service(5), "Command lines").
    struct Scope {
        /// User, groups and dependent settings.
        var user = true
        /// Limits, capabilities and other restrictions.
        var restrictions = true
        var rootDirectory = true

        init(_ prefixes: ExecCommand.Prefixes) {
            switch prefixes.privileges {
            // `!!` is for kernels without ambient capabilities, which are not supported.
            case .restricted, .ambient: break
            case .keepUser: user = false
            case .full: (user, restrictions) = (false, false)
            }
        }
    }

    /// The plan of a process, with remarks.
    struct Launch {
        var plan: SpawnPlan
        /// Requirements of the unit that the process does without.
        var remarks: [String] = []
    }

    /// Facts of the present run for a command.
    struct Facts {
        /// Pid of the main process, for commands beside it.
        var mainPid: Int32?
        /// Result of the run, for commands after it.
        var end: ServiceEnd?
        /// Files for the main process; the caller keeps them open until it has been executed.
        var openFiles: [PassedFile] = []
        /// Files that keep their owner when the service's directories get theirs.
        var spared: Set<FileID> = []
    }

    /// The command at an index of a directive; nil if there is none, which the engine never asks for.
    static func command(_ command: ServiceCommand, of unit: ServiceUnit) -> ExecCommand? {
        func at(_ list: [ExecCommand], _ index: Int) -> ExecCommand? {
            list.indices.contains(index) ? list[index] : nil
        }
        return switch command {
        case .condition(let index): at(unit.execCondition, index)
        case .startPre(let index): at(unit.execStartPre, index)
        case .start(let index): at(unit.execStart, index)
        case .startPost(let index): at(unit.execStartPost, index)
        case .reload(let index): at(unit.execReload, index)
        case .stop(let index): at(unit.execStop, index)
        case .stopPost(let index): at(unit.execStopPost, index)
        }
    }

    /// The plan, without the standard streams that are not sockets. Afterwards the service's directories exist.
    func plan(
        _ command: ExecCommand, as kind: ServiceCommand, for instance: RunningInstance,
        in generation: GenerationResources, _ facts: Facts
    ) throws(LaunchError) -> Launch {
        let unit = instance.definition.unit
        let execution = unit.execution
        var scope = Scope(command.prefixes)
        if !kind.isMain {
            if unit.permissionsStartOnly { (scope.user, scope.restrictions) = (false, false) }
            if unit.rootDirectoryStartOnly { scope.rootDirectory = false }
        }
        let account = try account(of: execution)
        let credentials = try credentials(of: execution)
        try makeDirectories(of: execution, for: credentials, sparing: facts.spared)

        var variables = baseEnvironment(execution, account)
        variables["INVOCATION_ID"] = instance.invocation
        addHoldfastVariables(to: &variables, instance.definition, generation)
        if unit.isConnectedToTerminal { variables["TERM"] = machine.serviceFiles.terminalType(of: unit.terminal.path) }
        variables["CREDENTIALS_DIRECTORY"] = credentialsDirectory(of: unit)
        if let mainPid = facts.mainPid { variables["MAINPID"] = "\(mainPid)" }
        if kind.isAfterTheEnd, let end = facts.end { variables.merge(Self.resultVariables(end)) { $1 } }
        if kind.isStart { variables.merge(instance.triggeredBy) { $1 } }
        if instance.definition.unit.notifyAccess.allows(kind.senderRole) {
            variables["NOTIFY_SOCKET"] = configuration.notifySocket
        }
        var handoff = kind.getsSockets ? handoff(to: instance, generation) : Handoff()
        if kind.isMain { add(instance.store, facts.openFiles, to: &handoff) }
        variables.merge(handoff.environment) { $1 }
        if let path = unit.lifecycle.pidFile { variables["PIDFILE"] = path }
        var pidVariables = ["SYSTEMD_EXEC_PID"]
        if handoff.environment["LISTEN_FDS"] != nil { pidVariables.append("LISTEN_PID") }
        if kind.isMain, let watchdog = unit.lifecycle.watchdog, watchdog > .zero {
            variables["WATCHDOG_USEC"] = "\(watchdog.wholeNanoseconds / 1000)"
            pidVariables.append("WATCHDOG_PID")
        }
        for name in pidVariables { variables[name] = Self.pidPlaceholder }
        var remarks: [String] = []
        try addOwnVariables(of: execution, to: &variables, &remarks)

        let root = scope.rootDirectory ? execution.rootDirectory : nil
        let known = variables.filter { $0.value != Self.pidPlaceholder }
        var plan = SpawnPlan(
            program: try find(command.path, execution, root), arguments: command.expanded(with: known),
            environment: variables, standardInput: handoff.standardInput ?? -1, standardOutput: -1, standardError: -1)
        plan.pidVariables = pidVariables.filter { variables[$0] == Self.pidPlaceholder }
        plan.descriptors = handoff.descriptors
        plan.network = generation.network?.raw ?? -1
        plan.invocation = Self.bytes(ofHexadecimal: instance.invocation)
        plan.rootDirectory = root.map { .init(path: $0.path, optional: $0.mayBeMissing) }
        plan.workingDirectory = workingDirectory(execution, account, root)
        apply(execution, credentials, scope, to: &plan)
        return Launch(plan: plan, remarks: remarks)
    }

    func find(
        _ path: String, _ execution: ExecutionSettings, _ root: RootDirectory?
    ) throws(LaunchError) -> String {
        do throws(SystemError) {
            let searched = execution.execSearchPath.isEmpty ? ProgramSearch.directories : execution.execSearchPath
            return try machine.accounts.findProgram(path, in: searched, root: root?.path ?? "")
        } catch {
            throw LaunchError(
                text: "executing \(path): \(error.errno.text)", status: SpawnError.Step.executing.exitStatus)
        }
    }

    func workingDirectory(
        _ execution: ExecutionSettings, _ account: User?, _ root: RootDirectory?
    ) -> SpawnPlan.WorkingDirectory {
        guard let wanted = execution.workingDirectory else {
            let home = configuration.isUser && root == nil ? environment["HOME"] : nil
            return .init(path: home ?? "/", optional: true)
        }
        switch wanted.place {
        case .path(let path): return .init(path: path, optional: wanted.mayBeMissing)
        case .home:
            let home = account?.home ?? environment["HOME"] ?? "/root"
            return .init(path: home, optional: wanted.mayBeMissing)
        }
    }

    static func bytes(ofHexadecimal text: String) -> [UInt8]? {
        let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
        guard digits.count == text.utf8.count, digits.count % 2 == 0 else { return nil }
        return stride(from: 0, to: digits.count, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
    }
}

extension ServiceCommand {
    /// Commands that may have to check or use a socket: `haproxy -c` refuses a configuration whose `fd@3` is not there.
    fileprivate var getsSockets: Bool {
        switch self {
        case .condition, .startPre, .start, .reload: true
        case .startPost, .stop, .stopPost: false
        }
    }

    /// `ExecStartPre=` and `ExecStart=`.
    fileprivate var isStart: Bool {
        switch self {
        case .startPre, .start: true
        case .condition, .startPost, .reload, .stop, .stopPost: false
        }
    }

    fileprivate var isAfterTheEnd: Bool {
        switch self {
        case .stop, .stopPost: true
        case .condition, .startPre, .start, .startPost, .reload: false
        }
    }
}
