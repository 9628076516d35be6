import Linux
import Logging

/// Log lines that others can cause and that are bounded; lines about the supervisor itself go to `logger` directly.
extension Supervisor {
    /// - Parameter subject: the unit that the line is about.
    func log(_ level: Logger.Level, about subject: String, _ text: String) {
        log(level, LineBounds.Subject(kind: .unit, name: Self.identity(subject)), text)
    }

    /// - Parameter subject: the user in the form `uid 1000`.
    func log(_ level: Logger.Level, aboutStranger subject: String, _ text: String) {
        log(level, LineBounds.Subject(kind: .stranger, name: subject), text)
    }

    /// Common identity of a template's instances, `app@.service` for `app@v2.service`: `Accept=yes` makes an instance
    /// for each connection.
    private static func identity(_ unit: String) -> String {
        guard let at = unit.firstIndex(of: "@"), let dot = unit.lastIndex(of: "."), at < dot else { return unit }
        return String(unit[...at] + unit[dot...])
    }

    private func log(_ level: Logger.Level, _ subject: LineBounds.Subject, _ text: String) {
        guard level >= logger.logLevel else { return }
        let now = loop.now
        if lineBounds.isOver(at: now) { tellLeftOut() }
        if lineBounds.admits(subject, at: now) {
            logger.log(level: level, "\(text)")
        } else if leftOutTimer == nil, let end = lineBounds.end {
            leftOutTimer = try? loop.makeTimer(accuracy: 1_000_000, priority: .idle) { [unowned self] in tellLeftOut() }
            leftOutTimer?.arm(at: end)
        }
    }

    private func tellLeftOut() {
        leftOutTimer = nil
        for entry in lineBounds.takeLeftOut() {
            log(
                .warning, about: "\(entry.subject)",
                "\(entry.subject): \(entry.count) more lines within a minute were left out")
        }
    }
}
