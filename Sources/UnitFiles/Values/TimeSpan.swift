/// A time limit that may be turned off.
public enum TimeLimit: Sendable, Hashable, CustomStringConvertible {
    case after(Duration)
    /// No limit (`infinity`).
    case infinite

    /// The duration; nil if there is no limit.
    public var duration: Duration? {
        switch self {
        case .after(let duration): duration
        case .infinite: nil
        }
    }

    public var description: String {
        switch self {
        case .after(let duration): TimeSpan.format(duration)
        case .infinite: "infinity"
        }
    }
}

/// Parser and formatter of time spans (systemd.time(7)).
public enum TimeSpan {
    private static let microsecond: Int64 = 1
    private static let second: Int64 = 1_000_000
    private static let day: Int64 = 86_400 * second

    /// Units in microseconds. Month and year have fixed lengths. The manual page rounds a month to 30.44 days; systemd
    /// 252 uses a twelfth of a year (`systemd-analyze timespan 1M`), and so does Holdfast.
    private static let units: [String: Int64] = {
        var units: [String: Int64] = [:]
        func add(_ names: String, _ length: Int64) {
            for name in names.split(separator: " ") { units[String(name)] = length }
        }
        add("usec us \u{B5}s \u{3BC}s", microsecond)
        add("msec ms", 1000)
        add("seconds second sec s", second)
        add("minutes minute min m", 60 * second)
        add("hours hour hr h", 3600 * second)
        add("days day d", day)
        add("weeks week w", 7 * day)
        add("months month M", (365 * day + day / 4) / 12)
        add("years year y", 365 * day + day / 4)
        return units
    }()

    private static let nanosecondUnits: [String: Int64] = {
        var units = TimeSpan.units.mapValues { $0 * 1000 }
        units["nsec"] = 1
        units["ns"] = 1
        return units
    }()

    /// Parses `5min 20s`, `2 h`, `1.5s`, `300ms20s`, `90` (seconds) or `infinity`. A span too long for the clocks here
    /// is infinite.
    public static func parse(_ text: String) throws(ValueError) -> TimeLimit {
        if Ascii.trimmed(text) == "infinity" { return .infinite }
        let span = try sum(text, units, bare: second)
        return Int64(exactly: span).map { .after(.microseconds($0)) } ?? .infinite
    }

    /// Parses `50us`, `1ms 500ns`, `50000` as nanoseconds; a bare number counts `unit` nanoseconds each.
    public static func parseNanoseconds(_ text: String, unit: Int64 = 1) throws(ValueError) -> UInt64 {
        if Ascii.trimmed(text) == "infinity" { return .max }
        return try sum(text, nanosecondUnits, bare: unit)
    }

    /// Adds up the parts of a time span. `units` and `bare`, the value of a bare number, are in the unit of the result.
    private static func sum(_ text: String, _ units: [String: Int64], bare: Int64) throws(ValueError) -> UInt64 {
        let bytes = Array(text.utf8)
        var index = 0
        func skipSpace() { while index < bytes.count, Ascii.isSpace(bytes[index]) { index += 1 } }
        skipSpace()
        var total: UInt64 = 0
        var seen = false
        while index < bytes.count {
            let start = index
            guard let digits = readNumber(bytes, &index) else {
                throw ValueError("expected a time span such as \"30s\", \"5min 20s\" or \"infinity\"", at: start)
            }
            let end = index
            skipSpace()
            let unitStart = index
            while index < bytes.count, Ascii.isLetter(bytes[index]) || bytes[index] >= 0x80 { index += 1 }
            let name = Ascii.string(bytes[unitStart..<index])
            guard let unit = name.isEmpty ? bare : units[name] else {
                throw ValueError(
                    "unknown unit of time \"\(name)\" (us, ms, s, min, h, d, w, month, y)", at: unitStart)
            }
            guard index > end || index == bytes.count else {
                throw ValueError("expected a unit of time or a space", at: end)
            }
            let whole = digits.whole.multipliedReportingOverflow(by: UInt64(unit))
            let part = fraction(digits.fraction, of: UInt64(unit))
            let sum = total.addingReportingOverflow(whole.partialValue)
            let full = sum.partialValue.addingReportingOverflow(part)
            let isTooLong = digits.whole >= UInt64.max / UInt64(unit) || whole.overflow || sum.overflow || full.overflow
            guard !isTooLong, full.partialValue != .max else {
                throw ValueError("the time span is too long", at: start)
            }
            total = full.partialValue
            seen = true
            skipSpace()
        }
        guard seen else { throw ValueError("expected a time span such as \"30s\", \"5min 20s\" or \"infinity\"") }
        return total
    }

    /// Like `parse`, but limits the result, also `infinity`, to a century. That makes no practical difference, and the
    /// result can be added to any instant.
    public static func parseLong(_ text: String) throws(ValueError) -> Duration {
        let century = Duration.seconds(3_155_760_000)
        return min(try parse(text).duration ?? century, century)
    }

    /// Like `parse`, for values that cannot be unlimited.
    public static func parseFinite(_ text: String) throws(ValueError) -> Duration {
        guard case .after(let duration) = try parse(text) else {
            throw ValueError("expected a finite time span such as \"30s\"")
        }
        return duration
    }

    /// The shortest exact text: `1min 30s`, `500ms`; `0` also for negative durations.
    public static func format(_ duration: Duration) -> String {
        let parts = duration.components
        let whole = parts.seconds.multipliedReportingOverflow(by: second)
        let sum = whole.partialValue.addingReportingOverflow(parts.attoseconds / 1_000_000_000_000)
        if whole.overflow || sum.overflow { return parts.seconds < 0 ? "0" : "infinity" }
        var left = sum.partialValue
        if left <= 0 { return "0" }
        var words: [String] = []
        for (name, length) in [("w", 7 * day), ("d", day), ("h", 3600 * second), ("min", 60 * second), ("s", second)] {
            if left / length > 0 { words.append("\(left / length)\(name)") }
            left %= length
        }
        if left / 1000 > 0 { words.append("\(left / 1000)ms") }
        if left % 1000 > 0 { words.append("\(left % 1000)us") }
        return words.joined(separator: " ")
    }

    /// Reads a decimal number with an optional plus sign; as with strtoll(3), its integer part has at most 63 bits.
    private static func readNumber(_ bytes: [UInt8], _ index: inout Int) -> (whole: UInt64, fraction: [UInt8])? {
        var whole: UInt64 = 0
        var fraction: [UInt8] = []
        var count = 0
        let hasSign = index < bytes.count && bytes[index] == UInt8(ascii: "+")
        if hasSign { index += 1 }
        while index < bytes.count, Ascii.isDigit(bytes[index]) {
            let product = whole.multipliedReportingOverflow(by: 10)
            let sum = product.partialValue.addingReportingOverflow(UInt64(bytes[index] - 48))
            guard !product.overflow, !sum.overflow, sum.partialValue <= Int64.max else { return nil }
            whole = sum.partialValue
            index += 1
            count += 1
        }
        if count == 0, hasSign { return nil }
        if index < bytes.count, bytes[index] == UInt8(ascii: ".") {
            index += 1
            while index < bytes.count, Ascii.isDigit(bytes[index]) {
                fraction.append(bytes[index] - 48)
                index += 1
            }
            if fraction.isEmpty { return nil }
        }
        return count == 0 && fraction.isEmpty ? nil : (whole, fraction)
    }

    private static func fraction(_ digits: [UInt8], of unit: UInt64) -> UInt64 {
        var scale = unit
        var sum: UInt64 = 0
        for digit in digits.prefix(20) {
            scale /= 10
            sum += scale * UInt64(digit)
        }
        return sum
    }
}
