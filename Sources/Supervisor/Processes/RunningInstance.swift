import Engine
import Linux

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
    var output: (any MachineLogPipe)? { didSet { markTree() } }
    var errorOutput: (any MachineLogPipe)? { didSet { markTree() } }
    /// Descriptors that the service has stored with the supervisor.
    var store: DescriptorStore?
    /// Process whose start waits for descriptors or memory.
    var postponed: PostponedStart?
    /// Whether that shortage is already logged.
    var isShortageLogged = false

    struct PostponedStart {
        let token: Token
        let error: LaunchError
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

    var tree: (any MachineTree)? { run?.tree }

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
        try? run?.remove()
        run = nil
    }
}
