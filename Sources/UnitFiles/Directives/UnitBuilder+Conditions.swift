// Condition…= and Assert…=

extension UnitBuilder {
    /// [Unit]: each condition as `Condition…=` and as `Assert…=`.
    static let conditionDirectives: [Directive] = Condition.Kind.allCases.flatMap { kind in
        [false, true].map { isAssert in
            Directive((isAssert ? "Assert" : "Condition") + kind.rawValue, .unit, in: .unit) {
                $0.applyCondition(kind, isAssert: isAssert, $1)
            }
        }
    }

    mutating func applyCondition(_ kind: Condition.Kind, isAssert: Bool, _ assignment: Assignment) {
        // "If any of these options is assigned the empty string, the list of conditions is reset completely".
        guard !assignment.value.isEmpty else {
            if isAssert { unit.conditions.asserts = [] } else { unit.conditions.conditions = [] }
            return
        }
        var rest = assignment.value[...]
        let isTrigger = Self.take("|", from: &rest)
        let isNegated = Self.take("!", from: &rest)
        let offset = assignment.value.utf8.count - rest.utf8.count
        do throws(ValueError) {
            // The "%" in a share of 10% starts no specifier, and no unit means one there.
            let parameter = kind.isPressure ? String(rest) : try expander.expand(String(rest))
            try Self.check(kind, parameter, at: offset)
            if !kind.isPressure { warnAboutSpecifiers(assignment) }
            let condition = Condition(
                kind, kind.isPath ? Value.simplified(parameter) : parameter, isTrigger: isTrigger,
                isNegated: isNegated, at: assignment.keyLocation)
            if isAssert {
                unit.conditions.asserts.append(condition)
            } else {
                unit.conditions.conditions.append(condition)
            }
        } catch {
            // Without its condition the unit would run where it must not.
            reject(assignment, error, .fatal)
        }
    }

    /// Turns a required mount or device into a condition of the start. Both belong to the host and are never started
    /// here.
    /// - Returns: false for other units and directives.
    mutating func requireOfHost(_ word: Word, _ assignment: Assignment, _ foreign: ForeignUnits) -> Bool {
        guard foreign == .required || foreign == .bound else { return false }
        let location = assignment.location(at: word.offset)
        if word.text.hasSuffix(".mount"), let path = UnitNameEscaping.unescapePath(String(word.text.dropLast(6))) {
            hostRequirements.append(Condition(.pathIsMountPoint, path, at: location))
        } else if word.text.hasSuffix(".device"),
            let path = UnitNameEscaping.unescapePath(String(word.text.dropLast(7)))
        {
            // systemd's path of a network interface is not the kernel's.
            let interfaces = "/sys/subsystem/net/devices/"
            let place = path.hasPrefix(interfaces) ? "/sys/class/net/" + path.dropFirst(interfaces.count) : path
            hostRequirements.append(Condition(.pathExists, place, at: location))
        } else {
            return false
        }
        if foreign == .bound {
            report(
                Diagnostic(
                    .warning, .unsupportedValue, at: location, directive: assignment.key,
                    "\(assignment.key)=: \"\(word.text)\" must exist when the unit starts; its later removal is not detected"
                ))
        }
        return true
    }

    private static func take(_ prefix: Character, from rest: inout Substring) -> Bool {
        guard rest.first == prefix else { return false }
        // As under systemd, white space after the prefix belongs to the value.
        rest = rest.dropFirst()
        return true
    }

    private static func check(_ kind: Condition.Kind, _ text: String, at offset: Int) throws(ValueError) {
        if kind.isPath {
            let isAbsolute = text.hasPrefix("/") && !text.split(separator: "/").contains("..")
            guard isAbsolute else { throw ValueError("expected an absolute path, not \"\(text)\"", at: offset) }
        }
        if text.isEmpty { throw ValueError("expected a value after the prefix", at: offset) }
        do throws(ValueError) {
            if kind.isBoolean { _ = try Value.boolean(text) }
            if kind.isPressure { _ = try PressureThreshold.parse(text) }
        } catch {
            throw ValueError(error.message, at: offset, code: error.code)
        }
    }
}
