// OpenFile= (systemd.service(5)): files that the supervisor opens for a service with its own rights.

/// One `OpenFile=`.
public struct OpenFile: Sendable, Hashable {
    public enum Access: String, Sendable, CaseIterable {
        case readWrite = ""
        case readOnly = "read-only"
        case append
        case truncate
    }

    /// An absolute path; the supervisor connects to a socket there.
    public var path: String
    /// The name in `LISTEN_FDNAMES`.
    public var name: String
    public var access = Access.readWrite
    /// `graceful`: a file that cannot be opened is left out.
    public var mayBeMissing = false

    public init(path: String, name: String) {
        self.path = path
        self.name = name
    }
}

extension UnitBuilder {
    /// Reads `PATH`, `PATH:NAME`, or `PATH:NAME:OPTIONS`.
    mutating func openFile(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.openFiles = []
            return
        }
        let file = expanded(assignment, .fatal) { (text) throws(ValueError) -> OpenFile in
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 3 else { throw ValueError("expected path:name:options, not \"\(text)\"") }
            let path = try Value.absolutePath(parts[0])
            let last = path.utf8.split(separator: UInt8(ascii: "/")).last.map { String(Substring($0)) } ?? "file"
            let named = parts.count > 1 && !parts[1].isEmpty ? parts[1] : last
            var file = OpenFile(path: path, name: try Self.descriptorName(named))
            if parts.count == 3 { try Self.options(parts[2], of: &file) }
            return file
        }
        if let file { service.openFiles.append(file) }
    }

    private static func options(_ text: String, of file: inout OpenFile) throws(ValueError) {
        for option in text.split(separator: ",").map(String.init) {
            if option == "graceful" {
                file.mayBeMissing = true
                continue
            }
            guard let access = OpenFile.Access(rawValue: option), access != .readWrite else {
                throw ValueError("expected read-only, append, truncate or graceful, not \"\(option)\"")
            }
            guard file.access == .readWrite else {
                throw ValueError("only one of read-only, append and truncate is allowed")
            }
            file.access = access
        }
    }
}
