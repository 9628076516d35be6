// Condition…= and Assert…=

extension UnitBuilder {
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
            // A share of 10% is no specifier, and nobody means one there.
            let parameter = kind.isPressure ? String(rest) : try expander.expand(String(rest))
            try Self.check(kind, parameter, at: offset)
            let condition = Condition(
                kind, kind.isPath ? Value.simplified(parameter) : parameter, isTrigger: isTrigger,
                isNegated: isNegated, at: assignment.keyLocation)
            if isAssert {
                unit.conditions.asserts.append(condition)
            } else {
                unit.conditions.conditions.append(condition)
            }
        } catch {
            // Without its condition a unit would run where it must not.
            reject(assignment, error, .fatal)
        }
    }

    private static func take(_ prefix: Character, from rest: inout Substring) -> Bool {
        guard rest.first == prefix else { return false }
        rest = Ascii.trimmed(rest.dropFirst())
        return true
    }

    private static func check(_ kind: Condition.Kind, _ text: String, at offset: Int) throws(ValueError) {
        if kind.isPath, !text.hasPrefix("/") {
            throw ValueError("expected an absolute path, not \"\(text)\"", at: offset)
        }
        if text.isEmpty { throw ValueError("expected a value behind the prefix", at: offset) }
        do throws(ValueError) {
            if kind.isBoolean { _ = try Value.boolean(text) }
            if kind.isPressure { _ = try PressureThreshold.parse(text) }
        } catch {
            throw ValueError(error.message, at: offset, code: error.code)
        }
    }
}
