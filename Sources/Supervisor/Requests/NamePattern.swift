/// A pattern in place of a unit's name, as in supervisorctl: `all`, `app*`, `site:*`, `site:app`.
///
/// A colon is also a character of unit names (systemd.unit(5)), and common in instances (`web@127.0.0.1:8000`): after
/// an `@` it belongs to the name, and so it does where a unit of the whole name exists.
enum NamePattern: Equatable {
    case all
    /// A shell pattern with `*` and `?`.
    case glob(String)
    /// The services of a target; the second part is a pattern, too.
    case members(of: String, matching: String)
    case name(String)

    /// - Parameter isUnit: whether there is a unit of this name, with or without its suffix.
    init(_ text: String, isUnit: (String) -> Bool) {
        let isGlob = text.utf8.contains { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") }
        if text == "all" {
            self = .all
        } else if let colon = Self.separator(in: text), isGlob || !isUnit(text) {
            self = .members(of: String(text[..<colon]), matching: String(text[text.index(after: colon)...]))
        } else {
            self = isGlob ? .glob(text) : .name(text)
        }
    }

    /// The colon that may separate a target from its members.
    private static func separator(in text: String) -> String.Index? {
        guard let first = text.firstIndex(where: { $0 == ":" || $0 == "@" }), text[first] == ":" else { return nil }
        return first
    }

    /// Whether the shell pattern `pattern` matches `text`. Takes time in proportion to the product of both lengths;
    /// fnmatch(3) may take exponential time.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var (p, t) = (0, 0)
        // Where to continue after a mismatch: after the last star, one byte further in the text.
        var resume: (p: Int, t: Int)?
        while t < text.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                p += 1
                resume = (p, t)
            } else if p < pattern.count, pattern[p] == UInt8(ascii: "?") || pattern[p] == text[t] {
                (p, t) = (p + 1, t + 1)
            } else if let last = resume {
                (p, t) = (last.p, last.t + 1)
                resume?.t += 1
            } else {
                return false
            }
        }
        return pattern[p...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// The names by which a unit may be called: `site@.target`, `site@v2.target`, `site@v2`, `site`.
    static func aliases(_ unit: String, release: String?) -> [String] {
        guard let dot = unit.lastIndex(of: ".") else { return [unit] }
        let (stem, suffix) = (unit[..<dot], unit[dot...])
        var aliases = [unit, String(stem)]
        guard stem.hasSuffix("@") else { return aliases }
        aliases.append(String(stem.dropLast()))
        if let release { aliases += ["\(stem)\(release)\(suffix)", "\(stem)\(release)"] }
        return aliases
    }
}
