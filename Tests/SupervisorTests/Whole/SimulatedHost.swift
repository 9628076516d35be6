import ControlProtocol
import Linux
import Logging
import UnitStore

@testable import Supervisor

/// A host of the simulated world: unit files, and a supervisor that is started again whenever its process ends, as
/// systemd does.
final class SimulatedHost {
    let world = World()
    private(set) var supervisor: Supervisor?
    /// Lines that the supervisors have logged, oldest first.
    let log = LogLines()
    /// How often a supervisor's process has ended without being asked to.
    private(set) var crashes = 0
    /// How often a program has taken over from another in the same process.
    private(set) var reexecutions = 0
    /// Whether the last supervisor ended because it was shut down.
    private(set) var isShutDown = false

    static let root = Peer(pid: 50, uid: 0, gid: 0, groups: [])
    static let configuration = Configuration(
        unitDirectories: ["/etc/holdfast/units"], runtimeDirectory: "/run/holdfast",
        stateDirectory: "/var/lib/holdfast", logDirectory: "/var/log/holdfast", isUser: false)

    init(units: [String: String] = [:]) {
        for (name, text) in units.sorted(by: { $0.key < $1.key }) { write(name, text) }
    }

    func write(_ name: String, _ text: String) { world.units.write("/etc/holdfast/units/\(name)", text) }

    // MARK: - Life of the supervisor

    /// Starts a supervisor. One that fails, or crashes while it starts, is started again, `attempts` times at most.
    @discardableResult
    func start(attempts: Int = 50) -> Bool {
        for _ in 0..<attempts {
            let state = world.handover.state
            let machine = world.boot()
            do {
                let fresh = try Supervisor(
                    machine: machine, configuration: Self.configuration, environment: [:], limits: [],
                    program: "/usr/sbin/holdfastd", arguments: ["holdfastd"], inherited: state,
                    logger: log.logger)
                supervisor = fresh
                try fresh.start()
                if !machine.isDead { return true }
            } catch {
                log.logger.critical("cannot start: \(error)")
            }
            end()
        }
        return false
    }

    /// Ends the supervisor's process at once.
    func kill() {
        world.killSupervisor()
        end()
    }

    private func end() {
        let isReplaced = world.handover.state != nil && world.handover.replacements > reexecutions
        world.killSupervisor()
        supervisor = nil
        if isReplaced {
            reexecutions = world.handover.replacements
        } else {
            crashes += 1
            world.clients.loseUntaken(of: world.handover)
            world.handover.clear()
        }
    }

    /// Lets the host go on for a time, until `condition` holds. A supervisor that ends is started again.
    @discardableResult
    func run(_ seconds: Double, until condition: () -> Bool = { false }) -> World.Pause {
        let end = world.now + Int64(seconds * 1e9)
        while true {
            if world.machine == nil, !isShutDown, !start() { return .endless }
            let pause = world.run(for: max(0, end - world.now), until: condition)
            switch pause {
            case .quiet, .reached, .endless: return pause
            case .exited:
                isShutDown = true
                supervisor = nil
                return pause
            case .crashed: self.end()
            }
        }
    }

    // MARK: - Clients

    /// Connects a client of the control protocol and sends a request; nil if nobody listens.
    func call(_ request: Request, as identity: RequestIdentity? = nil, more: Bool = false) -> WorldClient? {
        let client = world.clients.connect(to: Self.configuration.controlSocket, as: Self.root)
        client?.call(request, more: more, as: identity)
        return client
    }

    /// Sends a request and waits for its last reply; nil if there is none within `seconds`, or the connection ended.
    func ask(_ request: Request, within seconds: Double = 300) -> Reply? {
        guard let client = call(request) else { return nil }
        run(seconds) { !client.isConnected || client.replies.contains { !$0.continues } }
        return client.replies.last { !$0.continues }
    }

    func status() -> [UnitStatus] {
        (try? ask(.status(names: nil), within: 5)?.parameters.decode(StatusReply.self))?.units ?? []
    }

    func result(of request: Request, within seconds: Double = 300) -> OperationResult? {
        try? ask(request, within: seconds)?.parameters.decode(OperationReply.self).result
    }
}
