import Glibc
import Linux

/// The lines that were typed, across sessions: one file of the user's, which nobody else can read.
struct ShellHistory {
    /// So many lines are kept.
    static let limit = 1000
    private let path: String?
    private(set) var lines: [String] = []

    /// `$XDG_STATE_HOME/holdfast/history`; nil without a home.
    static func path(environment: (String) -> String?) -> String? {
        if let state = environment("XDG_STATE_HOME"), state.hasPrefix("/") { return state + "/holdfast/ctl-history" }
        guard let home = environment("HOME"), home.hasPrefix("/") else { return nil }
        return home + "/.local/state/holdfast/ctl-history"
    }

    /// - Parameter path: nil to remember for this session only.
    init(path: String?) {
        self.path = path
        guard let path else { return }
        // Not through a link, and no more than could have been written here.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 2 * Self.limit * 256)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return }
        let all = bytes[..<count].split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
        lines = all.suffix(Self.limit)
        // Appended to by every session, so cut now and then.
        if all.count > 2 * Self.limit { rewrite() }
    }

    /// Remembers a line, unless it is blank, begins with a blank (that is how shells are told to forget), or is the last one
    /// again.
    mutating func add(_ line: String) {
        guard let first = line.first, first != " ", line != lines.last, !line.contains("\n") else { return }
        lines.append(line)
        if lines.count > Self.limit { lines.removeFirst(lines.count - Self.limit) }
        guard let path, let directory = FileTree.parent(of: path) else { return }
        try? FileTree.makeDirectory(directory, mode: 0o700)
        let descriptor = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        // A history that cannot be kept is not worth a complaint at every line.
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
