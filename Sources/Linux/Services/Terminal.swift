import CSpawn
import Glibc
import SystemPackage

/// Terminals that services are connected to (`TTYPath=` and its siblings, systemd.exec(5)).
public enum Terminal {
    /// Opens a terminal for a service to read and write, or with O_WRONLY to write. O_NOCTTY: it must not become ours.
    public static func open(_ path: String, _ flags: Int32 = O_RDWR) throws(SystemError) -> OwnedDescriptor {
        // O_NONBLOCK: a serial line without a carrier would block us; cleared, because the service would inherit it.
        let terminal = try SafeFile.open(path, flags)
        guard isatty(terminal.raw) == 1 else { throw SystemError("open terminal", path, Errno(rawValue: ENOTTY)) }
        try terminal.setNonBlocking(false)
        return terminal
    }

    /// Gives the terminal to a user, as login(1) does: other users may write to it and not read.
    public static func give(_ terminal: borrowing OwnedDescriptor, _ path: String, to uid: UInt32) throws(SystemError) {
        try checkErrno(fchown(terminal.raw, uid, gid_t.max), "change owner of", path)
        try checkErrno(fchmod(terminal.raw, 0o620), "set mode of", path)
    }

    /// The changes to a terminal before and after a process.
    public struct Preparation: Sendable {
        public var hangsUp = false
        public var resets = false
        public var deallocates = false
        public var rows: UInt16?
        public var columns: UInt16?
        public init() {}
    }

    /// Applies the changes in systemd's order; those that this kind of terminal does not support are skipped.
    public static func prepare(_ path: String, _ preparation: Preparation) throws(SystemError) {
        if preparation.hangsUp {
            let terminal = try open(path)
            try check(holdfast_terminal_hangup(terminal.raw), "hang up", path)
        }
        // Opened again: the hang-up affects our own descriptor, too.
        if preparation.resets || preparation.rows != nil || preparation.columns != nil {
            let terminal = try open(path)
            if preparation.resets { reset(terminal) }
            if preparation.rows != nil || preparation.columns != nil {
                let (rows, columns) = (preparation.rows ?? 0, preparation.columns ?? 0)
                try check(holdfast_terminal_resize(terminal.raw, rows, columns), "set size of", path)
            }
        }
        if preparation.deallocates { deallocate(path) }
    }

    /// Restores the default settings of a terminal (termios(3)), with echo and line editing.
    private static func reset(_ terminal: borrowing OwnedDescriptor) {
        holdfast_terminal_text_mode(terminal.raw)
        var settings = termios()
        guard tcgetattr(terminal.raw, &settings) == 0 else { return }
        settings.c_iflag &= ~tcflag_t(IGNBRK | BRKINT | ISTRIP | INLCR | IGNCR | IUCLC)
        settings.c_iflag |= tcflag_t(ICRNL | IMAXBEL | IUTF8)
        settings.c_oflag |= tcflag_t(ONLCR | OPOST)
        settings.c_cflag |= tcflag_t(CREAD)
        settings.c_lflag = tcflag_t(ISIG | ICANON | IEXTEN | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE)
        withUnsafeMutableBytes(of: &settings.c_cc) { keys in
            let usual: [(Int32, UInt8)] = [
                (VINTR, 0x03), (VQUIT, 0x1C), (VERASE, 0x7F), (VKILL, 0x15), (VEOF, 0x04), (VSTART, 0x11),
                (VSTOP, 0x13), (VSUSP, 0x1A), (VLNEXT, 0x16), (VWERASE, 0x17), (VREPRINT, 0x12), (VEOL, 0), (VEOL2, 0),
                (VTIME, 0), (VMIN, 1),
            ]
            for (key, byte) in usual { keys[Int(key)] = byte }
        }
        tcsetattr(terminal.raw, TCSANOW, &settings)
        tcflush(terminal.raw, TCIOFLUSH)
    }

    /// Frees a virtual console; its screen and scrollback are lost.
    private static func deallocate(_ path: String) {
        guard path.hasPrefix("/dev/tty"), let number = Int32(path.dropFirst(8)), number > 0 else { return }
        if let console = try? OwnedDescriptor.open("/dev/tty0", O_RDWR | O_NOCTTY | O_NONBLOCK),
            holdfast_terminal_deallocate(console.raw, number) == 0
        {
            return
        }
        // The console is in use: at least its contents are cleared.
        if let terminal = try? open(path) { try? terminal.writeAll("\u{1B}[r\u{1B}[H\u{1B}[3J".utf8, subject: path) }
    }

    /// `$TERM` for programs connected to the terminal.
    public static func type(of path: String) -> String {
        var name = FileTree.name(of: path)
        if name == "console" {
            let active = HostFacts.text("/sys/class/tty/console/active") ?? ""
            name = active.split(whereSeparator: \.isWhitespace).last.map(String.init) ?? name
        }
        let isVirtual = name.hasPrefix("tty") && name.dropFirst(3).allSatisfy(\.isNumber)
        return isVirtual ? "linux" : "vt220"
    }
}
