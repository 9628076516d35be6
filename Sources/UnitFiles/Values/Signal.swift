import Vocabulary

extension Signal {
    /// Parses `SIGTERM`, `TERM`, `15`, `RTMIN+3`, `SIGRTMAX-1`.
    public static func parse(_ text: String) throws(ValueError) -> Signal {
        if let signal = named(text) { return signal }
        let candidates = standardNames.sorted { $0.key < $1.key }.map { "SIG" + $0.value }
        throw ValueError(
            "expected a signal such as \"SIGTERM\", \"TERM\" or \"15\", not \"\(text)\"",
            suggestion: EditDistance.closest(to: text.hasPrefix("SIG") ? text : "SIG" + text, in: candidates))
    }

    static func named(_ text: String) -> Signal? {
        if let (isNegative, number) = Value.magnitude(text), !isNegative || number == 0 {
            return Int32(exactly: number).flatMap { Signal(validating: $0) }
        }
        let name = text.hasPrefix("SIG") ? String(text.dropFirst(3)) : text
        if let standard = standardNames.first(where: { $0.value == name }) { return Signal(rawValue: standard.key) }
        if name == "RTMIN" { return .realTimeMinimum }
        if name == "RTMAX" { return .realTimeMaximum }
        if name.hasPrefix("RTMIN+") { return realTime(.realTimeMinimum, name.dropFirst(6), sign: 1) }
        if name.hasPrefix("RTMAX-") { return realTime(.realTimeMaximum, name.dropFirst(6), sign: -1) }
        return nil
    }

    private static func realTime(_ base: Signal, _ offset: Substring, sign: Int32) -> Signal? {
        guard let first = offset.utf8.first, Ascii.isDigit(first), let (_, number) = Value.magnitude(offset),
            number <= 30
        else { return nil }
        return Signal(rawValue: base.rawValue + sign * Int32(number))
    }
}

extension ExitStatusSet {
    /// Adds one word: `75`, `TEMPFAIL` or `SIGKILL`. A number is always a status (systemd.service(5)).
    public mutating func insert(_ word: String) throws(ValueError) {
        if Value.magnitude(word) != nil {
            codes.insert(try Value.integer(word, in: Int32(0)...255))
        } else if let code = ExitStatus.code(named: word) {
            codes.insert(code)
        } else if let signal = Signal.named(word) {
            signals.insert(signal)
        } else {
            let short = word.hasPrefix("EXIT_") ? word.dropFirst(5) : word.hasPrefix("EX_") ? word.dropFirst(3) : ""
            let known = ExitStatus.code(named: String(short)) != nil
            throw ValueError(
                "expected an exit status (0 to 255 or a name such as TEMPFAIL) or a signal, not \"\(word)\"",
                suggestion: known ? String(short) : nil)
        }
    }
}
