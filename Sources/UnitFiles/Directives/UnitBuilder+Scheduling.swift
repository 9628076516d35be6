// systemd.exec(5): resource limits, scheduling and other attributes of a process.

extension UnitBuilder {
    /// Resource limits of the processes of commands.
    static let limitDirectives: [Directive] = [
        Directive("LimitCPU", .exec, in: .commands) { $0.limit(.cpu, $1) },
        Directive("LimitFSIZE", .exec, in: .commands) { $0.limit(.fsize, $1) },
        Directive("LimitDATA", .exec, in: .commands) { $0.limit(.data, $1) },
        Directive("LimitSTACK", .exec, in: .commands) { $0.limit(.stack, $1) },
        Directive("LimitCORE", .exec, in: .commands) { $0.limit(.core, $1) },
        Directive("LimitRSS", .exec, in: .commands) { $0.limit(.rss, $1) },
        Directive("LimitNOFILE", .exec, in: .commands) { $0.limit(.nofile, $1) },
        Directive("LimitAS", .exec, in: .commands) { $0.limit(.addressSpace, $1) },
        Directive("LimitNPROC", .exec, in: .commands) { $0.limit(.nproc, $1) },
        Directive("LimitMEMLOCK", .exec, in: .commands) { $0.limit(.memlock, $1) },
        Directive("LimitLOCKS", .exec, in: .commands) { $0.limit(.locks, $1) },
        Directive("LimitSIGPENDING", .exec, in: .commands) { $0.limit(.sigpending, $1) },
        Directive("LimitMSGQUEUE", .exec, in: .commands) { $0.limit(.msgqueue, $1) },
        Directive("LimitNICE", .exec, in: .commands) { $0.limit(.nice, $1) },
        Directive("LimitRTPRIO", .exec, in: .commands) { $0.limit(.rtprio, $1) },
        Directive("LimitRTTIME", .exec, in: .commands) { $0.limit(.rttime, $1) },
    ]

    /// Scheduling and other attributes of the processes of commands.
    static let schedulingDirectives: [Directive] = [
        Directive("UMask", .exec, in: .commands) {
            if let umask = $0.value($1, .fatal, Value.mode) { $0.execution.umask = umask & 0o777 }
        },
        Directive("IgnoreSIGPIPE", .exec, in: .commands) {
            if let ignore = $0.value($1, .ignored, Value.boolean) { $0.execution.ignoreSIGPIPE = ignore }
        },
        Directive("OOMScoreAdjust", .exec, in: .commands) {
            $0.execution.oomScoreAdjust = $0.adjustment($1, -1000...1000, $0.execution.oomScoreAdjust)
        },
        Directive("CoredumpFilter", .exec, in: .commands) { $0.coredumpFilter($1) },
        Directive("Nice", .exec, in: .commands) { $0.execution.nice = $0.adjustment($1, -20...19, $0.execution.nice) },
        Directive("CPUSchedulingPolicy", .exec, in: .commands) { $0.cpuSchedulingPolicy($1) },
        Directive("CPUSchedulingPriority", .exec, in: .commands) { $0.cpuSchedulingPriority($1) },
        Directive("CPUSchedulingResetOnFork", .exec, in: .commands) { $0.cpuSchedulingResetOnFork($1) },
        Directive("CPUAffinity", .exec, in: .commands) { $0.cpuAffinity($1) },
        Directive("IOSchedulingClass", .exec, in: .commands) { $0.ioSchedulingClass($1) },
        Directive("IOSchedulingPriority", .exec, in: .commands) { $0.ioSchedulingPriority($1) },
        Directive("TimerSlackNSec", .exec, in: .commands) {
            let slack = $0.value($1, .ignored) { (text) throws(ValueError) in try TimeSpan.parseNanoseconds(text) }
            if let slack { $0.execution.timerSlack = slack == .max ? nil : slack }
        },
        Directive("Personality", .exec, in: .commands) { $0.personality($1) },
    ]

    private mutating func adjustment(_ assignment: Assignment, _ range: ClosedRange<Int>, _ current: Int?) -> Int? {
        if assignment.value.isEmpty { return nil }
        return number(assignment, .ignored, in: range) ?? current
    }

    mutating func limit(_ kind: ResourceLimitKind, _ assignment: Assignment) {
        // As under systemd, an empty assignment resets nothing.
        let limit = expanded(assignment, .ignored) { (text) throws(ValueError) in
            try ResourceLimit.parse(text, unit: kind.unit)
        }
        if let limit { execution.limits[kind] = limit }
    }

    private static let coredumpNames = [
        "private-anonymous", "shared-anonymous", "private-file-backed", "shared-file-backed", "elf-headers",
        "private-huge", "shared-huge", "private-dax", "shared-dax",
    ]

    private mutating func coredumpFilter(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.coredumpFilter = nil
            return
        }
        var mask = execution.coredumpFilter ?? 0
        for word in words(assignment, escapes: .interpreted) {
            let text = word.text
            if let bit = Self.coredumpNames.firstIndex(of: text) {
                mask |= 1 << bit
            } else if text == "all" {
                mask |= UInt64(UInt32.max)
            } else if text == "default" {
                // core(5): private and shared anonymous mappings, ELF headers, private huge pages.
                mask |= 0x33
            } else if let number = UInt64(text.lowercased().hasPrefix("0x") ? text.dropFirst(2) : text[...], radix: 16)
            {
                mask |= number
            } else {
                let near = EditDistance.closest(to: text, in: Self.coredumpNames + ["all", "default"])
                let message = "\"\(text)\" is neither a type of mapping (core(5)) nor a hexadecimal number"
                // A mask without the unknown type would not be the intended one.
                return reject(assignment, ValueError(message, at: word.offset, suggestion: near), .ignored)
            }
        }
        execution.coredumpFilter = mask
    }

    private mutating func cpuSchedulingPolicy(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.cpuScheduling?.policy = .other
            execution.cpuScheduling?.priority = 0
            return
        }
        let byNumber = (try? Value.integer(assignment.value, in: Int32(0)...5)).flatMap { number in
            CPUScheduling.Policy.allCases.first { $0.number == number }
        }
        guard let policy = byNumber ?? choice(assignment, .ignored, of: CPUScheduling.Policy.self) else { return }
        var scheduling = execution.cpuScheduling ?? CPUScheduling()
        scheduling.policy = policy
        let range = policy.priorities
        scheduling.priority = min(max(scheduling.priority, range.lowerBound), range.upperBound)
        execution.cpuScheduling = scheduling
    }

    private mutating func cpuSchedulingPriority(_ assignment: Assignment) {
        var scheduling = execution.cpuScheduling ?? CPUScheduling()
        guard let priority = number(assignment, .ignored, in: scheduling.policy.priorities) else { return }
        scheduling.priority = priority
        execution.cpuScheduling = scheduling
    }

    private mutating func cpuSchedulingResetOnFork(_ assignment: Assignment) {
        guard let reset = value(assignment, .ignored, Value.boolean) else { return }
        execution.cpuScheduling = execution.cpuScheduling ?? CPUScheduling()
        execution.cpuScheduling?.resetOnFork = reset
    }

    private mutating func ioSchedulingClass(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.ioScheduling = nil
            return
        }
        let byNumber: [String: IOScheduling.Class] = ["0": .none, "1": .realtime, "2": .bestEffort, "3": .idle]
        let known = byNumber[assignment.value] ?? choice(assignment, .ignored, of: IOScheduling.Class.self)
        guard let known else { return }
        execution.ioScheduling = execution.ioScheduling ?? IOScheduling()
        execution.ioScheduling?.schedulingClass = known
    }

    private mutating func ioSchedulingPriority(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.ioScheduling = nil
            return
        }
        guard let priority = number(assignment, .ignored, in: 0...7) else { return }
        execution.ioScheduling = execution.ioScheduling ?? IOScheduling()
        execution.ioScheduling?.priority = priority
    }

    /// Reads `1 3-5,7`. The kernel's own sets end at 8192 (CONFIG_NR_CPUS).
    private mutating func cpuAffinity(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.cpuAffinity = []
            return
        }
        let cpus = expanded(assignment, .ignored) { (text) throws(ValueError) -> Set<Int> in
            if text == "numa" { throw ValueError("\"numa\" is not supported yet", code: .unsupportedValue) }
            var cpus: Set<Int> = []
            for part in text.utf8.split(whereSeparator: { Ascii.isSpace($0) || $0 == UInt8(ascii: ",") }) {
                let ends = String(Substring(part)).split(separator: "-", omittingEmptySubsequences: false)
                let first = try Value.integer(String(ends[0]), in: 0...8191)
                guard ends.count <= 2 else { throw ValueError("expected a range such as 0-3") }
                let last = ends.count == 2 ? try Value.integer(String(ends[1]), in: first...8191) : first
                cpus.formUnion(first...last)
            }
            return cpus
        }
        if let cpus { execution.cpuAffinity.formUnion(cpus) }
    }

    private mutating func personality(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.personality = nil
            return
        }
        let host = expander.environment.architecture
        // 64-bit names -> their 32-bit counterparts.
        let siblings = ["x86-64": "x86", "arm64": "arm", "ppc64": "ppc", "ppc64-le": "ppc-le", "s390x": "s390"]
        let personality = value(assignment, .ignored) { (text) throws(ValueError) -> Personality in
            if text == host { return .native }
            if let sibling = siblings[host], text == sibling { return .compat32 }
            let names = [host] + (siblings[host].map { [$0] } ?? [])
            throw ValueError("expected \(names.joined(separator: " or ")) on this host, not \"\(text)\"")
        }
        if let personality { execution.personality = personality }
    }
}
