import CSpawn
import Glibc

/// RFC 3339 time in UTC with microseconds, `2026-01-02T03:04:05.678901Z`: of constant length, so that lines sort as
/// text. The part that changes once a second is cached.
struct TimestampText {
    private(set) var bytes: [UInt8] = []
    /// CLOCK_REALTIME in seconds at the last ``refresh()``.
    private(set) var second = Int.min

    /// Sets the time to the present.
    mutating func refresh() {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        if time.tv_sec != second { renew(time.tv_sec) }
        var rest = time.tv_nsec / 1000
        for place in stride(from: bytes.count - 2, to: bytes.count - 8, by: -1) {
            bytes[place] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
    }

    private mutating func renew(_ seconds: Int) {
        second = seconds
        bytes = Array(LogTime.text(Int64(seconds), "%Y-%m-%dT%H:%M:%S.000000Z").utf8)
    }
}

/// Points in time in captured output and its file names.
public enum LogTime {
    /// The length in bytes of the time at the start of every line.
    public static let length = 27

    /// The time at the start of a line, in microseconds since 1970; nil if there is none.
    public static func parse(_ bytes: some Sequence<UInt8>) -> Int64? {
        guard let numbers = numbers(Array(bytes.prefix(length)), "dddd-dd-ddTdd:dd:dd.ddddddZ") else { return nil }
        return seconds(numbers) * 1_000_000 + numbers[6]
    }

    /// The numbers in a text of the form `shape`, where `d` is a digit; nil if it has another form.
    static func numbers(_ text: [UInt8], _ shape: StaticString) -> [Int64]? {
        guard text.count == shape.utf8CodeUnitCount else { return nil }
        var numbers: [Int64] = []
        var isInNumber = false
        for (index, byte) in text.enumerated() {
            let expected = shape.utf8Start[index]
            guard expected == UInt8(ascii: "d") else {
                guard byte == expected else { return nil }
                isInNumber = false
                continue
            }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            let digit = Int64(byte - UInt8(ascii: "0"))
            if isInNumber {
                numbers[numbers.count - 1] = numbers[numbers.count - 1] * 10 + digit
            } else {
                numbers.append(digit)
            }
            isInNumber = true
        }
        return numbers
    }

    /// Converts year, month, day, hour, minute and second to seconds since 1970.
    static func seconds(_ numbers: [Int64]) -> Int64 {
        var parts = tm()
        parts.tm_year = Int32(numbers[0]) - 1900
        parts.tm_mon = Int32(numbers[1]) - 1
        parts.tm_mday = Int32(numbers[2])
        parts.tm_hour = Int32(numbers[3])
        parts.tm_min = Int32(numbers[4])
        parts.tm_sec = Int32(numbers[5])
        return Int64(timegm(&parts))
    }

    /// Formats a time in UTC (strftime(3)).
    static func text(_ seconds: Int64, _ format: String) -> String {
        var moment = time_t(seconds)
        var parts = tm()
        gmtime_r(&moment, &parts)
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = buffer.withUnsafeMutableBytes { raw in
            strftime(raw.baseAddress?.assumingMemoryBound(to: CChar.self), raw.count, format, &parts)
        }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }
}
