import Linux
import Logging
import UnitFiles
import UnitStore

/// The supervisor's executor: keeps a `Supervisor` on the thread of the event loop. The loop runs the actor's jobs, and
/// the machine's callbacks run on the same thread, one after the other; nothing of it ever suspends.
public actor SupervisorActor {
    private nonisolated let loop: EventLoop
    public nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    private let supervisor: Supervisor

    /// - Parameters:
    ///   - limits: resource limits of services that set none; RLIMIT_NOFILE is the first.
    ///   - program: the absolute path of this program's file; a re-exec executes the file that is at that path then.
    ///   - arguments: the arguments of this program, its name included.
    ///   - inherited: the descriptor of the state that this process's earlier program has handed over (`StateFile`).
    public init(
        loop: EventLoop, configuration: Configuration, environment: [String: String], limits: [SpawnPlan.Limit],
        program: String, arguments: [String], inherited: Int32?, logger: Logger
    ) throws {
        self.loop = loop
        supervisor = try Supervisor(
            machine: LinuxMachine(
                loop: loop, name: UnitNameEscaping.escapePath(configuration.runtimeDirectory), environment: environment),
            configuration: configuration, environment: environment,
            limits: limits, program: program, arguments: arguments, inherited: inherited, logger: logger)
    }

    /// Opens all that the supervisor itself needs. On return it answers on its control socket.
    public func start() throws(SystemError) { try supervisor.start() }
}
