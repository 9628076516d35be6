import Foundation
import Glibc

// In glibc, but not in the Glibc module.
private let addCloseFrom = unsafeBitCast(
    dlsym(nil, "posix_spawn_file_actions_addclosefrom_np"),
    to: (@convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32).self)

/// holdfastctl in a terminal of its own.
final class PseudoTerminal {
    private let master: CInt
    private var pid: pid_t = 0
    private var isOver = false
    private(set) var output = ""
    /// The position after the last text found, where the next search begins.
    private var seen: String.Index

    struct Missing: Error, CustomStringConvertible {
        var what: String
        var output: String
        var description: String { "waited in vain for \(what.debugDescription) in \(output.debugDescription)" }
    }

    init(
        _ arguments: [String], program: String = Program.path, environment: [String: String] = [:],
        columns: UInt16 = 80
    ) throws {
        master = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        seen = output.startIndex
        // TIOCSPTLCK and TIOCGPTN of ioctl_tty(2); unlockpt(3) and ptsname(3) are hidden behind _XOPEN_SOURCE.
        var (lock, number): (CInt, CUnsignedInt) = (0, 0)
        guard master >= 0, ioctl(master, 0x4004_5431, &lock) == 0, ioctl(master, 0x8004_5430, &number) == 0 else {
            throw POSIXError(.ENXIO)
        }
        let name = "/dev/pts/\(number)"
        _ = fcntl(master, F_SETFD, FD_CLOEXEC)
        resize(columns)
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for descriptor in CInt(0)...2 { posix_spawn_file_actions_addopen(&actions, descriptor, name, O_RDWR, 0) }
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        _ = addCloseFrom(&actions, 3)
        // ^C is a signal only in a session with this terminal.
        var argv = (["setsid", "--ctty", "--wait", program] + arguments).map { strdup($0) } + [nil]
        let variables = ["PATH": "/usr/bin:/bin", "TZ": "UTC", "TERM": "xterm", "NO_COLOR": "1"]
            .merging(environment) { $1 }
        var envp = variables.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for text in argv + envp { free(text) } }
        guard posix_spawn(&pid, "/usr/bin/setsid", &actions, &attributes, &argv, &envp) == 0 else {
            throw POSIXError(.ENOEXEC)
        }
    }

    deinit {
        kill(pid, SIGKILL)
        close(master)
    }

    func resize(_ columns: UInt16) {
        var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    }

    func type(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(master, $0.baseAddress, $0.count) }
    }

    /// Reads until `text` has arrived after the text found before.
    func expect(_ text: String) throws {
        while true {
            if let found = output[seen...].range(of: text) {
                seen = found.upperBound
                return
            }
            guard receive() else { throw Missing(what: text, output: String(output[seen...].suffix(600))) }
        }
    }

    /// Reads once; false at the end, or after the time limit.
    private func receive() -> Bool {
        var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
        guard poll(&entry, 1, 30_000) > 0 else { return false }
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = read(master, &bytes, bytes.count)
        // EIO is the end: no process has the other side open.
        guard count > 0 else {
            isOver = true
            return false
        }
        let offset = output.distance(from: output.startIndex, to: seen)
        output += String(decoding: bytes[..<count], as: UTF8.self)
        seen = output.index(output.startIndex, offsetBy: offset)
        return true
    }

    /// The exit status after its end; the program is killed if it does not end.
    func end() -> CInt {
        while receive() {}
        if !isOver { kill(pid, SIGKILL) }
        var status: CInt = 0
        guard waitpid(pid, &status, 0) == pid else { return -1 }
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
    }
}
