import Engine
import Linux
import Logging
import UnitFiles

/// Interface of the supervisor to the desk of launches.
protocol LaunchHost: EventHost {
    func resources(of generation: GenerationID) -> GenerationResources?
    /// Result of the instance's run, for commands after it.
    func end(of instance: InstanceID) -> ServiceEnd?
    func isSwapUnit(_ group: GroupID) -> Bool
    /// Whether the start of a command may wait until a shortage ends.
    func mayPostpone(_ command: ServiceCommand, of instance: InstanceID) -> Bool
    /// The instance has a new `INVOCATION_ID`.
    func willBeginRun(of instance: RunningInstance)
    /// The instance has the process tree of a new run, without processes.
    func didBeginRun(of instance: RunningInstance)
    /// Records requirements of the unit that a start does without.
    func remark(_ instance: RunningInstance, _ remarks: [String])
}

/// Starts the commands of instances: makes their tree, credentials, streams and plan, then the process.
final class LaunchDesk {
    private unowned let host: any LaunchHost
    private let machine: any Machine
    private let launcher: Launcher
    private let instances: Instances
    private let processes: ProcessDesk
    private let streams: StreamDesk
    private let directories: ServiceDirectories
    private let stores: DescriptorStores

    init(
        _ machine: any Machine, _ launcher: Launcher, _ instances: Instances, _ processes: ProcessDesk,
        _ streams: StreamDesk, _ directories: ServiceDirectories, _ stores: DescriptorStores, host: any LaunchHost
    ) {
        self.machine = machine
        self.launcher = launcher
        self.instances = instances
        self.processes = processes
        self.streams = streams
        self.directories = directories
        self.stores = stores
        self.host = host
    }

    /// Starts a command; the event `spawned` or `spawnFailed` of the token follows, now or later.
    func start(_ token: Token, _ kind: ServiceCommand, of id: InstanceID) {
        guard instances[id]?.definition.unread == nil else {
            let text = "its unit file, as it was when it was started, cannot be read by this version of holdfastd"
            return host.handle(.spawnFailed(token, text, status: nil))
        }
        // Commands that end a service may use the reserve of descriptors.
        guard kind.beginsRun else { return startNow(token, kind, of: id) }
        machine.processes.bounded(by: .services) { startNow(token, kind, of: id) }
    }

    private func startNow(_ token: Token, _ kind: ServiceCommand, of id: InstanceID) {
        guard let instance = instances[id], let generation = host.resources(of: instance.generation),
            let command = Launcher.command(kind, of: instance.definition.unit)
        else { return host.handle(.spawnFailed(token, "its definition is gone", status: nil)) }
        do throws(LaunchError) {
            try prepare(instance, for: kind)
            let files = kind.isMain ? try launcher.openFiles(of: instance.definition.unit) : []
            // The plan has only the numbers of the files.
            defer { withExtendedLifetime(files) {} }
            let launch = try launcher.plan(
                command, as: kind, for: instance, in: generation,
                .init(
                    mainPid: processes.main(of: id)?.pid, end: host.end(of: id), openFiles: files,
                    spared: directories.sparedFiles(instance.definition.unit.execution)))
            if kind.isMain { setNonBlocking(instance, generation) }
            if kind.isConnected { streams.prepareTerminal(of: instance.definition.unit) }
            _ = try run(launch, as: token, of: instance, generation, isConnected: kind.isConnected)
            instance.isShortageLogged = false
            host.handle(.spawned(token))
        } catch {
            fail(token, kind, of: instance, error)
        }
    }

    private func prepare(_ instance: RunningInstance, for kind: ServiceCommand) throws(LaunchError) {
        if instance.tree == nil {
            // Directories of an earlier run of this instance: systemd removes them as soon as that run has ended.
            if kind.beginsRun, instance.definition.unit.execution.runtimeDirectoryPreserve == .no {
                directories.removeRuntimeDirectories(of: instance)
            }
            if kind.beginsRun {
                stores.prepare(instance)
                try directories.makeCredentials(of: instance)
            }
            try makeTree(of: instance, isNewRun: kind.beginsRun)
        }
        if case .stop = kind { instance.tree?.recordMembers() }
    }

    private func makeTree(of instance: RunningInstance, isNewRun: Bool) throws(LaunchError) {
        if isNewRun || instance.invocation.isEmpty {
            (instance.invocation, instance.remarks) = (Launcher.makeInvocationID(), [])
            host.willBeginRun(of: instance)
        }
        do throws(SystemError) {
            let tree = try machine.trees.make(name: instance.treeName, cookie: instance.invocation)
            instances.begin(RunningTree(tree, machine.loop), of: instance)
            host.didBeginRun(of: instance)
        } catch {
            throw LaunchError(text: "\(error)", isTransient: error.isTransient)
        }
    }

    /// Applies `NonBlocking=`. Sockets that generations share never block: processes race for each connection, and
    /// accept(2) would hang in the one that lost. But programs that read their standard input expect it to block.
    private func setNonBlocking(_ instance: RunningInstance, _ generation: GenerationResources) {
        let isSwapped = host.isSwapUnit(instance.definition.group)
        let wanted = instance.definition.unit.nonBlocking
        let input = streams.inputFIFO(of: instance)
        do throws(SystemError) {
            try instance.connection?.descriptor.setNonBlocking(wanted)
            for unit in instance.definition.sockets {
                for held in generation.sockets[unit.name.description] ?? [] {
                    let isInput = held === input
                    // Another service that has the socket may race for connections, although this one does not.
                    try held.endpoint.setNonBlocking(
                        wanted || isSwapped && !isInput || held.sharers.mustNotBlock)
                }
            }
        } catch {
            host.log(.warning, about: instance.name, "\(instance.name): NonBlocking=: \(error)")
        }
    }

    /// Starts a process of an instance by its plan.
    /// - Parameters:
    ///   - isConnected: whether the command may use the service's terminal.
    ///   - nanoseconds: time after which the process is killed.
    ///   - ended: takes the end instead of the engine; a successor does not take such a process over.
    func run(
        _ prepared: Launcher.Launch, as token: Token, of instance: RunningInstance, _ generation: GenerationResources,
        isConnected: Bool = false, within nanoseconds: Int64? = nil, ended: ((ChildProcess.End) -> Void)? = nil
    ) throws(LaunchError) -> RunningProcess {
        var plan = prepared.plan
        host.remark(instance, prepared.remarks)
        let opened: Launcher.Streams
        do throws(SystemError) {
            opened = try streams.open(for: instance, generation, isConnected: isConnected)
        } catch {
            throw LaunchError(text: "\(error)", status: 209, isTransient: error.isTransient)
        }
        if isConnected, case .terminal(let claim) = instance.definition.unit.execution.standardInput {
            plan.terminal = opened.input.raw
            plan.takesTerminal = claim == .force
        }
        // A socket for standard input is already in the plan.
        if plan.standardInput < 0 { plan.standardInput = opened.input.raw }
        plan.standardOutput = opened.output.raw
        plan.standardError = opened.error.raw
        do throws(StartError) {
            let process = try processes.start(plan, as: token, of: instance, within: nanoseconds, ended: ended)
            host.remark(instance, Launcher.remarks(on: process.child.eased))
            return process
        } catch {
            throw LaunchError(error)
        }
    }

    // MARK: - Failures

    private func fail(_ token: Token, _ kind: ServiceCommand, of instance: RunningInstance, _ error: LaunchError) {
        // A change of owner that takes more than a round of the loop continues after other events.
        if error.isUnfinished { return postpone(token, kind, of: instance, error, for: 1_000_000) }
        guard error.isTransient, host.mayPostpone(kind, of: instance.id) else {
            return host.handle(.spawnFailed(token, error.text, status: error.status))
        }
        if !instance.isShortageLogged {
            host.log(.error, about: instance.name, "\(instance.name): \(error.text); retrying every second")
        }
        instance.isShortageLogged = true
        // Retried for as long as the engine permits (`TimeoutStartSec=`).
        postpone(token, kind, of: instance, error, for: 1_000_000_000)
    }

    private func postpone(
        _ token: Token, _ kind: ServiceCommand, of instance: RunningInstance, _ error: LaunchError,
        for nanoseconds: Int64
    ) {
        let id = instance.id
        let timer = machine.loop.retry(after: nanoseconds) { [unowned self] in
            guard let instance = instances[id], instance.postponed?.token == token else { return }
            instance.postponed = nil
            start(token, kind, of: id)
        }
        instance.postponed = RunningInstance.PostponedStart(token: token, error: error, timer: timer)
    }

    /// Gives up a postponed start whose service is to end.
    func giveUpStart(_ token: Token) {
        for instance in instances.sorted where instance.postponed?.token == token { giveUpStart(of: instance.id) }
    }

    func giveUpStart(of id: InstanceID) {
        guard let instance = instances[id], let postponed = instance.postponed else { return }
        instance.postponed = nil
        if instances.values.allSatisfy({ $0.postponed == nil }) { machine.serviceFiles.forgetOwnerChanges() }
        host.handle(.spawnFailed(postponed.token, postponed.error.text, status: postponed.error.status))
    }

    /// Postponed starts as events: a successor does not retry them, so they count as failed.
    var postponedStarts: [Event] {
        instances.sorted.compactMap(\.postponed).map {
            .spawnFailed($0.token, $0.error.text, status: $0.error.status)
        }
    }
}

extension Launcher {
    /// 128 random bits in hexadecimal.
    static func makeInvocationID() -> String {
        var generator = SystemRandomNumberGenerator()
        return (0..<2).map { _ in
            let digits = String(UInt64.random(in: 0 ... .max, using: &generator), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }

    /// Remarks on limits that the host denies. As under systemd in a container, a service with lower limits is better
    /// than none.
    static func remarks(on eased: [String]) -> [String] {
        eased.map { "\($0): not permitted on this host; the nearest permitted value is used" }
    }
}

extension ServiceCommand {
    /// A command of `ExecStart=`.
    var isMain: Bool { if case .start = self { true } else { false } }

    /// Whether the command is connected to the service's terminal, if it has one; the others run beside one that is.
    fileprivate var isConnected: Bool {
        switch self {
        case .condition, .startPre, .start, .stopPost: true
        case .startPost, .reload, .stop: false
        }
    }
}
