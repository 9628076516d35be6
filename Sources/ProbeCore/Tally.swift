import Histogram

/// All counts of a run.
public struct Tally: Sendable {
    public private(set) var ok = 0
    public private(set) var losses: [Loss: Int] = [:]
    /// Requests that this machine could not send (no port, descriptor or memory left): they do not count as lost.
    public private(set) var local = 0
    public private(set) var lastLocalReason = ""
    public private(set) var lastOtherReason = ""
    public var connections = 0
    public private(set) var statuses: [Int: Int] = [:]
    private var bodies: [(token: [UInt8], count: Int)] = []
    private var otherBodies = 0
    /// Latencies in microseconds; up to ten minutes.
    private var latency = Histogram<UInt64>(highestTrackableValue: 600_000_000, numberOfSignificantValueDigits: .three)

    /// The number of different bodies counted separately; further ones are counted together.
    static let bodyLimit = 100

    public init() {}

    public var lost: Int { losses.values.reduce(0, +) }
    public var requests: Int { ok + lost }

    /// Counts a complete answer, good or bad.
    public mutating func answered(status: Int, body: [UInt8], microseconds: Int64) {
        if status < 200 || status > 399 { lost(.badStatus) } else { ok += 1 }
        statuses[status, default: 0] += 1
        _ = latency.record(UInt64(max(0, min(microseconds, 600_000_000))))
        // There are few different bodies in practice, so a linear search is faster than hashing.
        if let index = bodies.firstIndex(where: { $0.token == body }) {
            bodies[index].count += 1
        } else if bodies.count < Self.bodyLimit {
            bodies.append((body, 1))
        } else {
            otherBodies += 1
        }
    }

    public mutating func lost(_ loss: Loss, reason: String = "") {
        losses[loss, default: 0] += 1
        if loss == .other { lastOtherReason = reason }
    }

    public mutating func couldNotSend(_ reason: String) {
        local += 1
        lastLocalReason = reason
    }

    /// The exit status: 0 if no request was lost and at least one was answered.
    public var exitStatus: Int32 {
        lost > 0 || (ok == 0 && local > 0) ? 1 : 0
    }

    private var bodyCounts: [(String, Int)] {
        var counts = bodies.map { (String(decoding: $0.token, as: UTF8.self), $0.count) }
        if otherBodies > 0 { counts.append(("(others)", otherBodies)) }
        return counts
    }

    // MARK: Printed

    /// The summary for people, on several lines.
    public func summary(seconds: Double) -> String {
        let rate = seconds > 0 ? Int(Double(requests) / seconds) : 0
        var text = "\(requests) requests in \(Self.decimal(seconds)) s, \(rate)/s, \(connections) connections\n"
        for (body, count) in bodyCounts { text += "  \(count)  \(Self.visible(body))\n" }
        text += "lost: \(lost)\n"
        for loss in Loss.allCases {
            guard let count = losses[loss] else { continue }
            text += "  \(count)  \(Self.words(loss))"
            switch loss {
            case .badStatus:
                let bad = statuses.filter { $0.key < 200 || $0.key > 399 }.sorted { $0.key < $1.key }
                text += " (" + bad.map { "\($0.key): \($0.value)" }.joined(separator: ", ") + ")"
            case .other: text += " (last: \(lastOtherReason))"
            case .refused, .reset, .closedEarly, .timedOut: break
            }
            text += "\n"
        }
        if local > 0 {
            text += "not sent, for a reason of this machine's: \(local) (last: \(lastLocalReason))\n"
        }
        if latency.totalCount > 0 {
            text += "latency in microseconds: p50 \(percentile(50))  p90 \(percentile(90))  p99 \(percentile(99))"
            text += "  p99.9 \(percentile(99.9))  max \(latency.max)\n"
        }
        return text
    }

    /// The summary for programs: one line, always with the same keys.
    public func json(seconds: Double, configuration: ProbeConfiguration) -> String {
        let losses = Loss.allCases.map { "\"\($0.rawValue)\":\(self.losses[$0] ?? 0)" }
        let bodies = bodyCounts.map { "\(Self.quoted($0.0)):\($0.1)" }
        let statuses = statuses.sorted { $0.key < $1.key }.map { "\"\($0.key)\":\($0.value)" }
        let isEmpty = latency.totalCount == 0
        let latency = [
            "\"p50\":\(percentile(50))", "\"p90\":\(percentile(90))", "\"p99\":\(percentile(99))",
            "\"p999\":\(percentile(99.9))", "\"max\":\(isEmpty ? 0 : self.latency.max)",
            "\"mean\":\(isEmpty ? "0" : Self.decimal(self.latency.mean))",
        ]
        let parts = [
            "\"requests\":\(requests)", "\"ok\":\(ok)", "\"lost\":\(lost)",
            "\"losses\":{\(losses.joined(separator: ","))}", "\"local\":\(local)",
            "\"bodies\":{\(bodies.joined(separator: ","))}", "\"statuses\":{\(statuses.joined(separator: ","))}",
            "\"latencyMicroseconds\":{\(latency.joined(separator: ","))}", "\"seconds\":\(Self.decimal(seconds))",
            "\"connections\":\(connections)", "\"keepAlive\":\(configuration.keepAlive)",
            "\"url\":\(Self.quoted(configuration.target.url))",
        ]
        return "{\(parts.joined(separator: ","))}"
    }

    private func percentile(_ percent: Double) -> UInt64 {
        latency.totalCount == 0 ? 0 : min(latency.valueAtPercentile(percent), latency.max)
    }

    private static func words(_ loss: Loss) -> String {
        switch loss {
        case .refused: "connection refused"
        case .reset: "connection reset"
        case .closedEarly: "closed before a complete answer"
        case .badStatus: "bad status"
        case .timedOut: "timed out"
        case .other: "other"
        }
    }

    private static func visible(_ text: String) -> String {
        text.isEmpty
            ? "(empty)" : String(String.UnicodeScalarView(text.unicodeScalars.map { $0.value < 32 ? "." : $0 }))
    }

    /// Formats with three decimal places.
    private static func decimal(_ number: Double) -> String {
        guard number.isFinite, abs(number) < 1e15 else { return "0" }
        let thousandths = Int((number * 1000).rounded())
        let fraction = String(abs(thousandths) % 1000)
        return "\(thousandths / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
    }

    /// A JSON string (RFC 8259 section 7).
    static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case _ where scalar.value < 32:
                let hex = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
