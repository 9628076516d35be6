import Glibc

/// The properties of the output that matter to the text.
struct Screen: Equatable {
    /// The width of the terminal in columns; nil if there is no terminal, and then no text is cut or wrapped.
    var width: Int?
    var color: Bool

    /// A file or pipe.
    static let plain = Screen(width: nil, color: false)

    /// The screen behind `descriptor`. Colours only on a terminal that supports them, and not with `NO_COLOR`
    /// (https://no-color.org).
    init(descriptor: CInt) {
        guard isatty(descriptor) == 1 else {
            self = .plain
            return
        }
        var size = winsize()
        let known = ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
        width = known ? Int(size.ws_col) : 80
        let terminal = environment("TERM") ?? "dumb"
        color = terminal != "dumb" && (environment("NO_COLOR") ?? "").isEmpty
    }

    init(width: Int?, color: Bool) {
        self.width = width
        self.color = color
    }

    enum Paint: String {
        case bold = "1"
        case dim = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case blue = "34"
        case magenta = "35"
        case cyan = "36"
    }

    func paint(_ text: String, _ paint: Paint?) -> String {
        guard color, let paint, !text.isEmpty else { return text }
        return "\u{1b}[\(paint.rawValue)m\(text)\u{1b}[0m"
    }
}

/// A variable of the environment; nil if it is not set.
func environment(_ name: String) -> String? {
    getenv(name).map { String(cString: $0) }
}

/// Writes the whole text to a descriptor. Errors (a closed pipe) are ignored: there is no better place to report them.
func emit(_ text: String, to descriptor: CInt = STDOUT_FILENO) {
    let bytes = Array(text.utf8)
    var sent = 0
    while sent < bytes.count {
        let count = bytes[sent...].withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 {
            if errno == EINTR { continue }
            return
        }
        sent += count
    }
}

/// Prints an error on standard error, with the program's name in front.
func printError(_ text: String) {
    // Wrapped here, because a terminal would break it within words.
    let lines = Text.wrapped("holdfastctl: \(text)", (Screen(descriptor: STDERR_FILENO).width ?? .max) - 4)
    emit(lines.joined(separator: "\n    ") + "\n", to: STDERR_FILENO)
}
