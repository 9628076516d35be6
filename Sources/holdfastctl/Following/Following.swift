import ControlProtocol
import Glibc

extension Session {
    /// Follows events until `body` returns an exit status.
    ///
    /// `body` gets each event, and the number of further events received already: a caller that only looks at the state
    /// again may wait for the last of them. The first event is `begin`, after which no event is missed. A further
    /// `begin` is from another supervisor: events between the two are lost.
    /// - Parameter timeout: in seconds.
    /// - Returns: the status that `body` returned; nil after the timeout; on ^C that of an interrupt.
    func follow(
        _ names: [String], timeout: Double? = nil,
        _ body: (UnitEvent, Int) throws(CommandFailure) -> CommandStatus?
    ) throws(CommandFailure) -> CommandStatus? {
        Interrupts.install()
        var connection = try connect()
        let call = Request.events(names: names.isEmpty ? nil : names).call(more: true)
        try send(call, on: connection)
        let end = timeout.map { Clock.now() + $0 }
        var reconnectPolicy = ReconnectPolicy()
        while true {
            let tick = end.map { max(0, Int((($0 - Clock.now()) * 1000).rounded(.up))) }
            do throws(CommandFailure) {
                switch try receive(&connection, tick: tick) {
                case .tick: return nil
                case .interrupted: return .interrupted
                case .reply(let reply):
                    if let refusal = reply.failure { throw .refused(refusal) }
                    let answer: EventsReply = try decode(reply)
                    if json { printJSON(reply) }
                    if let status = try body(answer.event, connection.bufferedBytes) { return status }
                }
            } catch {
                do throws(CommandFailure) {
                    guard let next = try reconnectPolicy.waitForSupervisor(after: error, self, until: end) else {
                        return nil
                    }
                    connection = next
                } catch {
                    if case .interrupted = error { return .interrupted }
                    throw error
                }
                try send(call, on: connection)
            }
        }
    }

    /// Follows events without a time limit; ^C is the normal end.
    func follow(
        _ names: [String], _ body: (UnitEvent, Int) throws(CommandFailure) -> CommandStatus?
    ) throws(CommandFailure) -> CommandStatus {
        let status: CommandStatus? = try follow(names, timeout: nil, body)
        return status == .interrupted ? .ok : status ?? .ok
    }
}

enum Clock {
    /// Seconds on a clock that does not jump (CLOCK_MONOTONIC).
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}
