import Linux
import UnitFiles
import UnitStore

/// Users, groups, programs and other facts of the host that a start of a service looks up.
protocol AccountsPort: AnyObject {
    func user(_ name: String) throws(UnknownAccount) -> User
    /// Gid of a group.
    func group(_ name: String) throws(UnknownAccount) -> UInt32
    func groupName(_ gid: UInt32) -> String?
    func credentials(
        user: String?, group: String?, supplementaryGroups: [String]
    ) throws(UnknownAccount) -> Credentials

    /// Absolute path of a program; ENOENT, or EACCES for a file that is not executable.
    func findProgram(_ name: String, in searched: [String], root: String) throws(SystemError) -> String

    /// The conditions among these whose evaluation may take long, and must not happen on the event loop.
    func slowConditions(_ conditions: [Condition]) -> [Condition]
    /// Whether a condition holds, ignoring `!` and `|`.
    func holds(_ condition: Condition, environment: [String: String]) -> Bool
}
