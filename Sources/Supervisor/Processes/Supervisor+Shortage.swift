import ControlProtocol
import Engine
import Linux

/// Shortage of descriptors, processes or memory: a request is refused with the reason; starts without a request (a
/// restart, traffic at a socket) wait until the shortage ends (`LaunchDesk`).
extension Supervisor {
    /// Reason why no process can be started now; nil if one can.
    func shortageText(for group: GroupID? = nil) -> String? {
        do throws(SystemError) {
            try machine.processes.requireRoom()
            return nil
        } catch {
            let start = group.map { "cannot start \($0): " } ?? ""
            return "\(start)\(error) (\(machine.processes.fileLimitText))"
        }
    }

    /// Refuses a request that starts a unit before any step of it is done.
    func refuseIfShort(_ request: Request) throws(ControlError) {
        guard let name = request.startedName, let shortage = shortageText() else { return }
        throw .failed(
            message: """
                cannot \(request.verb) \(name): \(shortage): raise LimitNOFILE= in holdfast.service, or stop unneeded services
                """)
    }
}

extension Request {
    /// Name of the unit that the request starts; nil if it starts none.
    fileprivate var startedName: String? {
        switch self {
        case .start(let name, _), .restart(let name, _), .swap(let name, _), .reload(let name), .rollback(let name):
            name
        case .getInfo, .getInterfaceDescription, .describe, .status, .history, .generations, .sockets, .cat, .list,
            .why,
            .show, .events, .logs, .verify, .dependencies, .unitFileStates, .outcome, .stop, .promote, .abort, .drain,
            .shutdown, .adopt, .signal, .pause, .resume, .forget, .resetFailed, .update, .reexec, .clearLogs, .install,
            .input:
            nil
        }
    }

    fileprivate var verb: String {
        switch self {
        case .restart: "restart"
        case .swap: "swap"
        case .reload: "reload"
        case .rollback: "roll back"
        default: "start"
        }
    }
}
