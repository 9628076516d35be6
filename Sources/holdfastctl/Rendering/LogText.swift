import ControlProtocol
import Linux

/// Lines of captured output, formatted for people.
struct LogText {
    enum Format: String, CaseIterable {
        /// Time, unit, text.
        case short
        /// The text only.
        case cat
        /// One JSON object a line.
        case json
    }

    let format: Format
    let screen: Screen
    /// Whether each line names its unit: the lines are of several units.
    let showsUnit: Bool
    /// The width of the widest label so far: the column may grow while a log is followed, and never shrinks.
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

    /// Programs align their output with tabs.
    private static let kept: Set<Unicode.Scalar> = ["\t"]

    /// A line as `2026-01-02 03:04:05.678 app@v2#7 | text`; `!` marks standard error, `=` Holdfast's own remarks.
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

    /// The colour of a unit, always the same.
    private static func paint(_ unit: String) -> Screen.Paint {
        let sum = unit.utf8.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) }
        return [.cyan, .green, .magenta, .blue, .yellow][Int(sum % 5)]
    }

    /// The time in the local time zone, to the millisecond.
    static func localTime(_ time: String) -> String {
        guard let moment = LogTime.parse(time.utf8) else { return time }
        let milliseconds = moment / 1000 % 1000
        let text = String(milliseconds)
        return LocalTime.string(unixSeconds: moment / 1_000_000) + "." + String(repeating: "0", count: 3 - text.count)
            + text
    }
}
