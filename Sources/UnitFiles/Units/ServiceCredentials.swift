// LoadCredential= and SetCredential= (systemd.exec(5), "Credentials"): data passed to a service as files.

/// The contents of a service's `$CREDENTIALS_DIRECTORY`.
public struct ServiceCredentials: Sendable, Hashable {
    /// The source of a credential's data.
    public enum Source: Sendable, Hashable {
        /// The absolute path of a file, or of a directory in which each file is a credential named `ID_FILE`.
        case path(String)
        /// A credential passed to the supervisor itself, else one of that name in /etc/credstore or its siblings.
        case named(String)
    }

    /// One `LoadCredential=`.
    public struct Loaded: Sendable, Hashable {
        public var id: String
        public var source: Source
    }

    /// One `SetCredential=`: also the fallback if the credential of that name cannot be loaded.
    public struct Literal: Sendable, Hashable {
        public var id: String
        public var data: [UInt8]
    }

    public var loaded: [Loaded] = []
    public var literals: [Literal] = []

    public init() {}

    public var isEmpty: Bool { loaded.isEmpty && literals.isEmpty }
}

extension UnitBuilder {
    /// [Service]: data passed to a service as files.
    static let credentialDirectives: [Directive] = [
        Directive("LoadCredential", .exec, in: .service) { $0.loadCredential($1) },
        Directive("SetCredential", .exec, in: .service) { $0.setCredential($1) },
    ]

    /// Reads `ID` or `ID:PATH`.
    private mutating func loadCredential(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.credentials.loaded = []
            return
        }
        // The error is fatal: the service must not run without a secret that it asks for.
        let loaded = expanded(assignment, .fatal) { (text) throws(ValueError) -> ServiceCredentials.Loaded in
            let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            let id = try Self.credentialName(parts[0])
            guard parts.count == 2, !parts[1].isEmpty else { return .init(id: id, source: .named(id)) }
            let isPath = parts[1].hasPrefix("/")
            return .init(
                id: id,
                source: isPath ? .path(try Value.absolutePath(parts[1])) : .named(try Self.credentialName(parts[1])))
        }
        guard let loaded else { return }
        service.credentials.loaded.removeAll { $0.id == loaded.id }
        service.credentials.loaded.append(loaded)
    }

    /// Reads `ID:DATA`; escapes are replaced in the data, specifiers are not.
    private mutating func setCredential(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.credentials.literals = []
            return
        }
        let expander = expander
        let literal = value(assignment, .fatal) { (text) throws(ValueError) -> ServiceCredentials.Literal in
            guard let colon = text.firstIndex(of: ":") else {
                throw ValueError("expected a name, \":\" and data, not \"\(text)\"")
            }
            let id = try Self.credentialName(try expander.expand(String(text[..<colon])))
            return .init(id: id, data: try WordReader.unescapedBytes(String(text[text.index(after: colon)...])))
        }
        guard let literal else { return }
        service.credentials.literals.removeAll { $0.id == literal.id }
        service.credentials.literals.append(literal)
    }

    /// Checks the name of a credential: "a short ASCII string suitable as filename in the filesystem".
    private static func credentialName(_ text: String) throws(ValueError) -> String {
        let isFileName = !text.utf8.contains(UInt8(ascii: "/")) && text != "." && text != ".."
        guard isFileName, (try? descriptorName(text)) != nil else {
            throw ValueError("expected a name of ASCII characters without \":\" and \"/\", not \"\(text)\"")
        }
        return text
    }

    /// Checks that need all files of the unit.
    mutating func finishCredentials() {
        guard !service.credentials.isEmpty, execution.rootDirectory != nil else { return }
        let location = sectionLocation
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: location, directive: "LoadCredential",
                "RootDirectory= hides $CREDENTIALS_DIRECTORY from the service, because it is not mounted below the root directory"
            ))
    }
}
