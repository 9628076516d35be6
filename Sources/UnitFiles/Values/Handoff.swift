// Passing sockets to programs that do not know systemd's convention: X-Handoff=, X-Pass=, X-Template=.

import Vocabulary

/// A convention for telling a program which descriptors are its sockets (`X-Handoff=`).
public enum HandoffConvention: String, Sendable, CaseIterable {
    /// `LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES` (sd_listen_fds(3)), and the variables of `fd-env`.
    case systemd
    /// `LISTEN_FD_NAME=3`, for programs that accept a number.
    case fdEnvironment = "fd-env"
    /// `NGINX=3;4;`: nginx determines the addresses by itself.
    case nginx
    /// `SERVER_STARTER_PORT=127.0.0.1:80=3`, `SERVER_STARTER_GENERATION=7` (Perl's Server::Starter).
    case serverStarter = "server-starter"
    /// `EINHORN_FD_COUNT=2`, `EINHORN_FD_0=3`.
    case einhorn
    /// The first socket is standard input, as for inetd and FastCGI.
    case standardInput = "stdin"
}

/// The part of a socket unit that a program receives (`X-Pass=`).
public enum SocketPass: String, Keyword {
    /// The listening socket itself.
    case descriptor
    /// Only its address, which is reserved for the program: it binds and listens itself.
    case address
}

/// One `X-Template=SOURCE:NAME`.
public struct TemplateReference: Sendable, Hashable {
    /// Absolute path of the template.
    public var source: String
    /// Name of the result in `$GENERATION_DIRECTORY`, without slashes.
    public var name: String
    public var location: SourceLocation

    public init(source: String, name: String, location: SourceLocation = SourceLocation(file: "")) {
        self.source = source
        self.name = name
        self.location = location
    }

    /// Parses `/etc/site/haproxy.cfg.mustache:haproxy.cfg`.
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

/// `[Service]` directives on sockets and configuration without a counterpart in systemd.
public struct HandoffSettings: Sendable, Hashable {
    /// The conventions as written; empty stands for systemd's.
    public var explicitConventions: [HandoffConvention] = []
    public var templates: [TemplateReference] = []

    public init() {}

    /// The conventions in the order in which they are named, without duplicates.
    public var conventions: [HandoffConvention] { explicitConventions.isEmpty ? [.systemd] : explicitConventions }

    /// Whether descriptors are passed from 3 on. A program whose only socket is standard input needs no second copy of
    /// it.
    public var passesDescriptors: Bool { conventions != [.standardInput] }
}
