// How a program gets its sockets when it does not know systemd's convention: X-Handoff=, X-Pass=, X-Template=.

/// A way of telling a program which descriptors are its sockets (`X-Handoff=`).
public enum HandoffConvention: String, Sendable, CaseIterable {
    /// `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES` (sd_listen_fds(3)), and what `fd-env` has.
    case systemd
    /// `LISTEN_FD_NAME=3`, for programs that take a number.
    case fdEnvironment = "fd-env"
    /// `NGINX=3;4;`: nginx finds the addresses by itself.
    case nginx
    /// `SERVER_STARTER_PORT=127.0.0.1:80=3`, `SERVER_STARTER_GENERATION=7` (Perl's Server::Starter).
    case serverStarter = "server-starter"
    /// `EINHORN_FD_COUNT=2`, `EINHORN_FD_0=3`.
    case einhorn
    /// The first socket is standard input, as inetd and FastCGI have it.
    case standardInput = "stdin"
}

/// What a program gets of a socket unit (`X-Pass=`).
public enum SocketPass: String, Sendable, CaseIterable {
    /// The listening socket itself.
    case descriptor
    /// Only its address, which is kept for it: the program binds and listens itself.
    case address
}

/// One `X-Template=SOURCE:NAME`.
public struct TemplateReference: Sendable, Hashable {
    /// Absolute path of the template.
    public var source: String
    /// Name of the result in `$GENERATION_DIRECTORY`; without slashes.
    public var name: String
    public var location: SourceLocation

    public init(source: String, name: String, location: SourceLocation = SourceLocation(file: "")) {
        self.source = source
        self.name = name
        self.location = location
    }

    /// Reads `/etc/site/haproxy.cfg.mustache:haproxy.cfg`.
    public static func parse(
        _ text: String, at location: SourceLocation = SourceLocation(file: "")
    ) throws(ValueError) -> TemplateReference {
        let expected = "expected TEMPLATE:NAME, an absolute path and the name of the result, not \"\(text)\""
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { throw ValueError(expected) }
        let name = String(text[text.utf8.index(after: colon)...])
        let isName = !name.isEmpty && name != "." && name != ".." && name.utf8.count <= 200
        guard isName, !name.utf8.contains(UInt8(ascii: "/")), !Ascii.hasControlCharacter(name) else {
            throw ValueError(expected)
        }
        return TemplateReference(source: try Value.absolutePath(String(text[..<colon])), name: name, location: location)
    }
}

/// `[Service]` directives about sockets and configuration that systemd has no word for.
public struct HandoffSettings: Sendable, Hashable {
    /// As written; empty stands for systemd's.
    public var explicitConventions: [HandoffConvention] = []
    public var templates: [TemplateReference] = []

    public init() {}

    /// In the order in which they were named, each once.
    public var conventions: [HandoffConvention] { explicitConventions.isEmpty ? [.systemd] : explicitConventions }

    /// Whether descriptors are passed from 3 on: what has its one socket as standard input needs no second copy of it.
    public var passesDescriptors: Bool { conventions != [.standardInput] }
}
