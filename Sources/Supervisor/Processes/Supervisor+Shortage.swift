import ControlProtocol
import Engine
import Linux

/// Shortage of descriptors, processes or memory: a request is refused with the reason; starts without a request (a
/// restart, traffic at a socket) wait until the shortage ends.
extension Supervisor {
    /// Reason why no process can be started now; nil if one can.
    func want(for group: GroupID? = nil) -> String? {
        do throws(SystemError) {
            try FileLimit.requireRoom()
            return nil
        } catch {
            let start = group.map { "cannot start \($0): " } ?? ""
            return "\(start)\(error) (\(FileLimit.description))"
        }
    }

    /// Refuses a request that starts a unit before any step of it is done.
    func mayStart(_ request: Request) throws(ControlError) {
        guard let name = request.startedName, let want = want() else { return }
        throw .failed(
            message: """
                cannot \(request.verb) \(name): \(want): raise LimitNOFILE= in holdfast.service, or stop what is not needed
                """)
    }

    // MARK: - Restarts

    /// Continues a start that takes more than a round of the loop, after other events.
    func proceedLater(
        _ token: Token, _ instance: RunningInstance, _ kind: ServiceCommand, _ error: Launcher.LaunchError
    ) {
        putOff(token, instance, kind, error, for: 1_000_000)
    }

    /// Tries again every second, for as long as the engine permits (`TimeoutStartSec=`).
    func postpone(
        _ token: Token, _ instance: RunningInstance, _ kind: ServiceCommand, _ error: Launcher.LaunchError
    ) {
        if !instance.isShort { log(.error, about: instance.name, "\(instance.name): \(error.text); it is tried again") }
        instance.isShort = true
        putOff(token, instance, kind, error, for: 1_000_000_000)
    }

    private func putOff(
        _ token: Token, _ instance: RunningInstance, _ kind: ServiceCommand, _ error: Launcher.LaunchError,
        for nanoseconds: Int64
    ) {
        let id = instance.id
        let timer = loop.retry(after: nanoseconds) { [unowned self] in
            guard let instance = instances[id], instance.postponed?.token == token else { return }
            instance.postponed = nil
            spawn(token, id, kind)
        }
        instance.postponed = RunningInstance.PostponedSpawn(token: token, error: error, timer: timer)
    }

    /// Gives up a postponed start whose service is to end.
    func giveUpSpawn(_ token: Token) {
        for instance in instances.values where instance.postponed?.token == token { giveUpSpawn(of: instance.id) }
    }

    func giveUpSpawn(of id: InstanceID) {
        guard let instance = instances[id], let postponed = instance.postponed else { return }
        instance.postponed = nil
        if instances.values.allSatisfy({ $0.postponed == nil }) { launcher.ownerChanges.forget() }
        handle(.spawnFailed(postponed.token, postponed.error.text, status: postponed.error.status))
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
