import Glibc
import Linux
import UnitFiles
import UnitStore

/// Users, groups and programs of this host.
final class LinuxAccounts: AccountsPort {
    func user(_ name: String) throws(UnknownAccount) -> User { try Accounts.user(name) }
    func group(_ name: String) throws(UnknownAccount) -> UInt32 { try Accounts.group(name) }
    func groupName(_ gid: UInt32) -> String? { Accounts.groupName(gid) }

    func credentials(
        user: String?, group: String?, supplementaryGroups: [String]
    ) throws(UnknownAccount) -> Credentials {
        try Accounts.credentials(user: user, group: group, supplementaryGroups: supplementaryGroups)
    }

    func findProgram(_ name: String, in searched: [String], root: String) throws(SystemError) -> String {
        try ProgramSearch.find(name, in: searched, root: root)
    }

    func slowConditions(_ conditions: [Condition]) -> [Condition] {
        let onPaths = conditions.filter(ConditionEvaluator.isAboutPath)
        guard !onPaths.isEmpty else { return [] }
        let mounts = MountTable.current()
        return onPaths.filter { ConditionEvaluator.mayTakeLong($0, mounts) }
    }

    func holds(_ condition: Condition, environment: [String: String]) -> Bool {
        ConditionEvaluator(environment: environment).holds(condition)
    }
}

extension Configuration {
    /// Name of the group that may read captured output.
    static let logReadersGroup = "holdfast-read"

    /// Gid of the group that may read captured output, in addition to root; nil without such a group.
    public var logReaders: UInt32? { isUser || geteuid() != 0 ? nil : try? Accounts.group(Self.logReadersGroup) }
}
