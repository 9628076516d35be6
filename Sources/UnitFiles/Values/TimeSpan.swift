/// A time limit that may be switched off.
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

/// Time spans as in systemd.time(7).
public enum TimeSpan {
    private static let microsecond: Int64 = 1
    private static let second: Int64 = 1_000_000
    private static let day: Int64 = 86_400 * second

    /// Month and year are fixed lengths. The manual page rounds a month to 30.44 days; systemd 252 takes a twelfth of a year
    /// (`systemd-analyze timespan 1M`), and so do we.
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

    /// Reads `5min 20s`, `2 h`, `1.5s`, `300ms20s`, `90` (seconds) or `infinity`.
    public static func parse(_ text: String) throws(ValueError) -> TimeLimit {
        if Ascii.trimmed(text) == "infinity" { return .infinite }
        return .after(.microseconds(try sum(text, units, bare: second)))
    }

    /// Reads `50us`, `1ms 500ns`, `50000`: nanoseconds, of which a bare number counts `unit` each.
    public static func parseNanoseconds(_ text: String, unit: Int64 = 1) throws(ValueError) -> UInt64 {
        UInt64(try sum(text, nanosecondUnits, bare: unit))
    }

    /// `units` and `bare`, the unit of a bare number, count in the same unit as the result.
    private static func sum(_ text: String, _ units: [String: Int64], bare: Int64) throws(ValueError) -> Int64 {
        let bytes = Array(text.utf8)
        var index = 0
        func skipSpace() { while index < bytes.count, Ascii.isSpace(bytes[index]) { index += 1 } }
        skipSpace()
        var total: Int64 = 0
        var seen = false
        while index < bytes.count {
            let start = index
            let digits = takeNumber(bytes, &index)
            guard let digits else {
                throw ValueError("expected a time span such as \"30s\", \"5min 20s\" or \"infinity\"", at: start)
            }
            skipSpace()
            let unitStart = index
            while index < bytes.count, Ascii.isLetter(bytes[index]) || bytes[index] >= 0x80 { index += 1 }
            let name = Ascii.string(bytes[unitStart..<index])
            guard let unit = name.isEmpty ? bare : units[name] else {
                throw ValueError(
                    "unknown unit of time \"\(name)\" (us, ms, s, min, h, d, w, month, y)", at: unitStart)
            }
            let whole = digits.whole.multipliedReportingOverflow(by: unit)
            let part = fraction(digits.fraction, of: unit)
            let sum = total.addingReportingOverflow(whole.partialValue)
            let full = sum.partialValue.addingReportingOverflow(part)
            guard !whole.overflow, !sum.overflow, !full.overflow else {
                throw ValueError("the time span is too long", at: start)
            }
            total = full.partialValue
            seen = true
            skipSpace()
        }
        guard seen else { throw ValueError("expected a time span such as \"30s\", \"5min 20s\" or \"infinity\"") }
        return total
    }

    /// As `parse`, where "no limit" has no sense.
    public static func parseFinite(_ text: String) throws(ValueError) -> Duration {
        guard case .after(let duration) = try parse(text) else {
            throw ValueError("expected a finite time span such as \"30s\"")
        }
        return duration
    }

    /// The shortest exact text: `1min 30s`, `500ms`, `0` (also for what is below zero).
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

    private static func takeNumber(_ bytes: [UInt8], _ index: inout Int) -> (whole: Int64, fraction: [UInt8])? {
        var whole: Int64 = 0
        var fraction: [UInt8] = []
        var count = 0
        while index < bytes.count, Ascii.isDigit(bytes[index]) {
            let product = whole.multipliedReportingOverflow(by: 10)
            let sum = product.partialValue.addingReportingOverflow(Int64(bytes[index] - 48))
            guard !product.overflow, !sum.overflow else { return nil }
            whole = sum.partialValue
            index += 1
            count += 1
        }
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

    private static func fraction(_ digits: [UInt8], of unit: Int64) -> Int64 {
        var scale = unit
        var sum: Int64 = 0
        for digit in digits.prefix(18) {
            // 10 * scale cannot overflow: the longest unit, a year in nanoseconds, has 17 digits.
            sum += scale * Int64(digit) / 10
            scale /= 10
        }
        return sum
    }
}
