/// What an operator may type instead of a unit's name, as in supervisorctl: `all`, `app*`, `site:*`, `site:app`.
enum NamePattern: Equatable {
    case all
    /// A shell pattern with `*` and `?`.
    case glob(String)
    /// The services of a target; the second part is a pattern, too.
    case members(of: String, matching: String)
    case name(String)

    init(_ text: String) {
        if text == "all" {
            self = .all
        } else if let colon = text.firstIndex(of: ":") {
            self = .members(of: String(text[..<colon]), matching: String(text[text.index(after: colon)...]))
        } else if text.utf8.contains(where: { $0 == UInt8(ascii: "*") || $0 == UInt8(ascii: "?") }) {
            self = .glob(text)
        } else {
            self = .name(text)
        }
    }

    /// Whether `text` is matched by the shell pattern `pattern`. Takes time in proportion to both lengths, whatever they are;
    /// fnmatch(3) may take exponential time.
    static func matches(_ pattern: String, _ text: String) -> Bool {
        let pattern = Array(pattern.utf8)
        let text = Array(text.utf8)
        var (p, t) = (0, 0)
        // Where to go on after a mismatch: behind the last star, one byte further in the text.
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

    /// The forms in which a unit may be meant: `site@.target`, `site@v2.target`, `site@v2`, `site`.
    static func forms(_ unit: String, release: String?) -> [String] {
        guard let dot = unit.lastIndex(of: ".") else { return [unit] }
        let (stem, suffix) = (unit[..<dot], unit[dot...])
        var forms = [unit, String(stem)]
        guard stem.hasSuffix("@") else { return forms }
        forms.append(String(stem.dropLast()))
        if let release { forms += ["\(stem)\(release)\(suffix)", "\(stem)\(release)"] }
        return forms
    }
}
