import Linux
import Vocabulary

/// A process of the supervisor: the one place that starts, watches, limits in time and kills one.
///
/// It may be a command of a service in its process tree, a helper program of the supervisor (`HelperProgram`), or a
/// process that was started before: a daemon, a process of an earlier supervisor.
final class ChildProcess {
    /// The end of a process.
    struct End {
        var pid: Int32
        var status: ExitStatus
        /// Whether the process was killed because its time was over.
        var isTimedOut: Bool
    }

    private let process: any MachineProcess
    private let limit: TimeLimit?

    /// A process that runs already, without a time limit.
    convenience init(_ process: any MachineProcess) { self.init(process, nil) }

    private init(_ process: any MachineProcess, _ limit: TimeLimit?) {
        self.process = process
        self.limit = limit
    }

    /// Starts a program, and calls `ended` once, from the loop, after it has ended.
    ///
    /// A program that cannot be watched is killed, because its end would never be known.
    /// - Parameters:
    ///   - tree: the tree of which the program is a member.
    ///   - nanoseconds: the time after which the program is killed.
    static func start(
        _ plan: SpawnPlan, in tree: (any MachineTree)? = nil, within nanoseconds: Int64? = nil,
        on machine: any Machine, ended: @escaping (End) -> Void
    ) throws(StartError) -> ChildProcess {
        var plan = plan
        tree?.enter(&plan)
        // Before the program: without a time limit it could run forever.
        let limit = try makeLimit(nanoseconds, machine.loop)
        let process: any MachineProcess
        do throws(SpawnError) {
            process = try machine.processes.spawn(plan)
        } catch {
            throw StartError(cause: error.cause, exitStatus: error.step.exitStatus)
        }
        tree?.started(main: process.pid)
        let child = ChildProcess(process, limit)
        do throws(SystemError) {
            try child.watch(ended)
        } catch {
            child.kill()
            process.abandon()
            throw StartError(cause: error)
        }
        limit?.begin(child)
        return child
    }

    private static func makeLimit(_ nanoseconds: Int64?, _ loop: any Loop) throws(StartError) -> TimeLimit? {
        guard let nanoseconds else { return nil }
        do throws(SystemError) {
            return try TimeLimit(nanoseconds, loop)
        } catch {
            throw StartError(cause: error)
        }
    }

    var pid: Int32 { process.pid }
    /// Start time; with the pid it identifies the process also to another supervisor process.
    var startTime: UInt64 { process.startTime }
    /// The pidfd.
    var descriptor: Int32 { process.descriptor }
    /// Directives of which the kernel granted less, because a privilege is missing.
    var eased: [String] { process.eased }

    /// Calls `ended` once, from the loop, after the process has ended; the status of a process that is no child of the
    /// supervisor is `.unknown`. For a process that runs already: `start` watches its own.
    func watch(_ ended: @escaping (End) -> Void) throws(SystemError) {
        try process.watch { [unowned self] status in
            withExtendedLifetime(self) {
                limit?.end()
                ended(End(pid: pid, status: status, isTimedOut: limit?.isOver ?? false))
            }
        }
    }

    func send(_ signal: Signal) throws(SystemError) { try process.send(signal) }

    func kill() { try? process.send(.kill) }
}

/// A program that was not started.
struct StartError: Error, CustomStringConvertible {
    var cause: SystemError
    /// Exit status that the process would have under systemd (systemd.exec(5), "Process exit codes").
    var exitStatus: Int32?

    var description: String { cause.description }
}

/// Kills a process when its time is over.
private final class TimeLimit {
    private let nanoseconds: Int64
    private var timer: (any LoopTimer)?
    private weak var child: ChildProcess?
    private(set) var isOver = false

    init(_ nanoseconds: Int64, _ loop: any Loop) throws(SystemError) {
        self.nanoseconds = nanoseconds
        timer = try loop.makeTimer { [unowned self] in
            isOver = true
            child?.kill()
        }
    }

    func begin(_ child: ChildProcess) {
        self.child = child
        timer?.arm(after: nanoseconds)
    }

    func end() { timer = nil }
}
