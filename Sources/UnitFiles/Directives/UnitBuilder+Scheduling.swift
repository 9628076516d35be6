// systemd.exec(5): resource limits, scheduling and other attributes of a process.

extension UnitBuilder {
    /// Applies the numeric directives, for `apply(_: ExecutionDirective, _:)`.
    mutating func applyScheduling(_ directive: ExecutionDirective, _ assignment: Assignment) {
        switch directive {
        case .umask: if let umask = value(assignment, .fatal, Value.mode) { execution.umask = umask & 0o777 }
        case .ignoreSIGPIPE:
            if let ignore = value(assignment, .ignored, Value.boolean) { execution.ignoreSIGPIPE = ignore }
        case .oomScoreAdjust:
            execution.oomScoreAdjust = adjustment(assignment, -1000...1000, execution.oomScoreAdjust)
        case .coredumpFilter: coredumpFilter(assignment)
        case .nice: execution.nice = adjustment(assignment, -20...19, execution.nice)
        case .cpuSchedulingPolicy, .cpuSchedulingPriority, .cpuSchedulingResetOnFork:
            cpuScheduling(directive, assignment)
        case .cpuAffinity: cpuAffinity(assignment)
        case .ioSchedulingClass, .ioSchedulingPriority: ioScheduling(directive, assignment)
        case .timerSlackNSec:
            let slack = value(assignment, .ignored) { (text) throws(ValueError) in try TimeSpan.parseNanoseconds(text) }
            if let slack { execution.timerSlack = slack == .max ? nil : slack }
        case .personality: personality(assignment)
        default: break
        }
    }

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

    private mutating func cpuScheduling(_ directive: ExecutionDirective, _ assignment: Assignment) {
        var scheduling = execution.cpuScheduling ?? CPUScheduling()
        switch directive {
        case .cpuSchedulingPolicy:
            if assignment.value.isEmpty {
                execution.cpuScheduling?.policy = .other
                execution.cpuScheduling?.priority = 0
                return
            }
            let byNumber = (try? Value.integer(assignment.value, in: Int32(0)...5)).flatMap { number in
                CPUScheduling.Policy.allCases.first { $0.number == number }
            }
            guard let policy = byNumber ?? choice(assignment, .ignored, of: CPUScheduling.Policy.self) else { return }
            scheduling.policy = policy
            let range = policy.priorities
            scheduling.priority = min(max(scheduling.priority, range.lowerBound), range.upperBound)
        case .cpuSchedulingPriority:
            guard let priority = number(assignment, .ignored, in: scheduling.policy.priorities) else { return }
            scheduling.priority = priority
        default:
            guard let reset = value(assignment, .ignored, Value.boolean) else { return }
            scheduling.resetOnFork = reset
        }
        execution.cpuScheduling = scheduling
    }

    private mutating func ioScheduling(_ directive: ExecutionDirective, _ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.ioScheduling = nil
            return
        }
        var scheduling = execution.ioScheduling ?? IOScheduling()
        if directive == .ioSchedulingClass {
            let byNumber: [String: IOScheduling.Class] = ["0": .none, "1": .realtime, "2": .bestEffort, "3": .idle]
            let known = byNumber[assignment.value] ?? choice(assignment, .ignored, of: IOScheduling.Class.self)
            guard let known else { return }
            scheduling.schedulingClass = known
        } else {
            guard let priority = number(assignment, .ignored, in: 0...7) else { return }
            scheduling.priority = priority
        }
        execution.ioScheduling = scheduling
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
