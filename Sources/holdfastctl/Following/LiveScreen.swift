import Glibc

/// The whole terminal, redrawn repeatedly; the previous contents are restored at the end.
final class LiveScreen {
    private let terminal: RawTerminal?

    /// Nil if there is no terminal to draw on: a pipe, a dumb terminal, `--json`.
    init?(_ session: Session) {
        guard session.output.width != nil, !session.json, (environment("TERM") ?? "dumb") != "dumb" else { return nil }
        Interrupts.install()
        Resizes.install()
        terminal = isatty(STDIN_FILENO) == 1 ? RawTerminal.enter(STDIN_FILENO, signals: true) : nil
        // Switches to the alternate screen and hides the cursor.
        emit("\u{1b}[?1049h\u{1b}[?25l")
    }

    deinit { emit("\u{1b}[?25h\u{1b}[?1049l") }

    /// Draws as many lines as fit. Overwrites the old lines instead of clearing the screen, to avoid flicker.
    func draw(_ lines: [String]) {
        let height = Self.height
        var shown = lines.prefix(height)
        if lines.count > height {
            shown = lines.prefix(max(1, height - 1)) + ["… \(lines.count - height + 1) more"]
        }
        emit("\u{1b}[H" + shown.map { $0 + "\u{1b}[K" }.joined(separator: "\n") + "\u{1b}[J")
    }

    private static var height: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 1 else { return 24 }
        return Int(size.ws_row)
    }

    /// The reason for the end of a wait.
    enum WaitResult { case elapsed, resized, readable, userEnded }

    /// Waits for `seconds`, or until ^C, q or a resize of the window.
    /// - Parameter descriptor: another descriptor whose readability ends the wait.
    static func wait(_ seconds: Double, keys: Bool, or descriptor: CInt = -1) -> WaitResult {
        let end = Clock.now() + seconds
        while true {
            let left = max(0, end - Clock.now())
            var entries = [
                pollfd(fd: Interrupts.readEnd ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: Resizes.readEnd ?? -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: keys && isatty(STDIN_FILENO) == 1 ? STDIN_FILENO : -1, events: Int16(POLLIN), revents: 0),
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            ]
            let ready = poll(&entries, 4, CInt((left * 1000).rounded(.up)))
            if ready == 0 { return .elapsed }
            guard ready > 0 else { continue }
            if entries[0].revents != 0 {
                Interrupts.clear()
                return .userEnded
            }
            if entries[2].revents != 0 {
                var byte: UInt8 = 0
                let count = read(STDIN_FILENO, &byte, 1)
                if count <= 0 || byte == UInt8(ascii: "q") || byte == 3 || byte == 4 { return .userEnded }
            }
            if entries[1].revents != 0 {
                Resizes.clear()
                return .resized
            }
            if entries[3].revents != 0 { return .readable }
        }
    }
}
