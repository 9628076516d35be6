import ControlProtocol
import Linux

/// Lines of captured output as people see them.
struct LogText {
    enum Format: String, CaseIterable {
        /// Time, unit, text.
        case short
        /// Only the text.
        case cat
        /// An object a line.
        case json
    }

    let format: Format
    let screen: Screen
    /// Several units: each line says whose it is.
    let showsUnit: Bool
    /// As wide as the widest so far: columns may grow while one follows, and never shrink.
    private var labelWidth = 0

    init(_ format: Format, _ screen: Screen, showsUnit: Bool) {
        self.format = format
        self.screen = screen
        self.showsUnit = showsUnit
    }

    mutating func lines(_ lines: [LogLine]) -> String {
        if format == .short, showsUnit {
            labelWidth = lines.reduce(labelWidth) { max($0, Self.label($1).count) }
        }
        return lines.map { text($0) + "\n" }.joined()
    }

    private func text(_ line: LogLine) -> String {
        switch format {
        case .json: return line.json
        case .cat: return screen.width == nil ? line.text : Text.harmless(line.text, keep: Self.kept)
        case .short: return short(line)
        }
    }

    /// Tabs are what programs align with.
    private static let kept: Set<Unicode.Scalar> = ["\t"]

    /// `2026-01-02 03:04:05.678 app@v2#7 | text`; `!` for standard error, `=` for what Holdfast says.
    private func short(_ line: LogLine) -> String {
        let text = screen.width == nil ? line.text : Text.harmless(line.text, keep: Self.kept)
        var result = screen.paint(Self.localTime(line.time), .dim) + " "
        if showsUnit {
            let label = Text.padded(Text.harmless(Self.label(line)), labelWidth)
            result += screen.paint(label, Self.paint(line.unit)) + " "
        }
        switch line.stream {
        case "out": result += screen.paint("|", .dim) + " " + text
        case "err": result += screen.paint("!", .red) + " " + text
        default: result += screen.paint("= \(line.stream): " + text, .yellow)
        }
        return result
    }

    private static func label(_ line: LogLine) -> String {
        let name = line.unit.hasSuffix(".service") ? String(line.unit.dropLast(8)) : line.unit
        return line.generation.map { "\(name)#\($0)" } ?? name
    }

    /// Always the same for a unit, so that the eye finds it again.
    private static func paint(_ unit: String) -> Screen.Paint {
        let sum = unit.utf8.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }
        return [.cyan, .green, .magenta, .blue, .yellow][Int(sum % 5)]
    }

    /// As the reader's clock shows it, to the millisecond.
    static func localTime(_ time: String) -> String {
        guard let moment = LogTime.parse(time.utf8) else { return time }
        let milliseconds = moment / 1000 % 1000
        let text = String(milliseconds)
        return LocalTime.string(unixSeconds: moment / 1_000_000) + "." + String(repeating: "0", count: 3 - text.count)
            + text
    }
}
