import ControlProtocol
import Engine
import Linux
import UnitFiles
import Vocabulary

/// Interface of the supervisor to the desk of socket units.
protocol SocketUnitsHost: AcceptedConnectionsHost {
    var now: Instant { get }
    /// The held sockets; nil once everything is stopped.
    var sockets: HeldSockets? { get }
    /// Whether the supervisor stops all services.
    var isEnding: Bool { get }

    // MARK: Unit files

    func socketUnit(_ name: UnitName) -> SocketUnit?
    func serviceUnit(_ name: UnitName) -> ServiceUnit?
    /// The service that the socket's traffic starts; nil for none.
    func serviceStarted(by unit: SocketUnit) throws(ControlError) -> UnitName?
    /// Services that take the socket by `Sockets=`.
    func services(taking socket: UnitName) -> [UnitName]
    func group(of name: UnitName) -> GroupID

    // MARK: Services

    func activity(of group: GroupID) -> ServiceActivity
    func isActive(_ group: GroupID) -> Bool
    /// Whether requests wait for the group: then it has not ended.
    func hasRequests(_ group: GroupID) -> Bool
    /// Reason why no process can be started now; nil if one can.
    func shortage(for group: GroupID) -> String?
    /// Starts a service for traffic at a socket, as an operator would.
    func startService(_ service: UnitName, forTrafficAt id: SocketID) throws(ControlError)
    /// Stops a group that has had no connections.
    func stopIdle(_ group: GroupID)
    /// Living processes of the group.
    func processes(of group: GroupID) -> [Int32]

    // MARK: Commands of socket units

    /// Opens the captured output of a command of a socket unit.
    func openOutput(
        of unit: String, command: UInt64, _ execution: ExecutionSettings?
    ) throws(SystemError) -> any MachineLogPipe

    // MARK: Records and requests

    func addNote(_ note: String, to request: RequestID)
    /// Answers a request for a socket unit.
    func answerSocketRequest(_ request: RequestID, _ id: SocketID, _ answer: SocketAnswer)
    /// Records for a successor that a client's request begins to have an effect.
    func noteAction()
    /// A batch of events has been handled: the state has perhaps changed.
    func didHandleSocketEvents()
}
