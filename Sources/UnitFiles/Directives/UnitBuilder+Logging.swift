// [Service]: the destination of output, and its retention.

extension UnitBuilder {
    mutating func apply(_ directive: LogDirective, _ assignment: Assignment) {
        switch directive {
        case .standardOutput:
            if let output = standardOutput(assignment, descriptor: "stdout") { service.explicitStandardOutput = output }
        case .standardError:
            if let output = standardOutput(assignment, descriptor: "stderr") { service.standardError = output }
        case .syslogIdentifier: service.logging.syslogIdentifier = text(assignment)
        case .syslogLevel: if let level = level(assignment) { service.logging.syslogLevel = level }
        case .logLevelMax: if let level = level(assignment) { service.logging.levelMax = level }
        case .syslogFacility:
            let names = LogSettings.facilities
            if let facility = value(
                assignment, .ignored,
                { (text) throws(ValueError) in
                    try Self.number(text, of: names)
                })
            {
                service.logging.syslogFacility = facility
            }
        case .syslogLevelPrefix:
            if let on = value(assignment, .ignored, Value.boolean) { service.logging.syslogLevelPrefix = on }
        case .logRateLimitIntervalSec:
            if let interval = value(assignment, .ignored, TimeSpan.parseLong) {
                service.logging.rateLimitInterval = interval
            }
        case .logRateLimitBurst:
            if let burst = number(assignment, .ignored, in: 0...Int(UInt32.max)) {
                service.logging.rateLimitBurst = burst
            }
        case .logMaxBytes:
            if let size = value(assignment, .ignored, Self.bound) { service.logging.maxBytes = size.bytes }
        case .logKeep: if let keep = number(assignment, .ignored, in: 0...10_000) { service.logging.keep = keep }
        case .logMaxAgeSec:
            if let age = value(assignment, .ignored, TimeSpan.parse) {
                // 0 means unlimited for both.
                service.logging.maxAge = age.duration.flatMap { $0 > .zero ? $0 : nil }
            }
        }
    }

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
