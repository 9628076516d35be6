import ControlProtocol
import Foundation
import Synchronization
import Testing

/// A directory with units, releases and a supervisor. `withWorld` makes it, ends it, and checks that nothing is left.
final class World {
    let path: String
    private(set) var daemon: Program
    private let notifications: NotificationSocket
    let isUser: Bool
    private let program: String
    private let arguments: [String]

    static let binaries: String = {
        let environment = ProcessInfo.processInfo.environment
        if let directory = environment["HOLDFAST_E2E_BIN"] { return directory }
        // The test bundle is beside the programs: debug or release, in any build directory.
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? "/proc/self/exe"
        let url = URL(fileURLWithPath: bundle).resolvingSymlinksInPath()
        return url.deletingLastPathComponent().path
    }()

    var units: String { path + "/units" }
    var runtime: String { path + "/run/holdfast" }
    var state: String { path + "/state" }
    var logs: String { path + "/log" }
    var controlSocket: String { runtime + "/io.holdfast" }
    /// The default public port of `site` and of plain units.
    let port: Int
    var url: String { "http://127.0.0.1:\(port)/" }

    /// - Parameter privateProgram: the supervisor is a separate copy, `bin/holdfastd`, that a test may replace.
    fileprivate init(_ layOut: (World.Layout) throws -> Void, arguments: [String], privateProgram: Bool) throws {
        // Short, because a Unix socket's path has at most 107 bytes.
        var template = Array("/tmp/hf-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw WaitedInVain(what: "a scratch directory") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        port = try freePort()
        isUser = !supervisorIsRoot
        let layout = Layout(path: path, port: port)
        for name in ["units", "releases", "run", "run/site", "state", "log", "out"] { try layout.makeDirectory(name) }
        chmod(path, 0o755)
        try layOut(layout)
        notifications = try NotificationSocket(path + "/notify")
        if let otherUser { _ = try Program.run("chown", ["-R", otherUser, path]) }
        self.arguments = arguments
        let installed = "\(Self.binaries)/holdfastd"
        program = privateProgram ? path + "/bin/holdfastd" : installed
        if privateProgram {
            try layout.makeDirectory("bin")
            try FileManager.default.copyItem(atPath: installed, toPath: program)
        }
        daemon = try Self.spawn(program, path, arguments, isUser: isUser)
        try ready()
    }

    private static func spawn(
        _ program: String, _ path: String, _ arguments: [String], isUser: Bool, under wrapper: [String] = []
    ) throws -> Program {
        // When a test run is killed, its supervisors end with it, and their services with them.
        var command = ["--pdeathsig", "TERM"]
        // A separate /etc/group, in a mount namespace of its own.
        if FileManager.default.fileExists(atPath: path + "/group") {
            let script = "mount --bind \"$0\" /etc/group && exec \"$@\""
            command += ["unshare", "--mount", "sh", "-c", script, path + "/group"]
        }
        // A host without control groups (`Layout.hideControlGroups`).
        if FileManager.default.fileExists(atPath: path + "/no-cgroups") {
            command += ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /sys/fs/cgroup && exec \"$0\" \"$@\""]
        }
        if let otherUser { command += ["--reuid", otherUser, "--regid", "nogroup", "--clear-groups"] }
        command += wrapper + [program, "--verbose"] + (isUser ? ["--user"] : [])
        command += ["--units", path + "/units", "--runtime-dir", path + "/run/holdfast"]
        command += ["--state-dir", path + "/state", "--log-dir", path + "/log"] + arguments
        let environment = [
            "NOTIFY_SOCKET": path + "/notify", "HOME": path, "XDG_RUNTIME_DIR": path + "/run",
            "XDG_CONFIG_HOME": path + "/config", "XDG_STATE_HOME": path + "/state",
        ]
        return try Program("setpriv", command, environment: environment)
    }

    private func ready() throws {
        World.current.withLock { [daemon] in $0 = (daemon, 0) }
        try notifications.awaitLine("READY=1", from: daemon)
    }

    /// Sends SIGKILL to the supervisor only; returns after its end.
    func crash() throws {
        daemon.watched.kill()
        try daemon.watched.awaitEnd()
    }

    /// Starts another supervisor process with the same arguments.
    func startAgain() throws {
        try beginAgain()
        try ready()
    }

    /// Starts another supervisor process without waiting for readiness, which it may never reach.
    /// - Parameter wrapper: a program that executes the supervisor, with its arguments.
    func beginAgain(under wrapper: [String] = []) throws {
        daemon = try Self.spawn(program, path, arguments, isUser: isUser, under: wrapper)
    }

    /// Discards notifications of supervisors that were killed since.
    func forgetNotifications() { notifications.drop() }

    /// Waits until the supervisor reports readiness once more.
    func awaitReady() throws { try notifications.awaitLine("READY=1", from: daemon) }

    /// Shuts the supervisor down, and starts another one: as at a boot of the host, except for /run.
    func restart() throws {
        #expect(try control("shutdown").end() == 0)
        #expect(try daemon.end() == 0, "the supervisor's exit status")
        daemon = try Self.spawn("\(Self.binaries)/holdfastd", path, [], isUser: isUser)
        try ready()
    }

    // MARK: - The log, shown with failures

    private static let current = Mutex<(program: Program, told: Int)?>(nil)

    /// The log of the running test's supervisor since the last call; nil if there is none.
    static func takeLog() -> String? {
        current.withLock { current in
            guard let (program, told) = current else { return nil }
            let text = program.errorText
            current = (program, text.count)
            return text.count > told ? String(text.dropFirst(told)) : nil
        }
    }

    /// Waits until the supervisor has logged a text: its standard error is read a moment after it was written.
    func awaitLog(_ text: String, times: Int = 1) throws {
        _ = try daemon.waitFor(text) { _, log in
            String(decoding: log, as: UTF8.self).components(separatedBy: text).count > times ? true : nil
        }
    }

    // MARK: - Operating

    var environment: [String: String] { ["HOLDFAST_SOCKET": controlSocket] }

    /// Runs holdfastctl to its end.
    func control(_ arguments: String...) throws -> Program {
        try Program.run("\(Self.binaries)/holdfastctl", arguments, environment: environment)
    }

    /// Begins an operation (`swap`, `stop`, …), whose progress can be read.
    func begin(_ arguments: String...) throws -> Operation { try Operation(arguments, in: self) }

    /// Runs an operation from its beginning to its end.
    @discardableResult
    func run(_ arguments: String...) throws -> Ended { try Operation(arguments, in: self).end() }

    private func ask<R: Decodable>(_ arguments: [String], _: R.Type) throws -> R {
        let program = try Program.run(
            "\(Self.binaries)/holdfastctl", arguments + ["--json"], environment: environment)
        return try JSONDecoder().decode(R.self, from: Data(program.outputText.utf8))
    }

    func status(_ names: String...) throws -> [UnitStatus] { try ask(["status"] + names, StatusReply.self).units }
    func history() throws -> [HistoryEntry] { try ask(["history"], HistoryReply.self).entries }
    func sockets() throws -> [SocketStatus] { try ask(["sockets"], SocketsReply.self).sockets }

    /// The existing generations of a unit, newest first.
    func generations(_ name: String) throws -> [GenerationStatus] {
        try ask(["generations", name], GenerationsReply.self).units.flatMap(\.generations)
    }

    /// The main process of a service in the newest generation that has it.
    func mainPid(_ unit: String) throws -> Int {
        let services = try status().flatMap(\.generations).flatMap(\.services)
        guard let pid = services.first(where: { $0.unit == unit })?.mainPid else {
            throw WaitedInVain(what: "a main process of \(unit)")
        }
        return pid
    }

    // MARK: - Observation from outside

    /// Every process that the supervisor started here, and their descendants.
    func processes() -> [ProcessEntry] {
        let mark = path + "/run/holdfast/"
        return ProcessEntry.all.filter { entry in
            entry.pid != daemon.pid && !entry.isDead
                && (entry.environment["GENERATION_DIRECTORY"]?.hasPrefix(mark) ?? false)
        }
    }

    func processes(generation: Int) -> [ProcessEntry] {
        processes().filter { $0.environment["GENERATION"] == "\(generation)" }
    }

    /// Children of the supervisor that were not reaped.
    func zombies() -> [ProcessEntry] { ProcessEntry.all.filter { $0.parent == daemon.pid && $0.isDead } }

    func filesBelow(_ directory: String) -> [String] {
        let found = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return found.filter { name in
            var isDirectory: ObjCBool = false
            // A path that was removed meanwhile does not count.
            guard FileManager.default.fileExists(atPath: "\(directory)/\(name)", isDirectory: &isDirectory) else {
                return false
            }
            return !isDirectory.boolValue
        }
    }

    func contents(_ file: String) -> String? { try? String(contentsOfFile: "\(path)/\(file)", encoding: .utf8) }

    func layout() -> Layout { Layout(path: path, port: port) }

    // MARK: - The end

    /// Shuts down, and checks that nothing is left.
    fileprivate func end() throws {
        try eventually("the supervisor to have waited for all of its children") { zombies().isEmpty }
        if !daemon.watched.hasEnded {
            let shutdown = try control("shutdown")
            #expect(try shutdown.end() == 0, "holdfastctl shutdown: \(shutdown.errorText)")
        }
        #expect(try daemon.end() == 0, "the supervisor's exit status")
        #expect(processes().map(\.description) == [], "no process may outlive the supervisor")
        // flock(2) uses the lock file, which is never removed: unlinking it would let two supervisors lock two files.
        let left = filesBelow(path + "/run").filter { $0 != "holdfast/lock" }
        #expect(left == [], "no file may be left in the runtime directory")
        let generations = try? FileManager.default.contentsOfDirectory(atPath: runtime + "/generations")
        let directories = (generations ?? []).flatMap { group in
            (try? FileManager.default.contentsOfDirectory(atPath: "\(runtime)/generations/\(group)")) ?? []
        }
        #expect(directories == [], "no generation's directory may be left")
        #expect(controlGroups() == [], "no cgroup may be left")
    }

    /// Directories of cgroup v2 that have this world's name, deepest first.
    private func controlGroups() -> [String] {
        let mark = (path as NSString).lastPathComponent.split(separator: "-").last.map(String.init) ?? path
        return ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].flatMap { root -> [String] in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
            return names.filter { $0.hasPrefix("holdfast-") && $0.contains(mark) }.flatMap { name -> [String] in
                let group = "\(root)/\(name)"
                let below = (try? FileManager.default.contentsOfDirectory(atPath: group)) ?? []
                return below.map { "\(group)/\($0)" }.filter { isDirectory($0) } + [group]
            }
        }
    }

    /// Control groups of services and commands.
    func controlGroupsOfTrees() -> [String] { controlGroups().filter { !$0.hasSuffix("run-holdfast") } }

    /// Removes control groups that the supervisor of a test does not know.
    func removeLeftControlGroups() { for group in controlGroups() { rmdir(group) } }

    private func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    fileprivate func destroy() {
        World.current.withLock { $0 = nil }
        daemon.killIfAlive()
        for process in processes() { kill(pid_t(process.pid), SIGKILL) }
        removeLeftControlGroups()
        if ProcessInfo.processInfo.environment["HOLDFAST_E2E_KEEP"] == nil {
            try? FileManager.default.removeItem(atPath: path)
        }
    }
}

/// Makes a world for one test. After `body` the supervisor is shut down, and nothing of it may be left.
func withWorld(
    arguments: [String] = [], privateProgram: Bool = false, _ layOut: (World.Layout) throws -> Void,
    then body: (World) throws -> Void
) throws {
    let world = try World(layOut, arguments: arguments, privateProgram: privateProgram)
    defer { world.destroy() }
    do {
        try body(world)
        try world.end()
    } catch {
        // Recorded here and not by the test, so that the log of this world can still be shown.
        Issue.record(error)
    }
}

/// A TCP port of 127.0.0.1 without a listener a moment ago.
func freePort() throws -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let port: Int? = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
            guard bind(descriptor, raw, length) == 0, getsockname(descriptor, raw, &length) == 0 else { return nil }
            return Int(UInt16(bigEndian: pointer.pointee.sin_port))
        }
    }
    guard let port else { throw WaitedInVain(what: "a free port") }
    return port
}
