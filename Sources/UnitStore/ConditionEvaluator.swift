import Glibc
import Linux
import UnitFiles

/// Evaluates the conditions of a unit on this host at the time of the call (systemd.unit(5), "Conditions and Asserts").
public struct ConditionEvaluator {
    /// The supervisor's own environment, for `ConditionEnvironment=`.
    private let environment: [String: String]

    public init(environment: [String: String]) { self.environment = environment }

    /// Whether evaluating the condition may take long: it may wait for a network file system or a FUSE program, or
    /// follow a pattern through any number of directories. Such a condition must not be evaluated on an event loop.
    /// - Parameter mounts: the mounts of the host; nil if they are unknown, so that any path may take long.
    public static func mayTakeLong(_ condition: Condition, _ mounts: MountTable?) -> Bool {
        let path = condition.parameter
        switch condition.kind {
        case .pathExistsGlob: return true
        case .pathExists, .pathIsDirectory, .pathIsSymbolicLink, .pathIsMountPoint, .pathIsReadWrite,
            .directoryNotEmpty,
            .fileNotEmpty, .fileIsExecutable, .pathIsEncrypted, .needsUpdate:
            return mounts?.answersAtOnce(path) != true
        case .user, .group, .host, .environment, .kernelCommandLine, .kernelVersion, .architecture, .virtualization,
            .security,
            .capability, .acPower, .memory, .cpus, .osRelease, .controlGroupController, .firstBoot, .cpuFeature,
            .credential,
            .memoryPressure, .cpuPressure, .ioPressure:
            return false
        }
    }

    /// Whether evaluating the condition accesses the file system at its path.
    public static func isAboutPath(_ condition: Condition) -> Bool { mayTakeLong(condition, nil) }

    /// The condition as an argument of a program: `KIND=PARAMETER`.
    public static func argument(_ condition: Condition) -> String {
        condition.kind.rawValue + "=" + condition.parameter
    }

    /// Evaluates a condition in the form made by `argument(_:)`.
    public func holds(_ argument: String) -> Bool {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, let kind = Condition.Kind(rawValue: parts[0]) else { return false }
        return holds(Condition(kind, parts[1]))
    }

    /// Whether the condition holds, ignoring `!` and `|`.
    public func holds(_ condition: Condition) -> Bool {
        let value = condition.parameter
        switch condition.kind {
        case .pathExists: return HostFacts.exists(value)
        case .pathExistsGlob: return HostFacts.matchesGlob(value)
        case .pathIsDirectory: return HostFacts.kind(value) == .directory
        case .pathIsSymbolicLink: return HostFacts.isSymbolicLink(value)
        case .pathIsMountPoint: return HostFacts.isMountPoint(value)
        case .pathIsReadWrite: return HostFacts.isReadWrite(value)
        case .directoryNotEmpty: return HostFacts.isNonEmptyDirectory(value)
        case .fileNotEmpty: return HostFacts.isNonEmptyFile(value)
        case .fileIsExecutable: return HostFacts.isExecutableFile(value)
        case .user: return isUser(value)
        case .group: return isGroup(value)
        case .host: return isHost(value)
        case .environment: return hasVariable(value)
        case .kernelCommandLine: return hasKernelArgument(value)
        case .kernelVersion: return isKernel(value)
        case .architecture: return value == HostFacts.architecture || value == "native"
        case .virtualization: return isVirtualization(value)
        case .security: return HostFacts.hasSecurity(value)
        case .capability:
            guard let bit = HostFacts.capability(value) else { return false }
            return HostFacts.capabilities >> UInt64(bit) & 1 == 1
        case .acPower: return (try? Value.boolean(value)) == HostFacts.isOnACPower
        case .memory: return Comparison(value).map { $0.holds(HostFacts.memory) { try? Value.size($0) } } ?? false
        case .cpus: return Comparison(value).map { $0.holds(HostFacts.cpus) { UInt64($0) } } ?? false
        case .osRelease: return isRelease(value)
        case .controlGroupController: return hasController(value)
        // systemd makes this file during the first boot of a host.
        case .firstBoot: return (try? Value.boolean(value)) == HostFacts.exists("/run/systemd/first-boot")
        case .needsUpdate: return HostFacts.needsUpdate(value)
        case .pathIsEncrypted: return HostFacts.isEncrypted(value)
        case .cpuFeature: return HostFacts.hasCPUFeature(value)
        case .credential:
            return environment["CREDENTIALS_DIRECTORY"].map { HostFacts.exists($0 + "/" + value) } ?? false
        case .memoryPressure: return isBelow(value, "memory")
        case .cpuPressure: return isBelow(value, "cpu")
        case .ioPressure: return isBelow(value, "io")
        }
    }

    private func isUser(_ value: String) -> Bool {
        if value == "@system" { return geteuid() < 1000 }
        if let number = UInt32(value) { return number == geteuid() }
        return (try? Accounts.user(value).uid) == geteuid()
    }

    private func isGroup(_ value: String) -> Bool {
        guard let group = try? Accounts.group(value) else { return false }
        if group == getegid() { return true }
        var groups = [gid_t](repeating: 0, count: 65536)
        let count = Int(getgroups(Int32(groups.count), &groups))
        return count > 0 && groups[..<count].contains(group)
    }

    private func isHost(_ value: String) -> Bool {
        let isID = value.utf8.count == 32 && value.allSatisfy(\.isHexDigit)
        if isID { return HostFacts.text("/etc/machine-id")?.hasPrefix(value.lowercased()) ?? false }
        return HostFacts.matches(HostFacts.hostName.lowercased(), pattern: value.lowercased())
    }

    private func hasVariable(_ value: String) -> Bool {
        guard let equals = value.firstIndex(of: "=") else { return environment[value] != nil }
        return environment[String(value[..<equals])] == String(value[value.index(after: equals)...])
    }

    /// Whether the kernel's command line contains the word, or the assignment if it has a `=`; a word also matches an
    /// assignment's name.
    private func hasKernelArgument(_ value: String) -> Bool {
        let words = (HostFacts.text("/proc/cmdline") ?? "").split(whereSeparator: \.isWhitespace)
        return words.contains { $0 == value || (!value.contains("=") && $0.hasPrefix(value + "=")) }
    }

    /// Whether all comparisons hold; one without an operator is a pattern.
    private func isKernel(_ value: String) -> Bool {
        let release = HostFacts.kernelRelease
        return Comparison.list(value).allSatisfy { $0.holds(version: release) }
    }

    private func isVirtualization(_ value: String) -> Bool {
        let found = HostFacts.virtualization
        switch value {
        case "vm": return found?.isContainer == false
        case "container": return found?.isContainer == true
        case "private-users":
            return HostFacts.text("/proc/self/uid_map")?.split(whereSeparator: \.isWhitespace).map(String.init)
                != ["0", "0", "4294967295"]
        default:
            if let wanted = try? Value.boolean(value) { return wanted == (found != nil) }
            return found?.name == value
        }
    }

    private func isRelease(_ value: String) -> Bool {
        let text = HostFacts.text("/etc/os-release") ?? HostFacts.text("/usr/lib/os-release") ?? ""
        let fields = (try? EnvironmentFile.parse(text, path: "/etc/os-release").assignments) ?? []
        return value.split(whereSeparator: \.isWhitespace).allSatisfy { word in
            guard let (field, comparison) = Comparison.ofField(word) else { return false }
            return comparison.holds(version: fields.last { $0.name == field }?.value ?? "")
        }
    }

    /// Whether all named controllers are available. "Controllers unknown to systemd are ignored."
    private func hasController(_ value: String) -> Bool {
        let root = "/sys/fs/cgroup"
        let unified = HostFacts.text(root + "/cgroup.controllers")
        if value == "v2" { return unified != nil }
        if value == "v1" { return unified == nil }
        let known: Set = ["blkio", "cpu", "cpuacct", "cpuset", "devices", "io", "memory", "pids"]
        let wanted = value.split(whereSeparator: \.isWhitespace).map(String.init).filter(known.contains)
        // Without v2, or with both, each controller in use has its own hierarchy. systemd supports two of them, io and
        // cpuset, only with v2.
        guard let unified else {
            return wanted.allSatisfy { $0 != "io" && $0 != "cpuset" && HostFacts.exists(root + "/" + $0) }
        }
        let available = unified.split(whereSeparator: \.isWhitespace).map(String.init)
        return wanted.allSatisfy(available.contains)
    }

    /// Whether the pressure is below the threshold. As in systemd, a host whose kernel does not measure pressure has
    /// none.
    private func isBelow(_ value: String, _ resource: String) -> Bool {
        guard let threshold = try? PressureThreshold.parse(value) else { return false }
        guard let average = HostFacts.pressure(resource, threshold.window.rawValue) else { return true }
        return PressureThreshold.hundredths(average).map { $0 <= threshold.limit } ?? true
    }
}

/// A comparison with an optional operator and an operand: `>=6.1`, `= 4G`, `5.*`.
struct Comparison {
    private enum Operator: String, CaseIterable {
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case notEqual = "!="
        case different = "<>"
        case less = "<"
        case greater = ">"
        case same = "=="
        case equal = "="
        case matches = "$="
        case matchesNot = "!$="
    }
    private let `operator`: Operator?
    private let operand: String

    init?(_ text: String) {
        let trimmed = text.drop(while: \.isWhitespace)
        // The longest operators first: `<=` begins with `<`.
        let found = Operator.allCases.sorted { $0.rawValue.count > $1.rawValue.count }
            .first { trimmed.hasPrefix($0.rawValue) }
        `operator` = found
        operand = String(trimmed.dropFirst(found?.rawValue.count ?? 0).drop(while: \.isWhitespace))
        if operand.isEmpty { return nil }
    }

    /// Splits `VERSION_ID>=12` into a field and its comparison.
    static func ofField(_ text: Substring) -> (field: String, comparison: Comparison)? {
        guard let end = text.firstIndex(where: { "<>=!$".contains($0) }) else { return nil }
        return Comparison(String(text[end...])).map { (String(text[..<end]), $0) }
    }

    /// Splits words into comparisons; an operator may be separated from its operand.
    static func list(_ text: String) -> [Comparison] {
        var pending = ""
        var list: [Comparison] = []
        for word in text.split(whereSeparator: \.isWhitespace) {
            pending += word
            if let comparison = Comparison(pending) {
                list.append(comparison)
                pending = ""
            }
        }
        return list
    }

    /// Compares numbers; without an operator the value must be at least the operand.
    func holds(_ value: UInt64, _ parse: (String) -> UInt64?) -> Bool {
        guard let wanted = parse(operand) else { return false }
        return holds(order: value < wanted ? -1 : value > wanted ? 1 : 0, whenPlain: value >= wanted)
    }

    /// Compares versions; without an operator, or with `$=`, the operand is a pattern.
    func holds(version: String) -> Bool {
        switch `operator` {
        case nil, .matches: HostFacts.matches(version, pattern: operand)
        case .matchesNot: !HostFacts.matches(version, pattern: operand)
        case .equal: version == operand
        default: holds(order: VersionOrder.compare(version, operand), whenPlain: false)
        }
    }

    private func holds(order: Int, whenPlain plain: Bool) -> Bool {
        switch `operator` {
        case nil, .matches, .matchesNot: plain
        case .lessOrEqual: order <= 0
        case .greaterOrEqual: order >= 0
        case .notEqual, .different: order != 0
        case .less: order < 0
        case .greater: order > 0
        case .same, .equal: order == 0
        }
    }
}

/// systemd's order of versions (the UAPI group's version format specification): numbers by value, letters by code, `~`
/// before everything, even before the end.
enum VersionOrder {
    /// Compares two versions: negative if `left` is older, zero if they are equal, positive if it is newer.
    static func compare(_ left: String, _ right: String) -> Int {
        var a = Array(left.utf8)[...]
        var b = Array(right.utf8)[...]
        while true {
            a = a.drop { !isPart($0) }
            b = b.drop { !isPart($0) }
            for mark in [UInt8(ascii: "~"), UInt8(ascii: "-"), UInt8(ascii: "^"), UInt8(ascii: ".")] {
                let (hasA, hasB) = (a.first == mark, b.first == mark)
                guard hasA || hasB else { continue }
                // `~` precedes everything. The other marks sort before other characters, but after the end of a
                // version.
                if hasA != hasB {
                    if mark != UInt8(ascii: "~"), a.isEmpty || b.isEmpty { return hasA ? 1 : -1 }
                    return hasA ? -1 : 1
                }
                a = a.dropFirst()
                b = b.dropFirst()
            }
            if a.isEmpty || b.isEmpty { return a.isEmpty ? (b.isEmpty ? 0 : -1) : 1 }
            let order = compareSegments(&a, &b)
            if order != 0 { return order }
        }
    }

    private static func compareSegments(_ a: inout ArraySlice<UInt8>, _ b: inout ArraySlice<UInt8>) -> Int {
        if isDigit(a.first) || isDigit(b.first) {
            let (one, two) = (removePrefix(&a, isDigit), removePrefix(&b, isDigit))
            // A number is newer than letters in the same place.
            if one.isEmpty != two.isEmpty { return one.isEmpty ? -1 : 1 }
            let (x, y) = (one.drop { $0 == 48 }, two.drop { $0 == 48 })
            if x.count != y.count { return x.count < y.count ? -1 : 1 }
            return x.elementsEqual(y) ? 0 : x.lexicographicallyPrecedes(y) ? -1 : 1
        }
        let (one, two) = (removePrefix(&a, isLetter), removePrefix(&b, isLetter))
        return one.elementsEqual(two) ? 0 : one.lexicographicallyPrecedes(two) ? -1 : 1
    }

    private static func removePrefix(_ rest: inout ArraySlice<UInt8>, _ belongs: (UInt8?) -> Bool) -> ArraySlice<UInt8>
    {
        let run = rest.prefix { belongs($0) }
        rest = rest.dropFirst(run.count)
        return run
    }

    private static func isDigit(_ byte: UInt8?) -> Bool { byte.map { (48...57).contains($0) } ?? false }
    private static func isLetter(_ byte: UInt8?) -> Bool { byte.map { (97...122).contains($0 | 0x20) } ?? false }
    private static func isPart(_ byte: UInt8) -> Bool {
        isDigit(byte) || isLetter(byte) || "~-^.".utf8.contains(byte)
    }
}
