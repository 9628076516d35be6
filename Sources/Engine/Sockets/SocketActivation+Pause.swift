/// `pause` and `resume`: new connections wait, and none is refused.
///
/// A socket without an accepting process is paused by not starting its service: connections queue in the kernel. If
/// processes accept from it themselves, only the kernel can keep new connections from them: TCP connections are held
/// back at their clients, which retry until the socket is resumed; open and queued connections are served. Other kinds
/// of sockets cannot be held back, and the pause is refused.
extension SocketActivation {
    mutating func pause(_ id: SocketID, _ facts: SocketFacts, _ request: RequestID?) {
        let answer: SocketAnswer
        if paused[id] != nil {
            answer = .unchanged
        } else if !facts.isOpen {
            answer = .notOpen
        } else if !facts.users.isEmpty, !facts.canHoldBack {
            answer = .cannotPause(facts.users)
        } else {
            paused[id] = SocketPause(holdsBack: !facts.users.isEmpty)
            if !facts.users.isEmpty { emit(.holdBack(id, true)) }
            if sockets[id]?.state == .listening { emit(.unwatch(id)) }
            answer = .paused
        }
        if let request { emit(.answer(request, id, answer)) }
    }

    mutating func resume(_ id: SocketID, _ request: RequestID?) {
        guard let pause = paused.removeValue(forKey: id) else {
            if let request { emit(.answer(request, id, .notPaused)) }
            return
        }
        if pause.holdsBack { emit(.holdBack(id, false)) }
        if let socket = sockets[id], socket.state == .listening, !socket.isPollLimited, startsSomething(socket.spec) {
            emit(.watch(id))
        }
        if let request { emit(.answer(request, id, .resumed)) }
    }

    /// A process receives the socket during a pause: from now on only the kernel can keep connections from that
    /// process.
    mutating func holdBackIfPaused(_ id: SocketID) {
        guard let pause = paused[id], !pause.holdsBack else { return }
        paused[id]?.holdsBack = true
        emit(.holdBack(id, true))
    }
}
