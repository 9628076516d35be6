import Glibc
import Linux
import UnitFiles

/// The conditions that a line must meet to be shown.
struct LogFilter {
    /// Microseconds since 1970; the second bound is excluded.
    var since: Int64?
    var until: Int64?
    var generation: Int?
    var stream: String?
    var pattern: RegularExpression?

    func admits(_ line: LogLine) -> Bool {
        if let generation, line.generation != generation { return false }
        if let stream, line.stream != stream { return false }
        if since != nil || until != nil {
            guard let time = LogTime.parse(line.time.utf8) else { return false }
            if let since, time < since { return false }
            if let until, time >= until { return false }
        }
        return pattern?.matches(line.text) ?? true
    }
}

/// A POSIX extended regular expression (regex(7)), as of `grep -E`.
final class RegularExpression {
    private var compiled = regex_t()

    /// Nil if the text is not a valid expression; `reason` then says why.
    init?(_ text: String, ignoreCase: Bool, reason: inout String) {
        let flags = REG_EXTENDED | REG_NOSUB | (ignoreCase ? REG_ICASE : 0)
        let result = regcomp(&compiled, text, flags)
        guard result == 0 else {
            var buffer = [UInt8](repeating: 0, count: 200)
            buffer.withUnsafeMutableBytes { raw in
                _ = regerror(result, &compiled, raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count)
            }
            reason = String(decoding: buffer.prefix { $0 != 0 }, as: UTF8.self)
            return nil
        }
    }

    deinit { regfree(&compiled) }

    func matches(_ text: String) -> Bool { regexec(&compiled, text, 0, nil, 0) == 0 }
}

/// Points in time as typed on a command line: the forms of systemd.time(7) that are common with logs.
enum PointInTime {
    /// Microseconds since 1970 of `2026-01-02 03:04:05`, `2026-01-02`, `03:04[:05]`, `now`, `today`, `yesterday`,
    /// `-5min`, `5min ago`, `@1767323045`, or RFC 3339; local time if there is no zone. Nil for any other text.
    static func parse(_ text: String, now: Int64) -> Int64? {
        let second: Int64 = 1_000_000
        switch text {
        case "now": return now
        case "today": return midnight(of: now / second, dayOffset: 0) * second
        case "yesterday": return midnight(of: now / second, dayOffset: -1) * second
        default: break
        }
        if text.hasPrefix("@") { return Double(text.dropFirst()).flatMap { Int64(exactly: ($0 * 1e6).rounded()) } }
        if text.hasPrefix("-"), let span = span(String(text.dropFirst())) { return now - span }
        if text.hasSuffix(" ago"), let span = span(String(text.dropLast(4))) { return now - span }
        return calendar(text, now: now / second).map { $0 * second }
    }

    private static func span(_ text: String) -> Int64? {
        guard let duration = try? TimeSpan.parseFinite(text) else { return nil }
        let parts = duration.components
        let (whole, overflow) = parts.seconds.multipliedReportingOverflow(by: 1_000_000)
        return overflow ? nil : whole + parts.attoseconds / 1_000_000_000_000
    }

    private static func midnight(of second: Int64, dayOffset: Int32) -> Int64 {
        var parts = local(second)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (0, 0, 0)
        parts.tm_mday += dayOffset
        parts.tm_isdst = -1
        return Int64(mktime(&parts))
    }

    private static func local(_ second: Int64) -> tm {
        var moment = time_t(second)
        var parts = tm()
        localtime_r(&moment, &parts)
        return parts
    }

    private static func calendar(_ text: String, now: Int64) -> Int64? {
        let isUTC = text.hasSuffix("Z") || text.hasSuffix(" UTC")
        let bare = isUTC ? String(text.dropLast(text.hasSuffix("Z") ? 1 : 4)) : text
        let words = bare.split(whereSeparator: { $0 == " " || $0 == "T" })
        guard (1...2).contains(words.count), let last = words.last else { return nil }
        var parts = local(now)
        parts.tm_isdst = -1
        var clock = "00:00:00"[...]
        if words.count == 2 || !last.contains(":") {
            guard let date = numbers(words[0], "-"), date.count == 3, (1...12).contains(date[1]),
                (1...31).contains(date[2])
            else { return nil }
            (parts.tm_year, parts.tm_mon, parts.tm_mday) = (Int32(date[0]) - 1900, Int32(date[1]) - 1, Int32(date[2]))
        }
        if words.count == 2 || last.contains(":") { clock = last }
        // Fractions of a second are dropped: they do not matter to a reader.
        guard let time = numbers(clock.prefix { $0 != "." }, ":"), (2...3).contains(time.count), time[0] < 24,
            time[1] < 60
        else { return nil }
        (parts.tm_hour, parts.tm_min) = (Int32(time[0]), Int32(time[1]))
        parts.tm_sec = time.count == 3 ? Int32(min(time[2], 60)) : 0
        return Int64(isUTC ? timegm(&parts) : mktime(&parts))
    }

    private static func numbers(_ text: Substring, _ separator: Character) -> [Int]? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        let numbers = parts.compactMap { part in
            part.utf8.allSatisfy { (48...57).contains($0) } && part.utf8.count <= 4 ? Int(part) : nil
        }
        return numbers.count == parts.count ? numbers : nil
    }
}
