import Engine
import Glibc
import Linux
import Vocabulary

/// Kernel objects of one instance of the engine: its process tree, its processes, its captured output.
final class RunningInstance {
    let id: InstanceID
    /// The generation in which the instance was started: it uses that generation's sockets and directory.
    let generation: GenerationID
    let definition: Definition
    /// The connection for which the instance was started (`Accept=yes`).
    let connection: AcceptedConnection?
    /// The process tree and the waits for it to be empty; nil between runs.
    var run: RunningTree? { didSet { markTree() } }
    /// 128 random bits in hexadecimal, new for every run (`INVOCATION_ID`).
    var invocation = ""
    /// Mark of the instance's processes: the name of the cgroup, or `invocation` without cgroups.
    var mark = ""
    var output: LogPipe? { didSet { markTree() } }
    var errorOutput: LogPipe? { didSet { markTree() } }
    /// Descriptors that the service has stored with the supervisor.
    var store: DescriptorStore?
    /// Process whose start waits for descriptors or memory.
    var postponed: PostponedSpawn?
    /// Whether that shortage is already logged.
    var isShort = false

    struct PostponedSpawn {
        let token: Token
        let error: Launcher.LaunchError
        let timer: (any LoopTimer)?
    }

    /// `MONITOR_…` variables for a service that `OnFailure=` or `OnSuccess=` of another one has started.
    var triggeredBy: [String: String] = [:]
    /// Requirements of the unit that this run does without.
    var remarks: [String] = []

    init(id: InstanceID, generation: GenerationID, definition: Definition, connection: AcceptedConnection? = nil) {
        self.id = id
        self.generation = generation
        self.definition = definition
        self.connection = connection
    }

    var name: String { definition.unit.name.description }

    var tree: ProcessTree? { run?.tree }

    /// Name of the process tree, the same in every supervisor process that has it.
    var treeName: String { ownTreeName ?? "\(name)#\(generation.number).\(id.number)" }

    /// Name of an adopted tree, which was made under other numbers.
    var ownTreeName: String?

    /// Name of the log for the output: connections share one.
    var logName: String { (connection == nil ? definition.unit.name : definition.unit.name.identity).description }

    /// The last lines of output, for a failure report. Reads the present contents of the FIFOs, so that the last output
    /// of a process that has just died is included.
    func lastLines() -> [String] {
        output?.drain()
        errorOutput?.drain()
        let lines = (output?.lastLines ?? []) + (errorOutput?.lastLines ?? [])
        return lines.sorted { $0.order < $1.order }.suffix(LogPipe.ringLines).map(\.text)
    }

    private func markTree() {
        let outputs = [output, errorOutput].compactMap { $0?.fileID }
        if !outputs.isEmpty { tree?.registerOutputs(outputs) }
    }

    func close() {
        // Before the log pipes are closed, by which the members are known.
        tree?.releaseMembers()
        postponed = nil
        output?.close()
        errorOutput?.close()
        output = nil
        errorOutput = nil
        run?.end()
        run = nil
    }
}

/// The process tree of one run, with the waits for it: they end with it, so that no late event acts on the tree of
/// another run.
final class RunningTree {
    let tree: ProcessTree
    var watch = TreeWatch()
    /// Timer for the next check while the kernel cannot report (no descriptors left).
    private var timer: (any LoopTimer)?
    /// Whether that is already logged.
    private(set) var isLookedAt = false

    init(_ tree: ProcessTree) { self.tree = tree }

    /// Calls `reported` once when no process is left; returns the error if the kernel cannot report it. (Not thrown:
    /// see `RunningProcess.watch`.)
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
        timer = loop.retry(reported)
    }

    func disarm() {
        tree.cancelWait()
        timer = nil
    }

    /// Removes the tree; returns the error if some of it is left.
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
    /// Start time; with the pid it identifies the process also to another supervisor process.
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

    /// Watches the process for its exit; returns the error if that fails. (Not thrown: the compiler cannot yet tell
    /// that a closure of an actor stays with its actor when it is passed to a function that throws.)
    func watch(_ children: Children, _ exited: @escaping (ExitStatus) -> Void) -> SystemError? {
        do throws(SystemError) {
            source = try children.watch(handle, exited)
            return nil
        } catch {
            return error
        }
    }

    /// The pidfd.
    var descriptor: Int32 { handle.descriptor.raw }

    func send(_ signal: Signal) throws(SystemError) { try handle.send(signal) }
}
