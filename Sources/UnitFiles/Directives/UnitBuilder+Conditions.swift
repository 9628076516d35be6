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
            // Without its condition a unit would run where it must not.
            reject(assignment, error, .fatal)
        }
    }

    /// Mounts and devices are the host's: none is started here, but whether one is there shows when the unit is to start.
    /// False for what cannot be looked at so.
    mutating func requireOfHost(_ word: Word, _ assignment: Assignment) -> Bool {
        let isBinding = ["BindsTo", "BindTo"].contains(assignment.key)
        guard
            isBinding
                || ["Requires", "RequiresOverridable", "Requisite", "RequisiteOverridable"].contains(assignment.key)
        else { return false }
        let location = assignment.location(at: word.offset)
        if word.text.hasSuffix(".mount"), let path = UnitNameEscaping.unescapePath(String(word.text.dropLast(6))) {
            hostRequirements.append(Condition(.pathIsMountPoint, path, at: location))
        } else if word.text.hasSuffix(".device"),
            let path = UnitNameEscaping.unescapePath(String(word.text.dropLast(7)))
        {
            // systemd's name of network interfaces is none of the kernel's.
            let interfaces = "/sys/subsystem/net/devices/"
            let place = path.hasPrefix(interfaces) ? "/sys/class/net/" + path.dropFirst(interfaces.count) : path
            hostRequirements.append(Condition(.pathExists, place, at: location))
        } else {
            return false
        }
        if isBinding {
            report(
                Diagnostic(
                    .warning, .unsupportedValue, at: location, directive: assignment.key,
                    "\(assignment.key)=: \"\(word.text)\" must be there when the unit starts; that it goes is not noticed"
                ))
        }
        return true
    }

    private static func take(_ prefix: Character, from rest: inout Substring) -> Bool {
        guard rest.first == prefix else { return false }
        // White space behind the prefix belongs to the value, as under systemd.
        rest = rest.dropFirst()
        return true
    }

    private static func check(_ kind: Condition.Kind, _ text: String, at offset: Int) throws(ValueError) {
        if kind.isPath {
            let isAbsolute = text.hasPrefix("/") && !text.split(separator: "/").contains("..")
            guard isAbsolute else { throw ValueError("expected an absolute path, not \"\(text)\"", at: offset) }
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
