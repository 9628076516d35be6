import Glibc
import Vocabulary

@testable import Linux
@testable import Supervisor

/// One supervisor's view of the world's processes.
final class SimulatedProcesses: ProcessesPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }
    private var processes: WorldProcesses { machine.world.processes }

    init(machine: SimulatedMachine) {
        self.machine = machine
        let world = machine.world
        let replacements = world.handover.replacements
        machine.atDeath.append {
            world.processes.supervisorEnded(isReplaced: world.handover.replacements > replacements)
            world.pipes.supervisorEnded()
        }
    }

    var ownPid: Int32 { processes.supervisor }
    var ownUser: UInt32 { 0 }
    var ownGroup: UInt32 { 0 }
    var bootID: String? { "boot" }
    var oomScoreAdjust: Int? { nil }

    func adoptOrphans() throws(SystemError) { try world.step(machine, "adopt orphans") }

    func spawn(_ plan: SpawnPlan) throws(SpawnError) -> any MachineProcess {
        do throws(SystemError) {
            try world.step(machine, "spawn", plan.program)
            let tree = (machine.trees as? SimulatedTrees)?.name(of: plan)
            return SimulatedProcess(try processes.start(plan, tree: tree), machine)
        } catch {
            throw SpawnError(.forking, plan.program, negated: -error.errno.rawValue)
        }
    }

    func open(_ pid: Int32) throws(SystemError) -> any MachineProcess {
        try world.step(machine, "open process", "\(pid)")
        guard let process = processes[pid] else { throw SystemError("open process", "\(pid)", .noSuchProcess) }
        return SimulatedProcess(process, machine)
    }

    func open(_ pid: Int32, startTime: UInt64) throws(SystemError) -> any MachineProcess {
        let process = try open(pid)
        guard process.startTime == startTime else { throw SystemError("open process", "\(pid)", .noSuchProcess) }
        return process
    }

    func inherit(_ pid: Int32, descriptor: Int32) throws(SystemError) -> any MachineProcess {
        let kept = try machine.handover.inherit(descriptor)
        _ = consume kept
        return try open(pid)
    }

    func makePipe() throws(SystemError) -> any MachinePipe {
        try world.step(machine, "pipe")
        return SimulatedPipe(try world.pipes.make("pipe"), machine)
    }

    // MARK: - Facts

    func facts(of pid: Int32) -> ProcessFacts? {
        guard world.permits(machine, "read facts", "\(pid)"), let process = processes[pid] else { return nil }
        var facts = ProcessFacts(parent: process.parent, startTime: process.startTime, pid: pid)
        (facts.session, facts.processGroup) = (process.session, process.session)
        if process.end != nil { facts.state = "Z" }
        return facts
    }

    func commandName(of pid: Int32) -> String? { processes[pid].map { FileTree.name(of: $0.program) } }
    func user(of pid: Int32) -> UInt32? { processes[pid]?.user }
    func environmentVariable(_ name: String, of pid: Int32) -> String? { processes[pid]?.environment[name] }

    func controlGroup(of pid: Int32) -> String? {
        guard processes.usesCgroups else { return nil }
        return processes[pid].map { $0.tree.map { "/holdfast/\($0)" } ?? "/" }
    }

    func ancestors(of pid: Int32) -> [Int32] {
        var chain: [Int32] = []
        var current = pid
        while chain.count < 64, let process = processes[current], process.parent > 1 {
            chain.append(process.parent)
            if process.parent == ownPid { break }
            current = process.parent
        }
        return chain
    }

    func residentMemory(of pid: Int32) -> Int? { processes[pid].map { _ in 1 << 20 } }
    func companion(_ name: String) -> String? { "/usr/lib/holdfast/\(name)" }

    func bounded<Result, Failure: Error>(
        by share: FileLimit.DescriptorClass, _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body()
    }

    func requireRoom() throws(SystemError) { try world.step(machine, "require room") }
    var fileLimitText: String { "RLIMIT_NOFILE is 1024" }
}

/// The supervisor's handle of a process.
private final class SimulatedProcess: MachineProcess {
    private let process: WorldProcess
    private unowned let machine: SimulatedMachine
    private let token: WorldDescriptor?
    private var exited: ((ExitStatus) -> Void)?

    init(_ process: WorldProcess, _ machine: SimulatedMachine) {
        (self.process, self.machine) = (process, machine)
        token = try? WorldDescriptor(OwnedDescriptor.null())
    }

    var pid: Int32 { process.pid }
    var startTime: UInt64 { process.startTime }
    var descriptor: Int32 { token?.raw ?? -1 }
    var eased: [String] { [] }
    var inode: UInt64 { UInt64(process.pid) }
    var isThere: Bool { machine.world.processes[pid] === process }

    func send(_ signal: Signal) throws(SystemError) {
        try machine.world.step(machine, "send \(signal) to process", "\(pid)")
        guard isThere else { throw SystemError("send \(signal) to process", "\(pid)", .noSuchProcess) }
        process.receive(signal)
    }

    func watch(_ exited: @escaping (ExitStatus) -> Void) throws(SystemError) {
        try machine.world.step(machine, "watch process", "\(pid)")
        self.exited = exited
        let processes = machine.world.processes
        if process.isReported || !isThere { return post() }
        processes.onExit[pid, default: []].append { [weak self] in self?.post() }
    }

    private func post() {
        let isChild = process.parent == machine.world.processes.supervisor
        machine.simulatedLoop.post(.childExits) { [weak self, unowned machine] in
            guard let self, let exited else { return }
            self.exited = nil
            let pid = pid
            exited(isChild ? process.end ?? .unknown : .unknown)
            if !machine.isDead { machine.world.processes.reap(pid) }
        }
    }

    func abandon() { exited = nil }
}

/// A pipe for the output of a child.
private final class SimulatedPipe: MachinePipe {
    private let channel: WorldPipes.Channel
    private unowned let machine: SimulatedMachine
    private var received: ((UnsafeRawBufferPointer) -> Void)?
    private var isEnabled = true

    init(_ channel: WorldPipes.Channel, _ machine: SimulatedMachine) {
        (self.channel, self.machine) = (channel, machine)
        channel.onChange = { [weak self] in self?.post() }
    }

    var writingEnd: Int32 { channel.token.raw }

    func closeWritingEnd() {
        channel.isOpenHere = false
        post()
    }

    func read(_ received: @escaping (UnsafeRawBufferPointer) -> Void) throws(SystemError) {
        try machine.world.step(machine, "watch pipe")
        self.received = received
        post()
    }

    private func post() {
        guard !machine.isDead else { return }
        machine.simulatedLoop.post(.controlRequests) { [weak self] in self?.deliver() }
    }

    private func deliver() {
        guard isEnabled, let received else { return }
        let bytes = channel.takeAll()
        if !bytes.isEmpty { return bytes.withUnsafeBytes { received($0) } }
        guard !channel.isOpenHere, !machine.world.pipes.hasWriters(channel) else { return }
        self.received = nil
        received(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    func setReading(_ isOn: Bool) {
        isEnabled = isOn
        if isOn { post() }
    }

    func stopReading() { received = nil }

    func firstLine() -> String? {
        String(decoding: channel.takeAll(), as: UTF8.self).split(whereSeparator: \.isNewline).first.map(String.init)
    }
}
