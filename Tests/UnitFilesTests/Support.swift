import UnitFiles

/// A name that the test knows to be good.
func name(_ text: String) throws -> UnitName { try UnitName(text) }

let directory = "/etc/holdfast/units"

/// A loader over files in one directory (paths without `/` at the start stand in it).
func loader(
    _ files: [String: String], searchPath: [String] = [directory], failures: [String: UnitFileReadError] = [:],
    specifiers: SpecifierEnvironment = SpecifierEnvironment()
) -> UnitLoader {
    var absolute: [String: String] = [:]
    for (path, text) in files { absolute[path.hasPrefix("/") ? path : directory + "/" + path] = text }
    let source = InMemoryUnitFileSource(files: absolute, failures: failures)
    return UnitLoader(source: source, searchPath: searchPath, specifiers: specifiers)
}

/// Loads one unit from one text.
func load(_ unit: String, _ text: String) throws -> LoadedUnit {
    loader([try name(unit).identity.description: text]).load(try name(unit))
}

/// A service whose `[Service]` has `ExecStart=` and these lines.
func service(_ lines: String) throws -> LoadedUnit {
    try load("app.service", "[Service]\nExecStart=/bin/app\n" + lines)
}

func codes(_ diagnostics: [Diagnostic]) -> [DiagnosticCode] { diagnostics.map(\.code) }

/// The example of DESIGN.md, section 3.
enum Site {
    static let target = """
        [Unit]
        Wants=app@%i.service edge@%i.service

        [X-Swap]
        # The whole new generation must be ready by then, or it is rolled back.
        ReadyTimeoutSec=30s
        # Ready is not enough: it must stay alive and ready this long before cutover.
        SoakSec=5s
        # Then the kill signal, then SIGKILL.
        DrainTimeoutSec=60s
        """
    static let http = """
        # http.socket: public, shared by all generations
        [Socket]
        ListenStream=0.0.0.0:80
        FileDescriptorName=http
        Backlog=4096
        """
    static let appSocket = """
        [Socket]
        ListenStream=%t/site/app-%i.sock
        """
    static let app = """
        [Service]
        Type=notify
        EnvironmentFile=-/etc/site/%i.env
        ExecStart=/srv/site/%i/bin/server

        [X-Swap]
        # Asked on the private socket, so the answer is this generation's own.
        ReadyProbe=http app@%i.socket /healthz
        DrainSignal=SIGTERM
        """
    static let edge = """
        [Unit]
        # Starts after the backend, drains before it.
        After=app@%i.service

        [Service]
        Type=notify
        Sockets=http.socket
        # Exports UPSTREAM_APP, the address of this generation's app socket.
        X-Upstreams=app@%i.socket
        ExecStartPre=/usr/sbin/haproxy -c -q -f /srv/site/%i/haproxy.cfg
        ExecStart=/usr/sbin/haproxy -Ws -f /srv/site/%i/haproxy.cfg

        [X-Swap]
        DrainSignal=SIGUSR1
        """
    static let files = [
        "site@.target": target, "http.socket": http, "app@.socket": appSocket, "app@.service": app,
        "edge@.service": edge,
    ]
}

/// Random numbers that come again with the same seed (SplitMix64).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
