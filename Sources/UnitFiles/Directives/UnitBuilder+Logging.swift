// [Service]: the destination of output, and its retention.

extension UnitBuilder {
    /// [Service]: captured output.
    static let logDirectives: [Directive] = [
        Directive("StandardOutput", .exec, in: .service) {
            if let output = $0.standardOutput($1, descriptor: "stdout") { $0.service.explicitStandardOutput = output }
        },
        Directive("StandardError", .exec, in: .service) {
            if let output = $0.standardOutput($1, descriptor: "stderr") { $0.service.standardError = output }
        },
        Directive("SyslogIdentifier", .exec, in: .service) { $0.service.logging.syslogIdentifier = $0.text($1) },
        Directive("SyslogLevel", .exec, in: .service) {
            if let level = $0.level($1) { $0.service.logging.syslogLevel = level }
        },
        Directive("LogLevelMax", .exec, in: .service) {
            if let level = $0.level($1) { $0.service.logging.levelMax = level }
        },
        Directive("SyslogFacility", .exec, in: .service) {
            let names = LogSettings.facilities
            if let facility = $0.value(
                $1, .ignored,
                { (text) throws(ValueError) in
                    try Self.number(text, of: names)
                })
            {
                $0.service.logging.syslogFacility = facility
            }
        },
        Directive("SyslogLevelPrefix", .exec, in: .service) {
            if let on = $0.value($1, .ignored, Value.boolean) { $0.service.logging.syslogLevelPrefix = on }
        },
        Directive("LogRateLimitIntervalSec", .exec, in: .service) {
            if let interval = $0.value($1, .ignored, TimeSpan.parseLong) {
                $0.service.logging.rateLimitInterval = interval
            }
        },
        Directive("LogRateLimitBurst", .exec, in: .service) {
            if let burst = $0.number($1, .ignored, in: 0...Int(UInt32.max)) {
                $0.service.logging.rateLimitBurst = burst
            }
        },
        Directive("X-LogMaxBytes", .holdfast, in: .service) {
            if let size = $0.value($1, .ignored, Self.bound) { $0.service.logging.maxBytes = size.bytes }
        },
        Directive("X-LogKeep", .holdfast, in: .service) {
            if let keep = $0.number($1, .ignored, in: 0...10_000) { $0.service.logging.keep = keep }
        },
        Directive("X-LogMaxAgeSec", .holdfast, in: .service) {
            if let age = $0.value($1, .ignored, TimeSpan.parse) {
                // 0 means unlimited for both.
                $0.service.logging.maxAge = age.duration.flatMap { $0 > .zero ? $0 : nil }
            }
        },
    ]

    private mutating func level(_ assignment: Assignment) -> Int? {
        value(assignment, .ignored) { (text) throws(ValueError) in try Self.number(text, of: LogSettings.levels) }
    }

    /// Reads a name of syslog(3), or its number.
    private static func number(_ text: String, of names: [String?]) throws(ValueError) -> Int {
        if let index = names.firstIndex(of: text) { return index }
        if let number = try? Value.integer(text, in: 0...(names.count - 1)) { return number }
        let known = names.compactMap { $0 }
        throw ValueError(
            "expected one of \(known.joined(separator: ", ")), not \"\(text)\"",
            suggestion: EditDistance.closest(to: text, in: known))
    }

    private static func bound(_ text: String) throws(ValueError) -> (bytes: UInt64?, Void) {
        guard let size = try Value.sizeOrInfinity(text), size > 0 else { return (nil, ()) }
        return (size, ())
    }

    private mutating func standardOutput(_ assignment: Assignment, descriptor: String) -> StandardOutput? {
        // "Obsolete and should not be used" (systemd.exec(5) of 252); Holdfast does not write to consoles.
        let likeJournal = ["syslog", "syslog+console", "journal+console", "kmsg", "kmsg+console"]
        if likeJournal.contains(assignment.value) {
            report(
                Diagnostic(
                    .warning, .unsupportedValue, at: assignment.valueLocation, directive: assignment.key,
                    "\(assignment.key)=: \"\(assignment.value)\" is not supported; \"journal\" is used instead"))
            return .journal
        }
        return expanded(assignment, .fatal) { (text) throws(ValueError) -> StandardOutput in
            switch text {
            case "inherit": return .inherit
            case "null": return .null
            case "journal": return .journal
            case "socket": return .socket
            case "fd": return .descriptor(descriptor)
            case "tty": return .terminal
            default: break
            }
            for (prefix, make) in [
                ("file:", StandardOutput.file), ("append:", StandardOutput.append),
                ("truncate:", StandardOutput.truncate),
            ] where text.hasPrefix(prefix) {
                return make(try Value.absolutePath(String(text.dropFirst(prefix.count))))
            }
            // Without a name, the stream's own name counts.
            if text == "fd:" { return .descriptor(descriptor) }
            if text.hasPrefix("fd:") { return .descriptor(try Self.descriptorName(String(text.dropFirst(3)))) }
            throw ValueError(
                "expected inherit, null, journal, file:PATH, append:PATH, truncate:PATH, socket, fd:NAME or tty, not \"\(text)\""
            )
        }
    }
}
