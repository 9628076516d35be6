import Glibc

/// Turns a resize of the window into an event for `poll`, through a pipe, as ``Interrupts`` does for ^C.
enum Resizes {
    /// Proof for `nonisolated(unsafe)`: holdfastctl has a single thread; both are set once, before the handler is installed.
    private(set) nonisolated(unsafe) static var readEnd: CInt?
    fileprivate nonisolated(unsafe) static var writeEnd: CInt = -1

    static func install() {
        guard readEnd == nil else { return }
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { return }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        readEnd = ends[0]
        writeEnd = ends[1]
        signal(SIGWINCH) { _ in
            var byte: UInt8 = 0
            _ = write(Resizes.writeEnd, &byte, 1)
        }
    }

    static func clear() {
        guard let readEnd else { return }
        var bytes = [UInt8](repeating: 0, count: 64)
        while read(readEnd, &bytes, bytes.count) > 0 {}
    }
}

/// A terminal in raw mode: keys are read one by one without echo, for the lifetime of this value.
struct RawTerminal: ~Copyable {
    private let descriptor: CInt
    private let before: termios

    /// Switches to raw mode; nil if the descriptor is not a terminal.
    /// - Parameter signals: ^C stays a signal.
    static func enter(_ descriptor: CInt, signals: Bool = false) -> RawTerminal? {
        var mode = termios()
        guard tcgetattr(descriptor, &mode) == 0 else { return nil }
        let before = mode
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO | (signals ? 0 : ISIG) | IEXTEN)
        mode.c_iflag &= ~tcflag_t(ICRNL | IXON)
        withUnsafeMutableBytes(of: &mode.c_cc) { control in
            control[Int(VMIN)] = 1
            control[Int(VTIME)] = 0
        }
        guard tcsetattr(descriptor, TCSADRAIN, &mode) == 0 else { return nil }
        return RawTerminal(descriptor: descriptor, before: before)
    }

    deinit {
        var mode = before
        tcsetattr(descriptor, TCSADRAIN, &mode)
    }
}

/// Reads a line from a terminal with a ``LineEditor``.
struct LineReader {
    enum Line: Equatable {
        case text(String)
        case interrupted
        case end
    }

    /// Candidates for the words before the cursor.
    let candidates: ([String]) -> [String]

    func read(prompt: String, history: [String]) -> Line {
        guard let raw = RawTerminal.enter(STDIN_FILENO) else { return .end }
        defer { withExtendedLifetime(raw) {} }
        var editor = LineEditor(prompt: prompt, history: history)
        var decoder = KeyDecoder()
        draw(editor)
        while true {
            guard let keys = nextKeys(&decoder, editor) else { return .end }
            for key in keys {
                switch editor.handle(key) {
                case .edited, .refused: break
                case .accepted(let text):
                    finishLine(editor)
                    return .text(text)
                case .interrupted:
                    finishLine(editor, mark: "^C")
                    return .interrupted
                case .endOfInput:
                    finishLine(editor)
                    return .end
                case .completes:
                    let list = editor.complete(candidates(editor.wordsToCursor))
                    if !list.isEmpty { showCandidates(list, editor) }
                case .clearsScreen: emit("\u{1b}[H\u{1b}[2J")
                }
            }
            draw(editor)
        }
    }

    /// The next keys; nil at the end of the input.
    private func nextKeys(_ decoder: inout KeyDecoder, _ editor: LineEditor) -> [Key]? {
        while true {
            var entries = [
                pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0),
                pollfd(fd: Resizes.readEnd ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            // A lone escape is a key if no byte follows within this time, which allows for a slow line.
            let ready = poll(&entries, 2, decoder.waitsForMore ? 100 : -1)
            if ready == 0 { return decoder.flush() }
            guard ready > 0 else { continue }
            if entries[1].revents != 0 {
                Resizes.clear()
                draw(editor)
            }
            guard entries[0].revents != 0 else { continue }
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = Glibc.read(STDIN_FILENO, &bytes, bytes.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return nil }
            let keys = decoder.decode(bytes[..<count])
            if !keys.isEmpty { return keys }
        }
    }

    private func draw(_ editor: LineEditor) {
        let (text, column) = editor.rendering(width: Screen(descriptor: STDOUT_FILENO).width ?? 80)
        emit("\r\u{1b}[K\(text)\r" + (column > 0 ? "\u{1b}[\(column)C" : ""))
    }

    private func finishLine(_ editor: LineEditor, mark: String = "") {
        let (text, _) = editor.rendering(width: Screen(descriptor: STDOUT_FILENO).width ?? 80)
        emit("\r\u{1b}[K\(text)\(mark)\n")
    }

    /// Shows candidates below the line, in columns, and draws the line again below them.
    private func showCandidates(_ list: [String], _ editor: LineEditor) {
        let screen = Screen(descriptor: STDOUT_FILENO)
        finishLine(editor)
        let shown = list.prefix(200).map { Text.harmless($0) }
        emit(Text.inColumns(Array(shown), screen.width ?? 80).joined(separator: "\n") + "\n")
        if list.count > shown.count { emit("… \(list.count - shown.count) more\n") }
    }
}
