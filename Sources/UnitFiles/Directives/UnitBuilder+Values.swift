// Parsing of a directive's value, with a report if it fails.

import Vocabulary

extension UnitBuilder {
    /// Reports a value that cannot be read.
    mutating func reject(_ assignment: Assignment, _ error: ValueError, _ policy: Policy) {
        func diagnostic(_ severity: Diagnostic.Severity, _ ending: String) -> Diagnostic {
            Diagnostic(
                severity, error.code, at: assignment.location(at: error.offset), directive: assignment.key,
                "\(assignment.key)=: \(error.message)\(ending)", suggestion: error.suggestion)
        }
        switch policy {
        case .ignored: report(diagnostic(.warning, "; it is ignored"))
        case .fatal:
            if assignment.key == "ExecStart" || assignment.key.hasPrefix("Listen") { hasRefusedEssential = true }
            refuse(diagnostic(.error, ""))
        }
    }

    /// Parses the value as written.
    mutating func value<T>(
        _ assignment: Assignment, _ policy: Policy, _ parse: (String) throws(ValueError) -> T
    ) -> T? {
        do {
            return try parse(assignment.value)
        } catch {
            reject(assignment, error, policy)
            return nil
        }
    }

    /// Replaces specifiers and parses the result.
    mutating func expanded<T>(
        _ assignment: Assignment, _ policy: Policy, _ parse: (String) throws(ValueError) -> T
    ) -> T? {
        do throws(ValueError) {
            let text = try expander.expand(assignment.value)
            warnAboutSpecifiers(assignment)
            do throws(ValueError) {
                return try parse(text)
            } catch {
                // The error's offset is one in the expanded text, which is not in the file.
                var moved = error
                if text != assignment.value { moved.offset = 0 }
                throw moved
            }
        } catch {
            reject(assignment, error, policy)
            return nil
        }
    }

    mutating func number<N: FixedWidthInteger>(
        _ assignment: Assignment, _ policy: Policy, in range: ClosedRange<N>
    ) -> N? {
        value(assignment, policy) { (text) throws(ValueError) in try Value.integer(text, in: range) }
    }

    /// Free text with specifiers; nil if empty.
    mutating func text(_ assignment: Assignment, _ policy: Policy = .ignored) -> String? {
        let text = expanded(assignment, policy) { $0 }
        return text?.isEmpty == false ? text : nil
    }

    /// Parses a value that must be one of an enum's keywords.
    mutating func choice<C: Keyword>(
        _ assignment: Assignment, _ policy: Policy, of _: C.Type, unsupported: Set<String> = []
    ) -> C? {
        let text = assignment.value
        if let choice = C(keyword: text) { return choice }
        let names = C.allCases.map(\.keyword)
        if unsupported.contains(text) {
            let message = "\"\(text)\" is not supported yet; expected one of \(names.joined(separator: ", "))"
            reject(assignment, ValueError(message, code: .unsupportedValue), .fatal)
        } else {
            let near = EditDistance.closest(to: text, in: names + unsupported.sorted())
            let message = "expected one of \(names.joined(separator: ", ")), not \"\(text)\""
            reject(assignment, ValueError(message, suggestion: near), policy)
        }
        return nil
    }

    /// Splits the value into words and replaces their specifiers. A word that fails is reported and left out.
    mutating func words(
        _ assignment: Assignment, escapes: WordReader.Escapes, _ policy: Policy = .ignored,
        _ scope: SpecifierExpander.Scope = .all
    ) -> [Word] {
        var reader = WordReader(assignment.value, escapes: escapes)
        var result: [Word] = []
        do {
            while var word = try reader.next() {
                do {
                    word.text = try expander.expand(word, scope)
                    result.append(word)
                } catch {
                    reject(assignment, error, policy)
                }
            }
        } catch {
            reject(assignment, error, policy)
        }
        warnAboutEscapes(assignment, reader.unknownEscapes)
        warnAboutSpecifiers(assignment)
        return result
    }

    /// Warns about deprecated specifiers in a value in which specifiers are expanded.
    mutating func warnAboutSpecifiers(_ assignment: Assignment) {
        for (specifier, offset) in SpecifierExpander.deprecated(in: assignment.value) {
            report(
                Diagnostic(
                    .warning, .unknownSpecifier, at: assignment.location(at: offset), directive: assignment.key,
                    "\(specifier) is deprecated and does not give the path of the control group; as under systemd it expands to "
                        + (specifier == "%c" ? "a slash and the name of the unit" : "nothing")))
        }
    }

    mutating func warnAboutEscapes(_ assignment: Assignment, _ offsets: [Int]) {
        for offset in offsets {
            report(
                Diagnostic(
                    .warning, .unknownEscape, at: assignment.location(at: offset), directive: assignment.key,
                    "unknown escape, kept as written; write \\\\ for a backslash"))
        }
    }

    /// The meaning of a directive for units of kinds that Holdfast does not run: mounts, devices, timers.
    enum ForeignUnits {
        /// The directive only orders units: without effect, and without a warning.
        case ignored
        case reported
        /// Mounts and devices must exist when the unit starts.
        case required
        /// As `required`; systemd would also stop the unit when they vanish, which is reported.
        case bound
    }

    /// Parses the names of units.
    /// - Parameters:
    ///   - kinds: the kinds that may be named; nil for every kind.
    ///   - instantiate: whether a template stands for its instance with this unit's instance, or else prefix, as in
    ///     systemd.
    ///   - foreign: the meaning of names of kinds that Holdfast does not run.
    mutating func names(
        _ assignment: Assignment, kinds: Set<UnitKind>? = nil, instantiate: Bool, foreign: ForeignUnits = .reported,
        _ policy: Policy = .ignored
    ) -> [UnitReference] {
        var result: [UnitReference] = []
        for word in words(assignment, escapes: .retained, policy, .unitNames) {
            do throws(UnitNameError) {
                var name = try UnitName(word.text)
                if instantiate, name.isTemplate, !self.name.isTemplate {
                    name = try name.instantiated(self.name.instance ?? self.name.prefix)
                }
                // All aliases name the same unit; in [Install] the names themselves count.
                if instantiate { name = aliases.resolve(name) }
                if let kinds, !kinds.contains(name.kind) {
                    let expected = kinds.map(\.suffix).sorted().joined(separator: " or ")
                    let error = ValueError("expected the name of a \(expected) unit, not \"\(name)\"", at: word.offset)
                    reject(assignment, error, policy)
                    continue
                }
                result.append(UnitReference(name, at: assignment.location(at: word.offset)))
            } catch {
                if case .foreignKind = error, kinds == nil {
                    if foreign == .ignored || requireOfHost(word, assignment, foreign) { continue }
                    report(
                        Diagnostic(
                            .warning, .unsupportedUnitKind, at: assignment.location(at: word.offset),
                            directive: assignment.key, "\(assignment.key)=: \(error); it is ignored"))
                } else {
                    reject(assignment, ValueError(error.description, at: word.offset), policy)
                }
            }
        }
        return result
    }
}
