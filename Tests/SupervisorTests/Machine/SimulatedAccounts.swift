import SystemPackage
import UnitFiles

@testable import Linux
@testable import Supervisor

/// Users, groups and facts of the world's host.
final class WorldHost {
    var users: [String: User] = [
        "root": User(name: "root", uid: 0, gid: 0, home: "/root", shell: "/bin/sh"),
        "www-data": User(name: "www-data", uid: 33, gid: 33, home: "/var/www", shell: "/usr/sbin/nologin"),
    ]
    var groups: [String: UInt32] = ["root": 0, "www-data": 33]
    /// Programs that are not installed.
    var missingPrograms: Set<String> = []
    /// Parameters of conditions whose evaluation may take long.
    var slowParameters: Set<String> = []
    /// Whether a condition holds; nil for one that follows from the files of the world.
    var holds: (Condition) -> Bool? = { _ in nil }
}

/// One supervisor's view of the world's users, groups and programs.
final class SimulatedAccounts: AccountsPort {
    private unowned let machine: SimulatedMachine
    private var world: World { machine.world }

    init(machine: SimulatedMachine) { self.machine = machine }

    func user(_ name: String) throws(UnknownAccount) -> User {
        if let found = world.host.users[name] { return found }
        if let found = world.host.users.values.first(where: { "\($0.uid)" == name }) { return found }
        throw UnknownAccount(kind: .user, name: name)
    }

    func group(_ name: String) throws(UnknownAccount) -> UInt32 {
        guard let gid = world.host.groups[name] ?? UInt32(name) else { throw UnknownAccount(kind: .group, name: name) }
        return gid
    }

    func groupName(_ gid: UInt32) -> String? { world.host.groups.first { $0.value == gid }?.key }

    func credentials(
        user: String?, group: String?, supplementaryGroups: [String]
    ) throws(UnknownAccount) -> Credentials {
        let account: User? = if let user { try self.user(user) } else { nil }
        let gid: UInt32 = if let group { try self.group(group) } else { account?.gid ?? 0 }
        var groups: [UInt32] = account == nil ? [] : [gid]
        for name in supplementaryGroups { groups.append(try self.group(name)) }
        return Credentials(uid: account?.uid ?? 0, gid: gid, groups: groups)
    }

    func findProgram(_ name: String, in searched: [String], root: String) throws(SystemError) -> String {
        try world.step(machine, "find program", name)
        guard !world.host.missingPrograms.contains(name) else {
            throw SystemError("find program", name, .noSuchFileOrDirectory)
        }
        return name.hasPrefix("/") ? name : "/usr/bin/\(name)"
    }

    func slowConditions(_ conditions: [Condition]) -> [Condition] {
        conditions.filter { world.host.slowParameters.contains($0.parameter) }
    }

    func holds(_ condition: Condition, environment: [String: String]) -> Bool {
        if let known = world.host.holds(condition) { return known }
        return switch condition.kind {
        case .pathExists: world.disk.node(condition.parameter) != nil
        case .pathIsDirectory: world.disk.node(condition.parameter)?.kind == .directory
        case .environment: environment[condition.parameter] != nil
        default: true
        }
    }
}
