import CSpawn
import Glibc
import SystemPackage

/// A running child: its pid and a descriptor that means this process also after the pid has been reused.
@frozen public struct Child: ~Copyable {
    public let pid: Int32
    public var handle: ProcessHandle

    /// Takes it apart: the handle outlives this value.
    public consuming func takeHandle() -> ProcessHandle { handle }
}

/// Turns a `SpawnPlan` into a process.
public enum ProcessSpawner {
    /// Starts the program; returns when it has been executed, about a millisecond later.
    ///
    /// The caller must watch the child (`Children.watch`), else its zombie stays. Prefer `Children.spawn`, which keeps the
    /// reaper of orphans away from it.
    public static func spawn(_ plan: SpawnPlan) throws(SpawnError) -> Child {
        try spawn(plan, useClone3: true)
    }

    /// `useClone3: false` takes the path of kernels and containers without clone3.
    static func spawn(_ plan: SpawnPlan, useClone3: Bool) throws(SpawnError) -> Child {
        guard plan.descriptors.count <= 1000 else {
            throw SpawnError(.descriptors, "\(plan.descriptors.count)", negated: -EMFILE)
        }
        guard plan.pidVariables.count <= 8, plan.program.hasPrefix("/") else {
            throw SpawnError(.executing, plan.program, negated: -EINVAL)
        }
        let memory = PlanMemory()
        var result = holdfast_spawn_result()
        let status = memory.withPlan(plan, useClone3: useClone3) { holdfast_spawn($0, &result) }
        guard status >= 0 else {
            let step = SpawnError.Step(rawValue: result.step) ?? .forking
            throw SpawnError(step, subject(of: step, plan, Int(result.index)), negated: status)
        }
        return Child(pid: result.pid, handle: ProcessHandle(pid: result.pid, owning: result.pidfd))
    }

    private static func subject(of step: SpawnError.Step, _ plan: SpawnPlan, _ index: Int) -> String? {
        switch step {
        case .forking, .cgroup, .session, .signals: nil
        case .descriptors: "number \(index)"
        case .oomScore: plan.oomScoreAdjust.map { "\($0)" }
        case .nice: plan.nice.map { "\($0)" }
        case .limits: plan.limits.indices.contains(index) ? plan.limits[index].name : nil
        case .group: plan.credentials.map { "\($0.gid)" }
        case .user: plan.credentials.map { "\($0.uid)" }
        case .workingDirectory: plan.workingDirectory?.path
        case .executing: plan.program
        }
    }
}

/// The plan in the form of C: strings and tables that live until the program has been executed.
private final class PlanMemory {
    private var strings: [UnsafeMutablePointer<CChar>] = []

    deinit { for string in strings { string.deallocate() } }

    /// A NUL-terminated copy with `room` bytes of zero behind it.
    private func copy(_ text: String, room: Int = 0) -> UnsafeMutablePointer<CChar> {
        var text = text
        return text.withUTF8 { bytes in
            let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1 + room)
            copy.initialize(repeating: 0, count: bytes.count + 1 + room)
            for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
            strings.append(copy)
            return copy
        }
    }

    private func withTable<R>(
        _ strings: [UnsafeMutablePointer<CChar>?],
        _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> R
    ) -> R {
        (strings + [nil]).withUnsafeBufferPointer { body($0.baseAddress) }
    }

    func withPlan(
        _ plan: SpawnPlan, useClone3: Bool, _ body: (UnsafePointer<holdfast_spawn>) -> Int32
    ) -> Int32 {
        var environment: [UnsafeMutablePointer<CChar>?] = []
        for (name, value) in plan.environment.sorted(by: { $0.key < $1.key }) where !plan.pidVariables.contains(name) {
            environment.append(copy(name + "=" + value))
        }
        var slots: [UnsafeMutablePointer<CChar>?] = []
        for name in plan.pidVariables {
            let variable = copy(name + "=", room: 12)
            environment.append(variable)
            slots.append(variable + name.utf8.count + 1)
        }
        var c = holdfast_spawn()
        c.program = UnsafePointer(copy(plan.program))
        c.working_directory = plan.workingDirectory.map { UnsafePointer(copy($0.path)) }
        c.working_directory_optional = plan.workingDirectory?.optional == true ? 1 : 0
        c.oom_score_adj = plan.oomScoreAdjust.map { UnsafePointer(copy("\($0)")) }
        c.change_nice = plan.nice == nil ? 0 : 1
        c.nice = plan.nice ?? 0
        c.change_umask = plan.umask == nil ? 0 : 1
        c.umask = plan.umask ?? 0
        c.new_session = plan.newSession ? 1 : 0
        c.cgroup = plan.cgroup
        c.use_clone3 = useClone3 ? 1 : 0
        if let credentials = plan.credentials {
            c.uid = credentials.uid
            c.gid = credentials.gid
            // Without privilege "become who we are" must work, and setgroups would be refused.
            c.change_user = credentials.uid == geteuid() && credentials.uid != 0 ? 0 : 1
            c.change_groups = credentials.isCurrent ? 0 : 1
        }
        let groups = plan.credentials?.groups ?? []
        let limits = plan.limits.map { holdfast_limit(resource: $0.resource, soft: $0.soft, hard: $0.hard) }
        let descriptors = [plan.standardInput, plan.standardOutput, plan.standardError] + plan.descriptors
        return withTable(plan.arguments.map { copy($0) }) { arguments in
            withTable(environment) { environment in
                slots.withUnsafeBufferPointer { slots in
                    groups.withUnsafeBufferPointer { groups in
                        limits.withUnsafeBufferPointer { limits in
                            descriptors.withUnsafeBufferPointer { descriptors in
                                c.argv = arguments
                                c.envp = environment
                                (c.pid_slots, c.pid_slot_count) = (slots.baseAddress, slots.count)
                                (c.groups, c.group_count) = (groups.baseAddress, groups.count)
                                (c.limits, c.limit_count) = (limits.baseAddress, limits.count)
                                (c.descriptors, c.descriptor_count) = (descriptors.baseAddress, descriptors.count)
                                return body(&c)
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Where a program name without a slash is looked for: the fixed path of systemd.service(5), not our own `$PATH`.
public enum ProgramSearch {
    public static let directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// The value of `$PATH` that goes with it.
    public static var path: String { directories.joined(separator: ":") }

    /// The absolute path for `name`; a name with a slash is returned as it is. Throws ENOENT, or EACCES for a file that
    /// cannot be executed.
    public static func find(_ name: String) throws(SystemError) -> String {
        if name.utf8.contains(UInt8(ascii: "/")) { return name }
        var cause = Errno.noSuchFileOrDirectory
        for directory in directories {
            let candidate = directory + "/" + name
            if access(candidate, X_OK) == 0 { return candidate }
            if errno == EACCES { cause = .permissionDenied }
        }
        throw SystemError("find program", name, cause)
    }
}
