// Reading values: every way in which a directive's text becomes a value, with the report if it does not.

extension UnitBuilder {
    /// Reports a value that cannot be read.
    mutating func reject(_ assignment: Assignment, _ error: ValueError, _ policy: Policy) {
        func diagnostic(_ severity: Diagnostic.Severity, _ ending: String) -> Diagnostic {
            Diagnostic(
                severity, error.code, at: assignment.location(at: error.offset), directive: assignment.key,
                "\(assignment.key)=: \(error.message)\(ending)", suggestion: error.suggestion)
        }
        switch policy {
        case .ignored: report(diagnostic(.warning, ", it is ignored"))
        case .fatal:
            if assignment.key == "ExecStart" || assignment.key.hasPrefix("Listen") { hasRefusedEssential = true }
            refuse(diagnostic(.error, ""))
        }
    }

    /// One value, taken as it is written.
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

    /// One value, specifiers replaced before it is read.
    mutating func expanded<T>(
        _ assignment: Assignment, _ policy: Policy, _ parse: (String) throws(ValueError) -> T
    ) -> T? {
        do throws(ValueError) {
            let text = try expander.expand(assignment.value)
            warnAboutSpecifiers(assignment)
            do throws(ValueError) {
                return try parse(text)
            } catch {
                // The offset counts in the expanded text, which the file does not show.
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

    /// One of the raw values of an enum.
    mutating func choice<C: CaseIterable & RawRepresentable<String>>(
        _ assignment: Assignment, _ policy: Policy, of _: C.Type, unsupported: Set<String> = []
    ) -> C? {
        let text = assignment.value
        if let choice = C(rawValue: text) { return choice }
        let names = C.allCases.map(\.rawValue)
        if unsupported.contains(text) {
            let message = "\"\(text)\" is not supported yet (\(names.joined(separator: ", ")) are)"
            reject(assignment, ValueError(message, code: .unsupportedValue), .fatal)
        } else {
            let near = EditDistance.closest(to: text, in: names + unsupported.sorted())
            let message = "expected one of \(names.joined(separator: ", ")), not \"\(text)\""
            reject(assignment, ValueError(message, suggestion: near), policy)
        }
        return nil
    }

    /// Words with specifiers replaced. A word that fails is reported and left out.
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

    /// For the value of a directive in which specifiers count.
    mutating func warnAboutSpecifiers(_ assignment: Assignment) {
        for (specifier, offset) in SpecifierExpander.deprecated(in: assignment.value) {
            report(
                Diagnostic(
                    .warning, .unknownSpecifier, at: assignment.location(at: offset), directive: assignment.key,
                    "\(specifier) is deprecated and does not say where the control group is; as under systemd it stands for "
                        + (specifier == "%c" ? "a slash and the name of the unit" : "nothing")))
        }
    }

    mutating func warnAboutEscapes(_ assignment: Assignment, _ offsets: [Int]) {
        for offset in offsets {
            report(
                Diagnostic(
                    .warning, .unknownEscape, at: assignment.location(at: offset), directive: assignment.key,
                    "unknown escape, it is kept as written; write \\\\ for a backslash"))
        }
    }

    /// Names of units.
    /// - Parameters:
    ///   - kinds: what may be named; nil for every kind.
    ///   - instantiate: a template stands for its instance of this unit's instance, or else prefix, as in systemd.
    ///   - ordering: names of kinds that Holdfast does not run are then without effect, and not worth a word.
    mutating func names(
        _ assignment: Assignment, kinds: Set<UnitKind>? = nil, instantiate: Bool, ordering: Bool = false,
        _ policy: Policy = .ignored
    ) -> [UnitReference] {
        var result: [UnitReference] = []
        for word in words(assignment, escapes: .retained, policy, .unitNames) {
            do throws(UnitNameError) {
                var name = try UnitName(word.text)
                if instantiate, name.isTemplate, !self.name.isTemplate {
                    name = try name.instantiated(self.name.instance ?? self.name.prefix)
                }
                // What is known by several names is the same unit by each; [Install] is about the names themselves.
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
                    if ordering || requireOfHost(word, assignment) { continue }
                    report(
                        Diagnostic(
                            .warning, .unsupportedUnitKind, at: assignment.location(at: word.offset),
                            directive: assignment.key, "\(assignment.key)=: \(error), it is ignored"))
                } else {
                    reject(assignment, ValueError(error.description, at: word.offset), policy)
                }
            }
        }
        return result
    }
}
