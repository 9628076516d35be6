import Engine
import Glibc
import Linux

/// What exists in the kernel for one instance of the engine: its process tree, its processes, its captured output.
final class RunningInstance {
    let id: InstanceID
    /// The generation that it was started in: its sockets and directory are that one's.
    let generation: GenerationID
    let definition: Definition
    /// The connection that it was started for (`Accept=yes`).
    let connection: AcceptedConnection?
    /// Its process tree and who waits for that to be empty; nil between runs.
    var run: RunningTree? { didSet { markTree() } }
    /// 128 random bits in hexadecimal, new for every run (`INVOCATION_ID`).
    var invocation = ""
    /// What marks its processes: the name of its cgroup, or `invocation` where there is none.
    var mark = ""
    var output: LogPipe? { didSet { markTree() } }
    var errorOutput: LogPipe? { didSet { markTree() } }
    /// What it gave us to keep.
    var store: DescriptorStore?
    /// A process that is to be started as soon as there are descriptors or memory for it.
    var postponed: PostponedSpawn?
    /// That it waits for them has been said.
    var isShort = false

    struct PostponedSpawn {
        let token: Token
        let error: Launcher.LaunchError
        let timer: TimerSource?
    }

    /// `MONITOR_…`: what is told to a service that `OnFailure=` or `OnSuccess=` of another one has started.
    var triggeredBy: [String: String] = [:]
    /// What its unit asks for and this run does without.
    var remarks: [String] = []

    init(id: InstanceID, generation: GenerationID, definition: Definition, connection: AcceptedConnection? = nil) {
        self.id = id
        self.generation = generation
        self.definition = definition
        self.connection = connection
    }

    var name: String { definition.unit.name.description }

    var tree: ProcessTree? { run?.tree }

    /// Names its process tree, the same for every supervisor process that has it.
    var treeName: String { ownTreeName ?? "\(name)#\(generation.number).\(id.number)" }

    /// That of a tree that was adopted, which was made under other numbers.
    var ownTreeName: String?

    /// Whose log it writes to: connections have one in common.
    var logName: String { (connection == nil ? definition.unit.name : definition.unit.name.identity).description }

    /// What it printed last, for a failure report. Reads what is there now, so that the last words of a process that has
    /// just died are among it.
    func lastLines() -> [String] {
        output?.drain()
        errorOutput?.drain()
        let lines = (output?.lastLines ?? []) + (errorOutput?.lastLines ?? [])
        return lines.sorted { $0.order < $1.order }.suffix(LogPipe.ringLines).map(\.text)
    }

    private func markTree() {
        let outputs = [output, errorOutput].compactMap { $0?.fileID }
        if !outputs.isEmpty { tree?.mark(by: outputs) }
    }

    func close() {
        // While what its processes write to is known.
        tree?.leaveMembers()
        postponed = nil
        output?.close()
        errorOutput?.close()
        output = nil
        errorOutput = nil
        run?.end()
        run = nil
    }
}

/// The process tree of one run, with the waits for it: they end with it, so that nothing that comes late can act on the tree of
/// another run.
final class RunningTree {
    let tree: ProcessTree
    var watch = TreeWatch()
    /// While the kernel cannot be asked (no descriptors left): the next look.
    private var timer: TimerSource?
    /// That it cannot be asked has been said.
    private(set) var isLookedAt = false

    init(_ tree: ProcessTree) { self.tree = tree }

    /// Calls `reported` once when no process is left; the error if the kernel cannot be asked. (Not thrown: see
    /// `RunningProcess.watch`.)
    func arm(_ loop: EventLoop, _ reported: @escaping () -> Void) -> SystemError? {
        do throws(SystemError) {
            try tree.whenEmpty(loop: loop, reported)
            return nil
        } catch {
            return error
        }
    }

    /// Calls `reported` in a second.
    func look(_ loop: EventLoop, _ reported: @escaping () -> Void) {
        isLookedAt = true
        timer = loop.addRetry(reported)
    }

    func disarm() {
        tree.cancelWait()
        timer = nil
    }

    /// The error if something of the tree is left.
    @discardableResult
    func end() -> SystemError? {
        disarm()
        do throws(SystemError) {
            try tree.remove()
            return nil
        } catch {
            return error
        }
    }
}

/// One process that the engine asked for.
final class RunningProcess {
    let token: Token
    let instance: InstanceID
    let pid: Int32
    /// With the pid it names the process also for another supervisor process.
    let startTime: UInt64
    private let handle: ProcessHandle
    private var source: ChildExitSource?

    init(token: Token, instance: InstanceID, handle: consuming ProcessHandle) {
        self.token = token
        self.instance = instance
        self.pid = handle.pid
        startTime = ProcessFacts.startTime(of: handle.pid) ?? 0
        self.handle = handle
    }

    /// The error if it cannot be watched. (Not thrown: the compiler cannot yet tell that a closure of an actor stays with
    /// its actor when it is passed to something that throws.)
    func watch(_ children: Children, _ exited: @escaping (Linux.ExitStatus) -> Void) -> SystemError? {
        do throws(SystemError) {
            source = try children.watch(handle, exited)
            return nil
        } catch {
            return error
        }
    }

    /// A pidfd.
    var descriptor: Int32 { handle.descriptor.raw }

    func send(_ signal: Int32) throws(SystemError) { try handle.send(Linux.Signal(rawValue: signal)) }
}
