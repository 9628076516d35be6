// X-Handoff=, X-Template=, X-Pass=. A bad value is fatal, because a program must not run without the sockets it was
// meant to get.

extension UnitBuilder {
    mutating func handoff(_ assignment: Assignment) {
        if assignment.value.isEmpty { service.handoff.explicitConventions = [] }
        for word in words(assignment, escapes: .interpreted, .fatal) {
            guard let convention = HandoffConvention(rawValue: word.text) else {
                let names = HandoffConvention.allCases.map(\.rawValue)
                let error = ValueError(
                    "expected some of \(names.joined(separator: ", ")), not \"\(word.text)\"", at: word.offset,
                    suggestion: EditDistance.closest(to: word.text, in: names))
                reject(assignment, error, .fatal)
                continue
            }
            if !service.handoff.explicitConventions.contains(convention) {
                service.handoff.explicitConventions.append(convention)
            }
        }
    }

    mutating func template(_ assignment: Assignment) {
        if assignment.value.isEmpty { service.handoff.templates = [] }
        for word in words(assignment, escapes: .interpreted, .fatal) {
            let location = assignment.location(at: word.offset)
            do throws(ValueError) {
                service.handoff.templates.append(try TemplateReference.parse(word.text, at: location))
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .fatal)
            }
        }
    }

    /// Checks that need all files of the unit.
    mutating func finishHandoff() {
        var seen: Set<String> = []
        for template in service.handoff.templates where !seen.insert(template.name).inserted {
            refuse(
                Diagnostic(
                    .error, .invalidValue, at: template.location, directive: "X-Template",
                    "X-Template=: \(template.name) is rendered twice; the second result would replace the first"))
        }
        guard service.handoff.conventions.contains(.standardInput), execution.standardInput != .null else {
            return
        }
        let location = SourceLocation(file: name.description)
        refuse(
            Diagnostic(
                .error, .invalidValue, at: location,
                directive: "X-Handoff",
                "X-Handoff=stdin and StandardInput= both define standard input"))
    }
}
