import ControlProtocol
import Glibc
import Linux

/// What a peer of the control socket may ask for. The socket itself is open to everybody (with `--user` to its owner), so
/// that who may not is told so by name, and not by `Permission denied` of connect(2).
enum Authority {
    /// What a request needs.
    enum Needed {
        /// Who the service is and what it can do.
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

    /// The groups of this host that give rights; nil where there is no such group.
    struct Groups {
        var act: UInt32?
        var read: UInt32?

        /// Looked up for each request: groups are made while the supervisor runs.
        static var ofHost: Groups {
            Groups(act: try? Accounts.group("holdfast"), read: try? Accounts.group("holdfast-read"))
        }
    }

    /// nil if the peer may; else who may.
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

    /// Whether the peer may act; not told anybody.
    func isOperator(_ peer: Peer) -> Bool {
        if peer.uid == 0 || peer.uid == geteuid() { return true }
        let groups = configuration.isUser ? nil : Authority.Groups.ofHost
        return Authority.refusal(.acting, of: peer, us: geteuid(), groups: groups) == nil
    }

    private func may(_ needed: Authority.Needed, _ peer: Peer) throws(ControlError) {
        // Mostly root: no look at the user database.
        if peer.uid == 0 || peer.uid == geteuid() { return }
        let groups = configuration.isUser ? nil : Authority.Groups.ofHost
        guard let required = Authority.refusal(needed, of: peer, us: geteuid(), groups: groups) else { return }
        let who = "uid \(peer.uid)"
        log(.warning, aboutStranger: who, "\(who) (process \(peer.pid)) was refused: this needs \(required)")
        throw .permissionDenied(required: required)
    }
}
