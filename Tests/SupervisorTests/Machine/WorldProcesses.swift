import SystemPackage
import Vocabulary

@testable import Linux
@testable import Supervisor

/// Processes and process trees of the world. They live on when a supervisor dies.
final class WorldProcesses {
    unowned let world: World
    /// All processes that run or are zombies, by pid.
    private(set) var processesByPid: [Int32: WorldProcess] = [:]
    /// Names of the trees that exist, with or without processes.
    var trees: Set<String> = []
    /// Whether trees are control groups.
    var usesCgroups = true
    /// Programs by path: what a process does from its start on.
    var programs: [String: (WorldProcess) -> Void] = [:]
    /// What happens to every other program: by default it runs until a signal ends it.
    var otherProgram: (WorldProcess) -> Void = { _ in }
    /// Nanoseconds from the end of a process to the report of its exit, and from the end of a tree's last process to the
    /// report that the tree is empty: any order is possible.
    var exitDelay: (WorldProcess) -> Int64 = { _ in 0 }
    var emptyDelay: (String) -> Int64 = { _ in 0 }
    /// Pid of the present supervisor.
    private(set) var supervisor: Int32 = 100
    private var lastPid: Int32 = 1000
    /// Messages that wait in the notify socket.
    var datagrams: [NotifySocket.Datagram] = []
    /// Calls of the living supervisor that wait for an end, by pid, and for an empty tree, by name.
    var onExit: [Int32: [() -> Void]] = [:]
    var onEmpty: [String: [SimulatedTree]] = [:]
    var onDatagram: (() -> Void)?

    init(world: World) { self.world = world }

    subscript(pid: Int32) -> WorldProcess? { processesByPid[pid] }

    /// Processes that run, in the order of their start.
    var running: [WorldProcess] { processesByPid.values.filter { $0.end == nil }.sorted { $0.pid < $1.pid } }

    func members(of tree: String) -> [WorldProcess] { running.filter { $0.tree == tree } }

    /// The running processes of a program.
    func running(_ program: String) -> [WorldProcess] { running.filter { $0.program == program } }

    // MARK: - Life

    func start(_ plan: SpawnPlan, tree: String?) throws(SystemError) -> WorldProcess {
        let process = make(parent: supervisor, program: plan.program, arguments: plan.arguments)
        process.environment = plan.environment
        for name in plan.pidVariables { process.environment[name] = "\(process.pid)" }
        process.user = plan.credentials?.uid ?? 0
        process.tree = tree
        var descriptors: [Int32: Int32] = [
            0: plan.standardInput, 1: plan.standardOutput, 2: plan.standardError,
        ]
        for (index, raw) in plan.descriptors.enumerated() { descriptors[Int32(index + 3)] = raw }
        for (number, raw) in descriptors where raw >= 0 { try process.hold(raw, as: number) }
        // The program runs when the supervisor waits for events again.
        world.schedule(after: 0) { [unowned self] in
            guard process.end == nil else { return }
            (programs[process.program] ?? otherProgram)(process)
        }
        return process
    }

    fileprivate func make(parent: Int32, program: String, arguments: [String]) -> WorldProcess {
        lastPid += 1
        let process = WorldProcess(self, pid: lastPid, parent: parent, startTime: UInt64(world.now / 10_000_000))
        (process.program, process.arguments) = (program, arguments)
        processesByPid[lastPid] = process
        return process
    }

    fileprivate func didEnd(_ process: WorldProcess) {
        // Orphans get the supervisor as their parent, which is a subreaper.
        for child in processesByPid.values where child.parent == process.pid { child.parent = supervisor }
        if let tree = process.tree { treeChanged(tree) }
        world.pipes.writersChanged()
        world.sockets.endProcess(process.pid)
        world.schedule(after: exitDelay(process)) { [unowned self] in report(process) }
    }

    private func report(_ process: WorldProcess) {
        guard processesByPid[process.pid] === process else { return }
        process.isReported = true
        guard process.parent == supervisor, let waits = onExit.removeValue(forKey: process.pid) else {
            // Another parent, or nobody waits: reaped at once. A watcher that is no parent learns of the end.
            let waits = onExit.removeValue(forKey: process.pid) ?? []
            reap(process.pid)
            for act in waits { act() }
            return
        }
        for act in waits { act() }
    }

    func reap(_ pid: Int32) { processesByPid[pid] = nil }

    /// Tells those that wait for a tree to be empty.
    func treeChanged(_ tree: String) {
        guard members(of: tree).isEmpty, onEmpty[tree]?.isEmpty == false else { return }
        world.schedule(after: emptyDelay(tree)) { [unowned self] in
            guard members(of: tree).isEmpty else { return }
            for waiting in onEmpty.removeValue(forKey: tree) ?? [] { waiting.reportEmpty() }
        }
    }

    /// The supervisor's process has ended: another process is the parent of its children, and reaps them.
    /// - Parameter isReplaced: whether the same process executes another program, which keeps its children.
    func supervisorEnded(isReplaced: Bool) {
        (onExit, onEmpty, onDatagram) = ([:], [:], nil)
        guard !isReplaced else { return }
        for process in processesByPid.values where process.parent == supervisor {
            process.parent = 1
            if process.end != nil { processesByPid[process.pid] = nil }
        }
        supervisor += 1
    }

    /// Sends a datagram to the notify socket.
    func send(_ datagram: NotifySocket.Datagram) {
        datagrams.append(datagram)
        onDatagram?()
    }
}

/// A process of the world, and what a test has it do.
final class WorldProcess {
    private unowned let processes: WorldProcesses
    let pid: Int32
    let startTime: UInt64
    fileprivate(set) var parent: Int32
    var session: Int32
    var program = ""
    var arguments: [String] = []
    var environment: [String: String] = [:]
    var user: UInt32 = 0
    /// Name of its process tree; nil for none.
    fileprivate(set) var tree: String?
    /// Its open descriptors, which outlive the supervisor's.
    private var descriptors: [Int32: WorldDescriptor] = [:]
    /// What a signal does; by default it ends the process, except for SIGCONT. SIGKILL always does.
    var onSignal: ((Signal) -> Void)?
    /// Signals that it has received, oldest first.
    private(set) var signals: [Signal] = []
    /// Its end; it is a zombie until its parent has reaped it.
    private(set) var end: ExitStatus?
    fileprivate(set) var isReported = false

    fileprivate init(_ processes: WorldProcesses, pid: Int32, parent: Int32, startTime: UInt64) {
        (self.processes, self.pid, self.parent, self.startTime, session) = (processes, pid, parent, startTime, pid)
    }

    var world: World { processes.world }

    /// Numbers of its descriptors, and their descriptors in the test's process.
    var openDescriptors: [(number: Int32, raw: Int32)] {
        descriptors.sorted { $0.key < $1.key }.map { ($0.key, $0.value.raw) }
    }

    fileprivate func hold(_ raw: Int32, as number: Int32) throws(SystemError) {
        descriptors[number] = WorldDescriptor(try WorldHandover.duplicate(raw))
    }

    // MARK: - What it does

    func exit(_ status: Int32 = 0) { die(.exited(status)) }

    func die(_ status: ExitStatus) {
        guard end == nil else { return }
        end = status
        descriptors = [:]
        processes.didEnd(self)
    }

    /// A child in the same tree, with the same descriptors.
    @discardableResult
    func fork() throws(SystemError) -> WorldProcess {
        let child = processes.make(parent: pid, program: program, arguments: arguments)
        (child.environment, child.user, child.tree, child.session) = (environment, user, tree, session)
        for (number, descriptor) in descriptors { try child.hold(descriptor.raw, as: number) }
        return child
    }

    /// Begins a session of its own (setsid(2)).
    func leaveSession() { session = pid }

    func closeDescriptor(_ number: Int32) {
        descriptors[number] = nil
        world.pipes.writersChanged()
    }

    /// Sends a message to the supervisor (sd_notify(3)), if it has the address.
    func notify(_ text: String) {
        guard environment["NOTIFY_SOCKET"] != nil else { return }
        processes.send(
            NotifySocket.Datagram(
                pid: pid, uid: user, gid: user, messages: NotifyAssignment.parse(Array(text.utf8)).messages))
    }

    /// Writes lines to a standard stream.
    func print(_ text: String, to stream: Int32 = 1) { write(text + "\n", to: stream) }

    func write(_ text: String, to stream: Int32 = 1) {
        guard let descriptor = descriptors[stream] else { return }
        world.pipes.write(Array(text.utf8), to: descriptor.raw)
    }

    func receive(_ signal: Signal) {
        guard end == nil else { return }
        signals.append(signal)
        if signal != .kill, let onSignal { return onSignal(signal) }
        guard signal != .continue else { return }
        die(.signalled(signal, coreDumped: false))
    }
}

/// A descriptor that a process of the world has open.
final class WorldDescriptor {
    private let descriptor: OwnedDescriptor
    var raw: Int32 { descriptor.raw }
    init(_ descriptor: consuming OwnedDescriptor) { self.descriptor = descriptor }
}
