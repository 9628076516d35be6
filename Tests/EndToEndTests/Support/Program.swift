import Foundation
import Glibc
import Testing

// In glibc, but not in the Glibc module.
private let pidfdOpen = unsafeBitCast(
    dlsym(nil, "pidfd_open"), to: (@convention(c) (pid_t, UInt32) -> Int32).self)
private let addCloseFrom = unsafeBitCast(
    dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"),
    to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)

/// A process observed through a pidfd: it cannot be mistaken for a later one with the same number.
final class Watched {
    let pid: pid_t
    let descriptor: Int32

    init(_ pid: Int) throws {
        self.pid = pid_t(pid)
        descriptor = pidfdOpen(pid_t(pid), 0)
        guard descriptor >= 0 else { throw WaitedInVain(what: "process \(pid), which is gone already") }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }

    deinit { close(descriptor) }

    /// Whether it has ended, perhaps as a zombie.
    var hasEnded: Bool { awaitsEnd(milliseconds: 0) }

    private func awaitsEnd(milliseconds: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&entry, 1, milliseconds) > 0
    }

    func awaitEnd() throws {
        guard awaitsEnd(milliseconds: Int32(patience * 1000)) else {
            throw WaitedInVain(what: "the end of process \(pid)")
        }
    }

    func kill(_ signal: Int32 = SIGKILL) { _ = Glibc.kill(pid, signal) }
}

/// A program that a test has started. Two threads read its output, so that it never waits for the test.
/// `@unchecked`: all mutable state is read and written with `condition` locked.
final class Program: @unchecked Sendable {
    let name: String
    let watched: Watched
    private let condition = NSCondition()
    private var output: [UInt8] = []
    private var errors: [UInt8] = []
    private var openStreams = 2
    private var status: Int32?

    var pid: Int { Int(watched.pid) }

    init(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws {
        name = ([path] + arguments).joined(separator: " ")
        let out = try Self.pipe()
        let err = try Self.pipe()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out.write, 1)
        posix_spawn_file_actions_adddup2(&actions, err.write, 2)
        _ = addCloseFrom(&actions, 3)
        // The test runner's threads may block signals; a program starts with none blocked.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
            close(out.write)
            close(err.write)
        }
        var argv = ([path] + arguments).map { strdup($0) } + [nil]
        var base = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        base.merge(environment) { $1 }
        var envp = base.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        var pid = pid_t()
        let failure = posix_spawnp(&pid, path, &actions, &attributes, &argv, &envp)
        guard failure == 0 else {
            close(out.read)
            close(err.read)
            throw WaitedInVain(what: "\(name): \(String(cString: strerror(failure)))")
        }
        watched = try Watched(Int(pid))
        read(out.read) { $0.output += $1 }
        read(err.read) { $0.errors += $1 }
    }

    private static func pipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { throw WaitedInVain(what: "a pipe") }
        // Not close-on-exec at creation, but `init` starts every program here, with no descriptor above 2.
        return (ends[0], ends[1])
    }

    private func read(_ descriptor: Int32, _ take: @escaping @Sendable (Program, ArraySlice<UInt8>) -> Void) {
        let thread = Thread {
            var buffer = [UInt8](repeating: 0, count: 1 << 16)
            while true {
                let count = Glibc.read(descriptor, &buffer, buffer.count)
                if count < 0, errno == EINTR { continue }
                self.condition.lock()
                if count > 0 { take(self, buffer[..<count]) } else { self.openStreams -= 1 }
                self.condition.broadcast()
                self.condition.unlock()
                if count <= 0 { break }
            }
            close(descriptor)
        }
        thread.start()
    }

    var outputText: String { locked { String(decoding: output, as: UTF8.self) } }
    var errorText: String { locked { String(decoding: errors, as: UTF8.self) } }
    var outputLines: [String] { outputText.split(separator: "\n").map(String.init) }
    var errorCount: Int { locked { errors.count } }

    private func locked<T>(_ body: () -> T) -> T {
        condition.lock()
        defer { condition.unlock() }
        return body()
    }

    /// Waits until `found` returns a value for the standard output and error so far.
    func waitFor<T>(_ what: String, in found: (_ output: [UInt8], _ errors: [UInt8]) -> T?) throws -> T {
        let end = Date().addingTimeInterval(patience)
        condition.lock()
        defer { condition.unlock() }
        while true {
            if let value = found(output, errors) { return value }
            guard openStreams > 0, condition.wait(until: end) else {
                let text = String(decoding: output + errors, as: UTF8.self).suffix(2000)
                throw WaitedInVain(what: "\(what) from \(name): \(text)")
            }
        }
    }

    func send(_ signal: Int32) { watched.kill(signal) }

    /// The exit status, or 128 + signal if it was killed, after it has ended and all of its output has been read.
    @discardableResult
    func end() throws -> Int32 {
        if let status { return status }
        try watched.awaitEnd()
        var raw: Int32 = 0
        guard waitpid(watched.pid, &raw, 0) == watched.pid else { throw WaitedInVain(what: "the status of \(name)") }
        let code = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
        status = code
        let end = Date().addingTimeInterval(patience)
        condition.lock()
        defer { condition.unlock() }
        while openStreams > 0, condition.wait(until: end) {}
        return code
    }

    /// Kills the program at the end of a failed test.
    func killIfAlive() {
        guard status == nil else { return }
        watched.kill()
        _ = try? end()
    }

    /// Runs a program to its end.
    static func run(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws -> Program {
        let program = try Program(path, arguments, environment: environment)
        try program.end()
        return program
    }
}
