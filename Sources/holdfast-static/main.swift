import ArgumentParser
import Glibc
import StaticCore

/// A non-negative number of seconds.
struct Seconds: ExpressibleByArgument {
    let value: Double

    init(_ value: Double) {
        self.value = value
    }

    init?(argument: String) {
        guard let value = Double(argument), value >= 0, value.isFinite else { return nil }
        self.value = value
    }

    var defaultValueDescription: String { "\(value)" }
}

struct Misbehaviour: ParsableArguments {
    @Option(help: ArgumentHelp("Accept and say READY=1 only after this time.", valueName: "sec"))
    var readyDelay: Seconds?
    @Flag(help: "Never say READY=1.")
    var neverReady = false
    @Option(help: ArgumentHelp("Exit with this status at once.", valueName: "code"))
    var exitAtStart: Int32?
    @Option(help: ArgumentHelp("Abort after having been ready this long.", valueName: "sec"))
    var crashAfter: Seconds?
    @Flag(help: "Do nothing on SIGTERM.")
    var ignoreSigterm = false
    @Flag(help: "Answer /healthz with 503.")
    var unhealthy = false
    @Flag(help: "Start a `sleep infinity` in a session of its own, and leave it behind.")
    var forkGrandchild = false
    @Option(help: ArgumentHelp("Wait this long before each answer.", valueName: "sec"))
    var delay: Seconds?
    @Option(help: ArgumentHelp("Print this to standard error first.", valueName: "text"))
    var stderrLine: String?
}

struct HoldfastStatic: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holdfast-static",
        abstract: "Serve files over HTTP/1.1 on sockets that a supervisor passed.",
        discussion: """
            Takes the listening sockets of LISTEN_FDS, TCP and Unix; without any, binds --listen. Says READY=1 to \
            NOTIFY_SOCKET. /healthz answers 200 "ok". On SIGTERM it stops accepting, answers everything it has accepted \
            (the next answer on a connection that is kept alive says "Connection: close"), and exits 0.

            Exit status: 0 after draining, 1 if it cannot start, 64 for bad usage.
            """)

    @Option(help: ArgumentHelp("Serve the files beneath this directory. (default: .)", valueName: "dir"))
    var root: String?
    @Option(help: ArgumentHelp("Answer every path with this text instead.", valueName: "text"))
    var body: String?
    @Option(help: ArgumentHelp("Bind here if no socket was passed: ADDR:PORT, PORT or a path.", valueName: "addr"))
    var listen: String?
    @Option(help: ArgumentHelp("Event-loop threads.", valueName: "n"))
    var threads = 1
    @Option(help: ArgumentHelp("While draining, how long a connection may idle.", valueName: "sec"))
    var drainIdle = Seconds(2)
    @Option(help: ArgumentHelp("How long a connection may idle between requests.", valueName: "sec"))
    var keepAlive = Seconds(75)
    @Option(help: ArgumentHelp("How long a request may take to arrive.", valueName: "sec"))
    var requestTimeout = Seconds(10)
    @Flag(help: "Print every answer to standard error.")
    var verbose = false
    @OptionGroup(title: "Misbehaviour (for demonstrations and tests)")
    var misbehaviour: Misbehaviour

    func validate() throws {
        guard root == nil || body == nil else { throw ValidationError("--root and --body exclude each other") }
        guard 1...64 ~= threads else { throw ValidationError("--threads must be between 1 and 64") }
        guard listen == nil || listen.flatMap(ServerAddress.init) != nil else {
            throw ValidationError("cannot listen on \(listen ?? ""): neither ADDR:PORT nor PORT nor a path")
        }
    }

    func run() throws {
        do {
            try serve()
        } catch let error as StaticError {
            complain(error.description)
            throw ExitCode(1)
        }
    }

    private func serve() throws {
        if let line = misbehaviour.stderrLine { complain(line, prefixed: false) }
        if let status = misbehaviour.exitAtStart { throw ExitCode(status) }
        if misbehaviour.forkGrandchild { try leaveGrandchild() }
        // Blocked before the first thread starts, so that only `sigwait` below sees them, in every thread.
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGINT)
        pthread_sigmask(SIG_BLOCK, &signals, nil)

        let server = try StaticServer(configuration: settings)
        if let delay = misbehaviour.readyDelay {
            var time = timespec(
                tv_sec: Int(delay.value), tv_nsec: Int(delay.value.truncatingRemainder(dividingBy: 1) * 1e9))
            // A signal during this start-up ends it, as it ends a program that has not set up its handlers.
            if sigtimedwait(&signals, nil, &time) > 0, !misbehaviour.ignoreSigterm { return }
        }
        try openListeners(server)
        if !misbehaviour.neverReady { notify("READY=1\nSTATUS=serving") }
        if let after = misbehaviour.crashAfter {
            server.loop.scheduleTask(in: .nanoseconds(Int64(min(after.value, 1e9) * 1e9))) { abort() }
        }

        var signal: Int32 = 0
        repeat { sigwait(&signals, &signal) } while signal == SIGTERM && misbehaviour.ignoreSigterm
        notify("STOPPING=1\nSTATUS=draining, \(server.connections) connections left")
        try server.drain().wait()
    }

    private var settings: StaticConfiguration {
        var settings = StaticConfiguration(content: body.map { .text($0) } ?? .directory(root ?? "."))
        settings.threads = threads
        settings.verbose = verbose
        settings.healthy = !misbehaviour.unhealthy
        settings.answerDelay = misbehaviour.delay?.value ?? 0
        settings.keepAlive = keepAlive.value
        settings.drainIdle = drainIdle.value
        settings.requestTimeout = requestTimeout.value
        return settings
    }

    private func openListeners(_ server: StaticServer) throws {
        let passed = Inheritance.descriptors(environment: environment, pid: getpid())
        for descriptor in passed { try server.adopt(descriptor) }
        guard passed.isEmpty else { return }
        guard let address = listen.flatMap(ServerAddress.init) else {
            throw StaticError("no socket was passed (LISTEN_FDS) and --listen is not given")
        }
        try server.listen(address)
        if case .tcp(let host, 0) = address { complain("listening on \(host):\(server.localPort ?? 0)") }
    }

    /// Notifies the supervisor. A failure does not stop the server: the supervisor detects it by itself.
    private func notify(_ message: String) {
        do {
            try Notify.send(message, to: environment("NOTIFY_SOCKET"))
        } catch {
            complain(error.description)
        }
    }

    private func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    private func complain(_ text: String, prefixed: Bool = true) {
        let line = prefixed ? "holdfast-static: \(text)\n" : "\(text)\n"
        _ = Array(line.utf8).withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
    }

    /// Starts a process without a parent, in a session of its own, which a supervisor must find nevertheless.
    private func leaveGrandchild() throws(StaticError) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // POSIX_SPAWN_SETSID of <spawn.h>, which the Glibc module does not export.
        posix_spawnattr_setflags(&attributes, 0x80)
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sleep"), strdup("infinity"), nil]
        defer { for argument in arguments { free(argument) } }
        var pid: pid_t = 0
        // The child must not inherit the listening sockets: they are still open at this point, and not close-on-exec.
        let passed = Inheritance.descriptors(environment: environment, pid: getpid())
        for descriptor in passed { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        let result = posix_spawnp(&pid, "sleep", nil, &attributes, &arguments, environ)
        guard result == 0 else { throw StaticError("cannot start sleep: \(String(cString: strerror(result)))") }
    }
}

HoldfastStatic.main()
