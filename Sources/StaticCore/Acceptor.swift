import Glibc

/// Accepts on one passed listening socket, in a thread of its own.
///
/// NIO's server channel is not suitable: it assumes that a readable listening socket always has a connection for it. If
/// another generation shares the socket, the other one may have taken the connection: in a debug build NIO then ends
/// the process (apple/swift-nio#3500), just when two generations overlap. It also calls listen(2) on a passed socket,
/// with a backlog of its own, which would change the backlog for all sharers.
final class Acceptor: Sendable {
    /// The most connections per wake-up. More would let this generation take more than its share while two overlap.
    private static let most = 8
    private let listener: Int32
    /// A pipe: a byte in it ends the thread.
    private let wakeUp: Int32
    private let stopping: Int32
    private let accepted: @Sendable (Int32) -> Void
    private let ended: @Sendable () -> Void

    /// - Parameters:
    ///   - listener: owned by the acceptor; closed when the thread ends.
    ///   - accepted: gets each connection's descriptor, on the acceptor's thread.
    ///   - ended: called when accepting has ended and our copy of the socket is closed.
    init(
        _ listener: Int32, accepted: @escaping @Sendable (Int32) -> Void, ended: @escaping @Sendable () -> Void
    ) throws(StaticError) {
        self.listener = listener
        self.accepted = accepted
        self.ended = ended
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw StaticError("cannot make a pipe: \(errorText(errno))") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (wakeUp, stopping) = (ends[0], ends[1])
    }

    deinit {
        close(wakeUp)
        close(stopping)
    }

    func start() throws(StaticError) {
        var thread = pthread_t()
        let this = Unmanaged.passRetained(self)
        let failure = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Acceptor>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, this.toOpaque())
        guard failure == 0 else {
            this.release()
            throw StaticError("cannot start a thread: \(errorText(failure))")
        }
        pthread_detach(thread)
    }

    /// Ends the thread soon; `ended` reports it.
    func stop() {
        var byte: UInt8 = 0
        _ = write(stopping, &byte, 1)
    }

    private func run() {
        var entries = [
            pollfd(fd: listener, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0),
        ]
        while true {
            let ready = poll(&entries, 2, -1)
            if ready < 0, errno != EINTR { break }
            if entries[1].revents != 0 { break }
            guard ready > 0 else { continue }
            for _ in 0..<Self.most {
                let connection = accept(listener, nil, nil)
                if connection >= 0 {
                    _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
                    accepted(connection)
                } else if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(errno) {
                    // The connection stays in the queue, so poll would return at once: the pause lets others end.
                    var pause = pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0)
                    _ = poll(&pause, 1, 50)
                    break
                } else {
                    // EAGAIN: a sibling took the connection. Any other error concerns that one connection: accept(2).
                    break
                }
            }
        }
        close(listener)
        ended()
    }
}
