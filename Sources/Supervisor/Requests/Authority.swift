import ControlProtocol
import Linux

/// Rights of the control socket's peers. The socket itself is open to all users (with `--user` only to its owner), so
/// that a refusal names the missing right instead of being connect(2)'s `Permission denied`.
enum Authority {
    /// The groups of this host that give rights; nil for a group that does not exist.
    struct Groups {
        var act: UInt32?
        var read: UInt32?
    }

    /// nil if the peer has the right; else the users that have it.
    /// - Parameters:
    ///   - us: the user that the supervisor runs as.
    ///   - groups: nil for a user's own supervisor, where groups give no rights.
    static func refusal(_ access: Method.Access, of peer: Peer, us: UInt32, groups: Groups?) -> String? {
        if peer.uid == 0 || peer.uid == us { return nil }
        func isMember(_ group: UInt32?) -> Bool {
            guard let group else { return false }
            return peer.gid == group || peer.groups.contains(group)
        }
        switch access {
        case .everyone: return nil
        // The ledger compares the users of a request and of a question about it.
        case .readers, .requester:
            guard let groups else { return "the user who runs the supervisor" }
            return isMember(groups.act) || isMember(groups.read)
                ? nil : "root, group holdfast or group holdfast-read"
        case .operators:
            guard let groups else { return "the user who runs the supervisor" }
            return isMember(groups.act) ? nil : "root or group holdfast"
        }
    }
}

extension Supervisor {
    func mayAct(_ peer: Peer) throws(ControlError) { try check(.operators, of: peer) }

    func isOwner(_ peer: Peer) -> Bool { peer.uid == 0 || peer.uid == machine.processes.ownUser }

    /// Whether the peer may act, without a log line.
    func isOperator(_ peer: Peer) -> Bool { refusal(.operators, of: peer) == nil }

    /// Throws, and logs, if the peer lacks the right.
    func check(_ access: Method.Access, of peer: Peer) throws(ControlError) {
        guard let required = refusal(access, of: peer) else { return }
        let user = "uid \(peer.uid)"
        logDesk.log(.warning, aboutDenied: user, "\(user) (process \(peer.pid)) was denied: this needs \(required)")
        throw .permissionDenied(required: required)
    }

    private func refusal(_ access: Method.Access, of peer: Peer) -> String? {
        let us = machine.processes.ownUser
        // The peer is mostly root: then the user database is not read.
        if peer.uid == 0 || peer.uid == us { return nil }
        return Authority.refusal(access, of: peer, us: us, groups: configuration.isUser ? nil : groups)
    }

    /// Looked up for each request: the groups may be created while the supervisor runs.
    private var groups: Authority.Groups {
        Authority.Groups(
            act: try? machine.accounts.group("holdfast"), read: try? machine.accounts.group("holdfast-read"))
    }
}
