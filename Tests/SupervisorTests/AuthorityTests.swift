import ControlProtocol
import Linux
import Testing

@testable import Supervisor

@Suite("Who may ask for what")
struct AuthorityTests {
    private static let act: UInt32 = 500
    private static let read: UInt32 = 501

    struct Who: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var peer: Peer
        var looks: Bool
        var acts: Bool

        init(_ name: String, uid: UInt32, gid: UInt32 = 1000, groups: [UInt32] = [], looks: Bool, acts: Bool) {
            testDescription = name
            peer = Peer(pid: 1, uid: uid, gid: gid, groups: groups)
            self.looks = looks
            self.acts = acts
        }
    }

    static let people = [
        Who("root", uid: 0, gid: 0, looks: true, acts: true),
        Who("the supervisor's own user", uid: 77, looks: true, acts: true),
        Who("primary group holdfast", uid: 1000, gid: act, looks: true, acts: true),
        Who("supplementary group holdfast", uid: 1000, groups: [4, act], looks: true, acts: true),
        Who("primary group holdfast-read", uid: 1000, gid: read, looks: true, acts: false),
        Who("supplementary group holdfast-read", uid: 1000, groups: [read], looks: true, acts: false),
        Who("both groups", uid: 1000, groups: [read, act], looks: true, acts: true),
        Who("a stranger", uid: 1000, groups: [4, 27], looks: false, acts: false),
    ]

    @Test("Root and holdfast act, holdfast-read looks, others are refused by name", arguments: people)
    func system(who: Who) {
        let groups = Authority.Groups(act: Self.act, read: Self.read)
        let looking = Authority.refusal(.readers, of: who.peer, us: 77, groups: groups)
        let acting = Authority.refusal(.operators, of: who.peer, us: 77, groups: groups)
        #expect(looking == (who.looks ? nil : "root, group holdfast or group holdfast-read"))
        #expect(acting == (who.acts ? nil : "root or group holdfast"))
        #expect(Authority.refusal(.everyone, of: who.peer, us: 77, groups: groups) == nil)
    }

    @Test("A user's own supervisor is for that user and root, whatever groups others are in", arguments: people)
    func user(who: Who) {
        let mayAsk = who.peer.uid == 0 || who.peer.uid == 77
        for access in [ControlProtocol.Method.Access.readers, .operators] {
            #expect((Authority.refusal(access, of: who.peer, us: 77, groups: nil) == nil) == mayAsk)
        }
    }

    @Test("A host without the groups gives nobody rights by them")
    func noGroups() {
        let peer = Peer(pid: 1, uid: 1000, gid: 1000, groups: [0])
        let none = Authority.Groups(act: nil, read: nil)
        #expect(Authority.refusal(.readers, of: peer, us: 0, groups: none) != nil)
    }
}
