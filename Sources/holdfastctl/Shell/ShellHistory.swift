import Glibc
import Linux

/// The history of typed lines, across sessions: a file that only the user can read.
struct ShellHistory {
    /// The number of lines kept.
    static let limit = 1000
    private let path: String?
    private(set) var lines: [String] = []

    /// `$XDG_STATE_HOME/holdfast/ctl-history`; nil without a home.
    static func path(environment: (String) -> String?) -> String? {
        if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") { return state + "/holdfast/ctl-history" }
        guard let home = environment("HOME"), home.hasPrefix("/") else { return nil }
        return home + "/.local/state/holdfast/ctl-history"
    }

    /// - Parameter path: the history file; nil to keep lines for this session only.
    init(path: String?) {
        self.path = path
        guard let path else { return }
        // No link is followed, and no more is read than a session could have written.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 2 * Self.limit * 256)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return }
        let all = bytes[..<count].split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        lines = all.suffix(Self.limit)
        // Every session appends to the file, so it is cut from time to time.
        if all.count > 2 * Self.limit { rewrite() }
    }

    /// Adds a line, unless it is blank, begins with a blank (as shells do), or repeats the last one.
    mutating func add(_ line: String) {
        guard let first = line.first, first != " ", line != lines.last, !line.contains("\n") else { return }
        lines.append(line)
        if lines.count > Self.limit { lines.removeFirst(lines.count - Self.limit) }
        guard let path, let directory = FileTree.parent(of: path) else { return }
        try? FileTree.makeDirectory(directory, mode: 0o700)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        // A history that cannot be written is not reported at every line.
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        emit(line + "\n", to: descriptor)
    }

    private func rewrite() {
        guard let path else { return }
        let text = lines.joined(separator: "\n") + "\n"
        try? FileTree.writeAtomically(path, Array(text.utf8), durable: false)
        chmod(path, 0o600)
    }
}
