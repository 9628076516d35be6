import ControlProtocol
import Glibc
import Linux

/// Rights of the control socket's peers. The socket itself is open to all users (with `--user` only to its owner), so
/// that a refusal names the missing right instead of being connect(2)'s `Permission denied`.
enum Authority {
    /// Right that a request needs.
    enum Needed {
        /// For questions about the supervisor itself: its version and interfaces.
        case nothing
        case looking
        case acting

        init(_ request: Request) {
            self =
                switch request {
                case .getInfo, .getInterfaceDescription: .nothing
                default: request.changesSomething ? .acting : .looking
                }
        }
    }

    /// The groups of this host that give rights; nil for a group that does not exist.
    struct Groups {
        var act: UInt32?
        var read: UInt32?

        /// The host's groups, looked up for each request: they may be created while the supervisor runs.
        static var ofHost: Groups {
            Groups(act: try? Accounts.group("holdfast"), read: try? Accounts.group("holdfast-read"))
        }
    }

    /// nil if the peer has the right; else the users that have it.
    /// - Parameters:
    ///   - us: the user that the supervisor runs as.
    ///   - groups: nil for a user's own supervisor, where groups give no rights.
    static func refusal(_ needed: Needed, of peer: Peer, us: UInt32, groups: Groups?) -> String? {
        if peer.uid == 0 || peer.uid == us { return nil }
        func isMember(_ group: UInt32?) -> Bool {
            guard let group else { return false }
            return peer.gid == group || peer.groups.contains(group)
        }
        switch needed {
        case .nothing: return nil
        case .looking:
            guard let groups else { return "the user who runs the supervisor" }
            return isMember(groups.act) || isMember(groups.read)
                ? nil : "root, group holdfast or group holdfast-read"
        case .acting:
            guard let groups else { return "the user who runs the supervisor" }
            return isMember(groups.act) ? nil : "root or group holdfast"
        }
    }
}

extension Supervisor {
    func mayAsk(_ request: Request, _ peer: Peer) throws(ControlError) { try may(Authority.Needed(request), peer) }

    func mayAct(_ peer: Peer) throws(ControlError) { try may(.acting, peer) }

    /// Whether the peer may act, without a log line.
    func isOperator(_ peer: Peer) -> Bool {
        if peer.uid == 0 || peer.uid == geteuid() { return true }
        let groups = configuration.isUser ? nil : Authority.Groups.ofHost
        return Authority.refusal(.acting, of: peer, us: geteuid(), groups: groups) == nil
    }

    private func may(_ needed: Authority.Needed, _ peer: Peer) throws(ControlError) {
        // The peer is mostly root: then the user database is not read.
        if peer.uid == 0 || peer.uid == geteuid() { return }
        let groups = configuration.isUser ? nil : Authority.Groups.ofHost
        guard let required = Authority.refusal(needed, of: peer, us: geteuid(), groups: groups) else { return }
        let who = "uid \(peer.uid)"
        log(.warning, aboutStranger: who, "\(who) (process \(peer.pid)) was refused: this needs \(required)")
        throw .permissionDenied(required: required)
    }
}
