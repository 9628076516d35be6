import ControlProtocol
import Engine
import Linux

/// What is done when there are no descriptors, processes or memory for more: a request is refused with the reason, and what nobody
/// has asked for (a restart, traffic at a socket) waits until there are.
extension Supervisor {
    /// Why nothing can be started now; nil if it can.
    func want(for group: GroupID? = nil) -> String? {
        do throws(SystemError) {
            try FileLimit.requireRoom()
            return nil
        } catch {
            let start = group.map { "cannot start \($0): " } ?? ""
            return "\(start)\(error) (\(FileLimit.text))"
        }
    }

    /// A request that starts something is refused before anything is done for it.
    func mayStart(_ request: Request) throws(ControlError) {
        guard let name = request.startedName, let want = want() else { return }
        throw .failed(
            message: """
                cannot \(request.verb) \(name): \(want): raise LimitNOFILE= in holdfast.service, or stop what is not needed
                """)
    }

    // MARK: - Restarts

    /// A restart by itself, which would count as a failed start and use up `StartLimitBurst=`. Of what somebody has asked for the
    /// failure is the answer.
    func mayWait(_ instance: RunningInstance, _ kind: ServiceCommand) -> Bool {
        kind.beginsRun && engine.view(of: instance.definition.group)?.operation == nil
    }

    /// Goes on with what takes more than a round of the loop, others first.
    func proceedLater(
        _ token: Token, _ instance: RunningInstance, _ kind: ServiceCommand, _ error: Launcher.LaunchError
    ) {
        putOff(token, instance, kind, error, for: 1_000_000)
    }

    /// Tries again in a second, and so on, for as long as the engine lets it (`TimeoutStartSec=`).
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
        let timer = loop.addRetry(after: nanoseconds) { [unowned self] in
            guard let instance = instances[id], instance.postponed?.token == token else { return }
            instance.postponed = nil
            spawn(token, id, kind)
        }
        instance.postponed = RunningInstance.PostponedSpawn(token: token, error: error, timer: timer)
    }

    /// It is told to go before it has come.
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
    /// What is to be started; nil if nothing is.
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
