import ArgumentParser
import ControlProtocol
import Glibc

/// The option `--watch` of commands that print a list.
struct WatchOption: ParsableArguments {
    @Flag(help: "Refresh after every event, until q or ^C.") var watch = false
}

extension Session {
    /// The refresh interval in seconds, for values that send no event (uptimes, connections, queues).
    private static let watchInterval = 2.0
    /// The time in seconds to wait for further events after one, so that simultaneous events cause one refresh.
    private static let eventGatheringTime = 0.05

    /// Shows a list once, or with `--watch` again after every event.
    /// - Parameter fetch: asks the daemon and renders the reply.
    func showList(
        watch: WatchOption, _ names: [String] = [],
        _ fetch: (Session) throws(CommandFailure) -> (lines: [String], status: CommandStatus)
    ) throws(CommandFailure) -> CommandStatus {
        guard watch.watch else {
            let (lines, status) = try fetch(self)
            show(lines)
            return status
        }
        Interrupts.install()
        let call = Request.events(names: names.isEmpty ? nil : names).call(more: true)
        var connection = try connect()
        try send(call, on: connection)
        let live = LiveScreen(self)
        var shown: [String] = []
        var status = CommandStatus.ok
        var reconnectPolicy = ReconnectPolicy()
        while true {
            // A new session each time, for the present width: windows are resized.
            let session = Session(path: path, json: json, output: Screen(descriptor: STDOUT_FILENO), errors: errors)
            do throws(CommandFailure) {
                let lines: [String]
                (lines, status) = try fetch(session)
                if let live {
                    live.draw(lines)
                } else if lines != shown {
                    // A pipe gets each state as a paragraph.
                    show((shown.isEmpty ? [] : [""]) + lines)
                }
                shown = lines
                switch LiveScreen.wait(Self.watchInterval, keys: live != nil, or: connection.descriptor) {
                case .userEnded: return status
                case .elapsed, .resized: break
                case .readable:
                    try discardEvents(&connection)
                    if LiveScreen.wait(Self.eventGatheringTime, keys: live != nil) == .userEnded { return status }
                }
            } catch {
                live?.draw(["the supervisor does not answer; waiting for it", ""] + shown)
                do throws(CommandFailure) {
                    guard let next = try reconnectPolicy.waitForSupervisor(after: error, self, keys: live != nil) else {
                        return status
                    }
                    connection = next
                } catch {
                    if case .interrupted = error { return status }
                    throw error
                }
                try send(call, on: connection)
            }
        }
    }

    /// Discards the events received so far: only their presence matters.
    private func discardEvents(_ connection: inout Connection) throws(CommandFailure) {
        do throws(ConnectionError) {
            var reply = try connection.receiveReply()
            while let event = reply {
                if event.error != nil { throw ConnectionError.closed }
                reply = try connection.bufferedReply()
            }
        } catch {
            throw .connection(error)
        }
    }
}
