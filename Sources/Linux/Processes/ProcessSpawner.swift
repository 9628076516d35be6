import CSpawn
import Glibc
import SystemPackage

/// A running child: its pid, and a descriptor that identifies the process even after the pid has been reused.
@frozen public struct Child: ~Copyable {
    public let pid: Int32
    public var handle: ProcessHandle
    /// Directives of which the kernel granted less, because a privilege is missing: `LimitNOFILE=65536`.
    public let eased: [String]

    /// Returns the handle, which outlives this value.
    public consuming func takeHandle() -> ProcessHandle { handle }
}

/// Turns a `SpawnPlan` into a process.
public enum ProcessSpawner {
    /// Starts the program; returns when it has been executed, about a millisecond later.
    ///
    /// The caller must watch the child (`Children.watch`), else its zombie stays. `Children.spawn` is preferable: it
    /// keeps the reaper of orphans away from the child.
    public static func spawn(_ plan: SpawnPlan) throws(SpawnError) -> Child {
        try spawn(plan, useClone3: true)
    }

    /// `useClone3: false` takes the code path for kernels and containers without clone3.
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
            let subject =
                step == .held ? reasonForNoExecution(plan, status) : subject(of: step, plan, Int(result.index))
            throw SpawnError(step, subject, negated: status)
        }
        return Child(
            pid: result.pid, handle: ProcessHandle(pid: result.pid, owning: result.pidfd),
            eased: easedDirectives(result.eased, plan))
    }

    private static func reasonForNoExecution(_ plan: SpawnPlan, _ status: Int32) -> String {
        switch Errno(rawValue: -status) {
        case .interrupted: "\(plan.program): a signal stopped the process before it executed the program"
        case .resourceTemporarilyUnavailable:
            "\(plan.program): the process was frozen, or waited for a lease or a FUSE file system"
        default: "\(plan.program): the file system did not answer in time"
        }
    }

    private static func easedDirectives(_ bits: UInt64, _ plan: SpawnPlan) -> [String] {
        guard bits != 0 else { return [] }
        func has(_ bit: Int) -> Bool { bits >> UInt64(bit) & 1 == 1 }
        func text(_ limit: UInt64) -> String { limit == .max ? "infinity" : "\(limit)" }
        var directives = plan.limits.indices.filter(has).map { index in
            let limit = plan.limits[index]
            return limit.directive + text(limit.soft) + (limit.soft == limit.hard ? "" : ":" + text(limit.hard))
        }
        if has(Int(HOLDFAST_EASED_NICE)) { directives.append("Nice=\(plan.nice ?? 0)") }
        if has(Int(HOLDFAST_EASED_OOM_SCORE)) { directives.append("OOMScoreAdjust=\(plan.oomScoreAdjust ?? 0)") }
        if has(Int(HOLDFAST_EASED_COREDUMP_FILTER)) { directives.append("CoredumpFilter=") }
        return directives
    }

    private static func subject(of step: SpawnError.Step, _ plan: SpawnPlan, _ index: Int) -> String? {
        switch step {
        case .forking, .cgroup, .session, .terminal, .network, .signals, .keyring, .noNewPrivileges: nil
        case .coredumpFilter: plan.coredumpFilter.map { "0x" + String($0, radix: 16) }
        case .cpuScheduling: plan.cpuScheduling.map { "\($0.policy), priority \($0.priority)" }
        case .cpuAffinity: plan.cpuAffinity.sorted().map { "\($0)" }.joined(separator: " ")
        case .ioScheduling: plan.ioPriority.map { "\($0 >> 13), priority \($0 & 7)" }
        case .timerSlack: plan.timerSlack.map { "\($0)" }
        case .personality: plan.personality.map { "\($0)" }
        case .capabilities, .ambientCapabilities: "capability \(index)"
        case .secureBits: "\(plan.secureBits)"
        case .rootDirectory: plan.rootDirectory?.path
        case .descriptors: "number \(index)"
        case .oomScore: plan.oomScoreAdjust.map { "\($0)" }
        case .nice: plan.nice.map { "\($0)" }
        case .limits: plan.limits.indices.contains(index) ? plan.limits[index].directive : nil
        case .group: plan.credentials.map { "\($0.gid)" }
        case .user: plan.credentials.map { "\($0.uid)" }
        case .workingDirectory: plan.workingDirectory?.path
        case .executing, .held: plan.program
        }
    }
}

/// The plan in C form: strings and tables that live until the program has been executed.
private final class PlanMemory {
    private var strings: [UnsafeMutablePointer<CChar>] = []
    private var masks: [UnsafeMutablePointer<UInt64>] = []

    deinit {
        for string in strings { string.deallocate() }
        for mask in masks { mask.deallocate() }
    }

    /// A NUL-terminated copy followed by `room` zero bytes.
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

    /// Sets the attributes that need no tables of their own.
    private func setAttributes(_ c: inout holdfast_spawn, _ plan: SpawnPlan) {
        c.coredump_filter = plan.coredumpFilter.map { UnsafePointer(copy("0x" + String($0, radix: 16))) }
        if let scheduling = plan.cpuScheduling {
            c.change_scheduler = 1
            // SCHED_RESET_ON_FORK is a macro with a cast that Swift does not import.
            c.scheduler_policy = scheduling.policy | (scheduling.resetOnFork ? 0x4000_0000 : 0)
            c.scheduler_priority = scheduling.priority
        }
        if let last = plan.cpuAffinity.max() {
            let mask = UnsafeMutablePointer<UInt64>.allocate(capacity: last / 64 + 1)
            mask.initialize(repeating: 0, count: last / 64 + 1)
            for cpu in plan.cpuAffinity { mask[cpu / 64] |= 1 << UInt64(cpu % 64) }
            masks.append(mask)
            (c.cpu_mask, c.cpu_mask_size) = (UnsafePointer(mask), (last / 64 + 1) * 8)
        }
        (c.change_io_priority, c.io_priority) = (plan.ioPriority == nil ? 0 : 1, plan.ioPriority ?? 0)
        (c.change_timer_slack, c.timer_slack) = (plan.timerSlack == nil ? 0 : 1, UInt(plan.timerSlack ?? 0))
        (c.change_personality, c.personality) = (plan.personality == nil ? 0 : 1, UInt(plan.personality ?? 0))
        c.ignore_sigpipe = plan.ignoreSIGPIPE ? 1 : 0
        c.keyring =
            switch plan.keyring {
            case .inherit: Int32(HOLDFAST_KEYRING_INHERIT.rawValue)
            case .ownSession: Int32(HOLDFAST_KEYRING_PRIVATE.rawValue)
            case .linkedToUser: Int32(HOLDFAST_KEYRING_SHARED.rawValue)
            }
        if let invocation = plan.invocation, invocation.count == 16 {
            let bytes = copy("", room: 16)
            for (index, byte) in invocation.enumerated() { bytes[index] = CChar(bitPattern: byte) }
            c.invocation = UnsafeRawPointer(bytes).assumingMemoryBound(to: UInt8.self)
        }
        c.bounding = plan.capabilityBoundingSet ?? .max
        c.ambient = plan.ambientCapabilities
        c.secure_bits = plan.secureBits
        c.no_new_privileges = plan.noNewPrivileges ? 1 : 0
    }

    /// The environment, and the places in it where the child writes its pid.
    private func environment(
        of plan: SpawnPlan
    ) -> (variables: [UnsafeMutablePointer<CChar>?], slots: [UnsafeMutablePointer<CChar>?]) {
        var variables: [UnsafeMutablePointer<CChar>?] = []
        for (name, value) in plan.environment.sorted(by: { $0.key < $1.key }) where !plan.pidVariables.contains(name) {
            variables.append(copy(name + "=" + value))
        }
        var slots: [UnsafeMutablePointer<CChar>?] = []
        for name in plan.pidVariables {
            let variable = copy(name + "=", room: 12)
            variables.append(variable)
            slots.append(variable + name.utf8.count + 1)
        }
        return (variables, slots)
    }

    /// Sets the program, its place (directories, control group, network, terminal) and its user.
    private func setPlace(_ c: inout holdfast_spawn, _ plan: SpawnPlan) {
        c.program = UnsafePointer(copy(plan.program))
        c.working_directory = plan.workingDirectory.map { UnsafePointer(copy($0.path)) }
        c.working_directory_optional = plan.workingDirectory?.optional == true ? 1 : 0
        c.oom_score_adj = plan.oomScoreAdjust.map { UnsafePointer(copy("\($0)")) }
        c.change_nice = plan.nice == nil ? 0 : 1
        c.nice = plan.nice ?? 0
        c.change_umask = plan.umask == nil ? 0 : 1
        c.umask = plan.umask ?? 0
        c.new_session = plan.newSession ? 1 : 0
        c.root = plan.rootDirectory.map { UnsafePointer(copy($0.path)) }
        c.root_optional = plan.rootDirectory?.optional == true ? 1 : 0
        c.cgroup = plan.cgroup
        c.cgroup_join = plan.joinsCgroup ? 1 : 0
        c.network = plan.network
        c.terminal = plan.terminal
        c.terminal_force = plan.takesTerminal ? 1 : 0
        if let credentials = plan.credentials {
            c.uid = credentials.uid
            c.gid = credentials.gid
            // Without privilege a change to our own user must work, although setgroups would be refused.
            c.change_user = credentials.uid == geteuid() && credentials.uid != 0 ? 0 : 1
            c.change_groups = credentials.isCurrent ? 0 : 1
        }
    }

    func withPlan(
        _ plan: SpawnPlan, useClone3: Bool, _ body: (UnsafePointer<holdfast_spawn>) -> Int32
    ) -> Int32 {
        let (variables, slots) = environment(of: plan)
        var c = holdfast_spawn()
        c.use_clone3 = useClone3 ? 1 : 0
        setPlace(&c, plan)
        setAttributes(&c, plan)
        let groups = plan.credentials?.groups ?? []
        let limits = plan.limits.map { holdfast_limit(resource: $0.resource, soft: $0.soft, hard: $0.hard) }
        let descriptors = [plan.standardInput, plan.standardOutput, plan.standardError] + plan.descriptors
        return withTable(plan.arguments.map { copy($0) }) { arguments in
            withTable(variables) { environment in
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

/// The search path for a program name without a slash: the fixed path of systemd.service(5), not our own `$PATH`.
public enum ProgramSearch {
    public static let directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// The corresponding value of `$PATH`.
    public static var path: String { directories.joined(separator: ":") }

    /// The absolute path for `name`; a name with a slash is returned unchanged. Throws ENOENT, or EACCES for a file
    /// that is not executable.
    /// - Parameters:
    ///   - searched: `ExecSearchPath=`, instead of the fixed path.
    ///   - root: the directory that the program will see as `/`; the result is relative to it.
    public static func find(
        _ name: String, in searched: [String] = directories, root: String = ""
    ) throws(SystemError) -> String {
        if name.utf8.contains(UInt8(ascii: "/")) { return name }
        var cause = Errno.noSuchFileOrDirectory
        for directory in searched {
            let candidate = directory + "/" + name
            if access(root + candidate, X_OK) == 0 { return candidate }
            if errno == EACCES { cause = .permissionDenied }
        }
        throw SystemError("find program", name, cause)
    }
}
