// LoadCredential= and SetCredential= (systemd.exec(5), "Credentials"): data that a service is given as files of its own.

/// What a service finds in `$CREDENTIALS_DIRECTORY`.
public struct ServiceCredentials: Sendable, Hashable {
    /// Where the data of a credential comes from.
    public enum Source: Sendable, Hashable {
        /// An absolute path: of a file, or of a directory of which each file is a credential named `ID_FILE`.
        case path(String)
        /// A credential that the supervisor was given itself, or else of that name in /etc/credstore or one of its siblings.
        case named(String)
    }

    /// One `LoadCredential=`.
    public struct Loaded: Sendable, Hashable {
        public var id: String
        public var source: Source
    }

    /// One `SetCredential=`: also what counts if the credential of that name cannot be loaded.
    public struct Literal: Sendable, Hashable {
        public var id: String
        public var data: [UInt8]
    }

    public var loaded: [Loaded] = []
    public var literals: [Literal] = []

    public init() {}

    public var isEmpty: Bool { loaded.isEmpty && literals.isEmpty }
}

enum CredentialDirective: String, CaseIterable {
    case loadCredential = "LoadCredential"
    case setCredential = "SetCredential"

    static let byName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.rawValue, $0) })
}

extension UnitBuilder {
    mutating func apply(_ directive: CredentialDirective, _ assignment: Assignment) {
        switch directive {
        case .loadCredential: loadCredential(assignment)
        case .setCredential: setCredential(assignment)
        }
    }

    /// `ID`, or `ID:PATH`.
    private mutating func loadCredential(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            service.credentials.loaded = []
            return
        }
        // A service without a secret that it asks for is not that service.
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

    /// `ID:DATA`, the data with escapes and without specifiers.
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

    /// "a short ASCII string suitable as filename in the filesystem".
    private static func credentialName(_ text: String) throws(ValueError) -> String {
        let isFileName = !text.utf8.contains(UInt8(ascii: "/")) && text != "." && text != ".."
        guard isFileName, (try? descriptorName(text)) != nil else {
            throw ValueError("expected a name of ASCII characters without \":\" and \"/\", not \"\(text)\"")
        }
        return text
    }

    /// What only shows once all files are applied.
    mutating func finishCredentials() {
        guard !service.credentials.isEmpty, execution.rootDirectory != nil else { return }
        let location = sectionLocation
        report(
            Diagnostic(
                .warning, .unsupportedValue, at: location, directive: "LoadCredential",
                "RootDirectory= hides $CREDENTIALS_DIRECTORY from the service: nothing is mounted into its root"))
    }
}
