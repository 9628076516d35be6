// [X-Swap]. Every value affects the safety of a deployment, so a bad one makes the unit unusable. An empty assignment
// unsets a value, so that a drop-in can revert it.

import Vocabulary

extension UnitBuilder {
    /// [X-Swap].
    static let swapDirectives: [Directive] = [
        Directive("ReadyTimeoutSec", .holdfast, in: .swap) {
            $0.set(\.readyTimeout, $1) { $0.positive($1, TimeSpan.parse) { $0 != .after(.zero) } }
        },
        Directive("SoakSec", .holdfast, in: .swap) {
            $0.set(\.soak, $1) { $0.value($1, .fatal, TimeSpan.parseFinite) }
        },
        Directive("DrainTimeoutSec", .holdfast, in: .swap) {
            $0.set(\.drainTimeout, $1) { $0.value($1, .fatal, TimeSpan.parse) }
        },
        Directive("MaxDraining", .holdfast, in: .swap) { $0.set(\.maxDraining, $1) { $0.drainLimit($1) } },
        Directive("Strategy", .holdfast, in: .swap) {
            $0.set(\.strategy, $1) { $0.choice($1, .fatal, of: SwapStrategy.self) }
        },
        Directive("ReadyProbe", .holdfast, in: .swap) { $0.set(\.readyProbe, $1) { $0.readyProbe($1) } },
        Directive("ReadyProbeIntervalSec", .holdfast, in: .swap) {
            $0.set(\.readyProbeInterval, $1) { $0.positive($1, TimeSpan.parseFinite) { $0 > .zero } }
        },
        Directive("ReadyProbeTimeoutSec", .holdfast, in: .swap) {
            $0.set(\.readyProbeTimeout, $1) { $0.positive($1, TimeSpan.parseFinite) { $0 > .zero } }
        },
        Directive("X-GenerationNetwork", .holdfast, in: .swap) {
            $0.set(\.generationNetwork, $1) { $0.choice($1, .fatal, of: GenerationNetwork.self, unsupported: ["nat"]) }
        },
        Directive("DrainSignal", .holdfast, in: .swap) {
            $0.set(\.drainSignal, $1) { $0.value($1, .fatal, Signal.parse) }
        },
    ]

    /// Sets a value; an empty assignment unsets it.
    private mutating func set<T>(
        _ path: WritableKeyPath<SwapSection, T?>, _ assignment: Assignment,
        _ parse: (inout UnitBuilder, Assignment) -> T?
    ) {
        let value = assignment.value.isEmpty ? nil : parse(&self, assignment)
        var section = swap ?? SwapSection()
        section[keyPath: path] = value
        swap = section
    }

    private mutating func positive<T>(
        _ assignment: Assignment, _ parse: (String) throws(ValueError) -> T, _ isPositive: (T) -> Bool
    ) -> T? {
        guard let span = value(assignment, .fatal, parse) else { return nil }
        if isPositive(span) { return span }
        reject(assignment, ValueError("expected a time span above zero"), .fatal)
        return nil
    }

    private mutating func drainLimit(_ assignment: Assignment) -> Int? {
        guard let limit = Int(assignment.value), (1...SwapSettings.highestDrainLimit).contains(limit) else {
            let highest = SwapSettings.highestDrainLimit
            reject(assignment, ValueError("expected a number from 1 to \(highest)"), .fatal)
            return nil
        }
        return limit
    }

    /// Reads `http ENDPOINT PATH`, `tcp ENDPOINT` or `exec COMMAND...`.
    private mutating func readyProbe(_ assignment: Assignment) -> ReadyProbe? {
        do throws(ValueError) {
            var reader = WordReader(assignment.value)
            guard let method = try reader.next() else { return nil }
            let location = assignment.location(at: method.offset)
            switch method.text {
            case "http":
                let endpoint = try endpoint(&reader)
                guard let word = try reader.next() else {
                    throw ValueError("expected a path such as \"/healthz\" after the endpoint", at: reader.offset)
                }
                let path = try expander.expand(word)
                let isClean = !path.utf8.contains { $0 <= 0x20 || $0 == 0x7F }
                guard path.hasPrefix("/"), isClean, path.utf8.count <= 2048 else {
                    throw ValueError("expected a path such as \"/healthz\", not \"\(path)\"", at: word.offset)
                }
                try end(&reader)
                return ReadyProbe(.http(endpoint, path: path), at: location)
            case "tcp":
                let endpoint = try endpoint(&reader)
                try end(&reader)
                return ReadyProbe(.tcp(endpoint), at: location)
            case "exec": return ReadyProbe(.exec(try command(assignment, after: reader.offset)), at: location)
            default:
                throw ValueError(
                    "expected \"http ENDPOINT PATH\", \"tcp ENDPOINT\" or \"exec COMMAND\", not \"\(method.text)\"",
                    at: method.offset, suggestion: EditDistance.closest(to: method.text, in: ["http", "tcp", "exec"]))
            }
        } catch {
            reject(assignment, error, .fatal)
            return nil
        }
    }

    private func end(_ reader: inout WordReader) throws(ValueError) {
        guard let word = try reader.next() else { return }
        throw ValueError("expected the end of the line, not \"\(word.text)\"", at: word.offset)
    }

    /// Reads the rest of the value as a command; spaces replace the text before it, so that columns stay correct.
    private func command(_ assignment: Assignment, after offset: Int) throws(ValueError) -> ExecCommand {
        var rest = assignment
        rest.value = String(repeating: " ", count: offset) + Ascii.string(assignment.value.utf8.dropFirst(offset))
        let commands = try ExecCommandReader(rest, expander).commands
        guard commands.count == 1, let command = commands.first else {
            throw ValueError("expected one command after \"exec\"", at: offset)
        }
        return command
    }

    private func endpoint(_ reader: inout WordReader) throws(ValueError) -> ProbeEndpoint {
        guard let word = try reader.next() else {
            throw ValueError("expected a socket unit, host:port or a path", at: reader.offset)
        }
        let text = try expander.expand(word)
        if text.hasPrefix("/") || text.hasPrefix("@") {
            do {
                return .address(try ListenAddress.parse(text))
            } catch {
                throw ValueError(error.message, at: word.offset)
            }
        }
        if text.hasSuffix(".socket") {
            do throws(UnitNameError) {
                var name = try UnitName(text)
                if name.isTemplate, !self.name.isTemplate {
                    name = try name.instantiated(self.name.instance ?? self.name.prefix)
                }
                return .socket(name)
            } catch {
                throw ValueError(error.description, at: word.offset)
            }
        }
        let expected = "expected a socket unit, host:port or a path, not \"\(text)\""
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
            let port = UInt16(text[text.utf8.index(after: colon)...]), port > 0
        else { throw ValueError(expected, at: word.offset) }
        let host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            guard let address = IPv6Address(host.dropFirst().dropLast()) else {
                throw ValueError(expected, at: word.offset)
            }
            return .address(.ipv6(address, port: port, interface: nil))
        }
        if let address = IPv4Address(host) { return .address(.ipv4(address, port: port)) }
        let isName = host.utf8.allSatisfy {
            Ascii.isLetter($0) || Ascii.isDigit($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "-")
        }
        guard isName, !host.isEmpty, host.utf8.count <= 253 else { throw ValueError(expected, at: word.offset) }
        return .host(host, port: port)
    }
}
