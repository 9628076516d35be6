import ArgumentParser
import Glibc
import ProbeCore

struct HoldfastProbe: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holdfast-probe",
        abstract: "Ask for a URL again and again, show the bodies, and count every request that was lost.",
        discussion: """
            Shows the beginning of each body as a strip (V1V1V2…; `!` is a lost request), then counts and latencies. It is \
            a strict client: a request is never repeated, not even one that met a kept connection as it was closed. \
            Without -d and -n it runs until ^C, which lets requests in flight end.

            URLs: http://HOST:PORT/PATH, http+unix:///PATH/OF/SOCKET/REQUEST/PATH.

            Exit status: 0 if nothing was lost, 1 if something was (or nothing could be sent), 2 for bad usage.
            """)

    @Option(name: [.customShort("c"), .long], help: ArgumentHelp("Clients that ask at the same time.", valueName: "n"))
    var connections = 1
    @Option(name: [.customShort("d"), .long], help: ArgumentHelp("Stop after this time.", valueName: "sec"))
    var duration: Double?
    @Option(name: [.customShort("n"), .long], help: ArgumentHelp("Stop after so many requests.", valueName: "n"))
    var requests: Int?
    @Flag(name: [.customShort("k"), .long], help: "One connection per client, not one per request.")
    var keepAlive = false
    @Option(
        help: ArgumentHelp(
            "Requests per second over all clients; latency then counts from when each was due. With --keep-alive a "
                + "client must not idle longer than the server permits.", valueName: "r"))
    var rate: Double?
    @Option(help: ArgumentHelp("A request without an answer by then is lost.", valueName: "sec"))
    var timeout = 5.0
    @Option(help: ArgumentHelp("Connect to this Unix socket, whatever the URL's host.", valueName: "path"))
    var unix: String?
    @Flag(help: "Print one JSON object instead; the strip goes to a terminal on standard error, or nowhere.")
    var json = false
    @Flag(help: "No strip.")
    var noStrip = false
    @Flag(help: "Every answer in the strip, not a sample of 100 per second (with --json to standard error).")
    var stripAll = false
    @Option(help: ArgumentHelp("How much of a body is shown and told apart, in bytes.", valueName: "n"))
    var token = 8
    @Option(help: ArgumentHelp("Append a CSV row per 100 ms to this file.", valueName: "file"))
    var windows: String?
    @Argument(help: ArgumentHelp("What to ask for.", valueName: "url"))
    var url: String

    func validate() throws {
        func check(_ isGood: Bool, _ message: String) throws {
            guard isGood else { throw ValidationError(message) }
        }
        try check(1...10_000 ~= connections, "-c must be between 1 and 10000")
        try check(duration.map { $0 > 0 && $0.isFinite } ?? true, "-d must be more than 0 seconds")
        try check(requests.map { $0 > 0 } ?? true, "-n must be more than 0")
        try check(rate.map { $0 > 0 && $0 <= 1e6 } ?? true, "--rate must be between 0 and 1000000")
        try check(timeout > 0 && timeout.isFinite, "--timeout must be more than 0 seconds")
        try check(1...64 ~= token, "--token must be between 1 and 64")
    }

    func run() throws {
        let loop: Loop
        let settings: ProbeConfiguration
        do {
            settings = try makeSettings()
            loop = try Loop(settings)
        } catch let error as ProbeError {
            Self.print("holdfast-probe: \(error)\n", to: 2)
            throw ExitCode(2)
        }
        let (tally, seconds) = loop.run()
        if json {
            Self.print(tally.json(seconds: seconds, configuration: settings) + "\n", to: 1)
        } else {
            Self.print((settings.stripDescriptor == nil ? "" : "\n") + tally.summary(seconds: seconds), to: 1)
        }
        if tally.exitStatus != 0 { throw ExitCode(tally.exitStatus) }
    }

    private func makeSettings() throws -> ProbeConfiguration {
        let target = try Target(url: url, unixPath: unix) { path in
            var information = stat()
            return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFSOCK
        }
        var settings = ProbeConfiguration(target: target)
        settings.clients = connections
        settings.duration = duration
        settings.requests = requests
        settings.keepAlive = keepAlive
        settings.rate = rate
        settings.timeout = timeout
        settings.stripAll = stripAll
        settings.tokenLength = token
        settings.windowsPath = windows
        if !noStrip { settings.stripDescriptor = json ? (stripAll || isatty(2) == 1 ? 2 : nil) : 1 }
        return settings
    }

    private static func print(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }
}

// ArgumentParser's status for a usage error is 64; this program documents 2.
do {
    var command = try HoldfastProbe.parseAsRoot()
    try command.run()
} catch {
    let code = HoldfastProbe.exitCode(for: error)
    guard code == .validationFailure else { HoldfastProbe.exit(withError: error) }
    let text = HoldfastProbe.fullMessage(for: error) + "\n"
    _ = Array(text.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    exit(2)
}
