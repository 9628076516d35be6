import Foundation

/// One process in /proc at this moment.
struct ProcessEntry: CustomStringConvertible {
    let pid: Int
    let parent: Int
    let state: Character
    let name: String

    init?(_ pid: Int) {
        guard let text = Self.text("/proc/\(pid)/stat"), let open = text.firstIndex(of: "("),
            let close = text.lastIndex(of: ")")
        else { return nil }
        let rest = text[text.index(after: close)...].split(separator: " ")
        guard rest.count > 2, let state = rest[0].first, let parent = Int(rest[1]) else { return nil }
        self.pid = pid
        self.parent = parent
        self.state = state
        name = String(text[text.index(after: open)..<close])
    }

    static var all: [ProcessEntry] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        return names.compactMap(Int.init).compactMap(ProcessEntry.init)
    }

    var isDead: Bool { state == "Z" || state == "X" }
    var arguments: [String] { Self.list("/proc/\(pid)/cmdline") }
    var description: String { "\(pid) (\(name), state \(state)) \(arguments.joined(separator: " "))" }

    var environment: [String: String] {
        var result: [String: String] = [:]
        for entry in Self.list("/proc/\(pid)/environ") {
            guard let equals = entry.firstIndex(of: "=") else { continue }
            result[String(entry[..<equals])] = String(entry[entry.index(after: equals)...])
        }
        return result
    }

    /// Descriptors by number, with their targets: `socket:[4711]`, `/dev/null`.
    var descriptors: [Int: String] {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")) ?? []
        var result: [Int: String] = [:]
        for name in names {
            guard let number = Int(name) else { continue }
            result[number] = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/\(name)")
        }
        return result
    }

    /// Anonymous memory in kilobytes: the program's allocations, without pages of files.
    var anonymousMemory: Int? {
        guard let text = Self.text("/proc/\(pid)/smaps_rollup") else { return nil }
        let line = text.split(separator: "\n").first { $0.hasPrefix("Anonymous:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }
    }

    private static func text(_ path: String) -> String? { bytes(path).map { String(decoding: $0, as: UTF8.self) } }

    /// Files of /proc report a size of 0, so they are read until the end.
    private static func bytes(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var result: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return count < 0 ? nil : result }
            result += buffer[..<count]
        }
    }

    private static func list(_ path: String) -> [String] {
        (bytes(path) ?? []).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}
