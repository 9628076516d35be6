/// A unit file under construction, with the reasons for its lines.
struct ImportedUnit: Equatable {
    /// A setting of the imported configuration.
    struct Setting: Equatable {
        var key: String
        var value: String
        /// The setting's place there: `/etc/supervisor/conf.d/app.conf: [program:app]`, `app.service:7`.
        var origin: String
    }

    enum Line: Equatable {
        case blank
        case comment(String)
        case section(String)
        case assignment(key: String, value: String, origin: String)
        /// Kept as a comment for the reader, without effect.
        case omitted(Setting, reason: String)
    }

    /// The file's name, such as `app.service`.
    let name: String
    private(set) var lines: [Line] = []

    init(name: String, about: String) {
        self.name = name
        lines = [.comment(about)]
    }

    mutating func section(_ name: String) { lines += [.blank, .section(name)] }

    /// - Parameter reason: the comment above the line: the change and its reason.
    mutating func set(_ key: String, _ value: String, from origin: String = "", because reason: String? = nil) {
        if let reason { lines.append(.comment(reason)) }
        lines.append(.assignment(key: key, value: value, origin: origin))
    }

    mutating func comment(_ text: String) { lines.append(.comment(text)) }

    /// Records in the file, and in the list of omissions, that a setting is left out.
    mutating func omit(_ setting: Setting, because reason: String) {
        lines.append(.omitted(setting, reason: reason))
    }

    /// Turns an assignment into a comment. `number` counts lines of `text`, from 1.
    /// - Returns: whether the line was an assignment.
    mutating func omit(line number: Int, because reason: String) -> Bool {
        let owners = rendered.map(\.line)
        guard owners.indices.contains(number - 1) else { return false }
        let index = owners[number - 1]
        guard case .assignment(let key, let value, let origin) = lines[index] else { return false }
        lines[index] = .omitted(Setting(key: key, value: value, origin: origin.isEmpty ? name : origin), reason: reason)
        return true
    }

    /// The settings that were left out, each with its reason.
    var omissions: [ImportOmission] {
        lines.compactMap { line in
            if case .omitted(let setting, let reason) = line {
                ImportOmission(setting: setting, reason: reason)
            } else {
                nil
            }
        }
    }

    var text: String { rendered.map { $0.text + "\n" }.joined() }

    /// Lines of the file, each with the index of its `Line`.
    private var rendered: [(text: String, line: Int)] {
        lines.indices.flatMap { index in Self.render(lines[index]).map { (text: $0, line: index) } }
    }

    private static func render(_ line: Line) -> [String] {
        switch line {
        case .blank: [""]
        case .comment(let text): wrapped(text)
        case .section(let name): ["[\(name)]"]
        case .assignment(let key, let value, _): ["\(key)=\(value)"]
        case .omitted(let setting, let reason):
            wrapped("Not translated: \(reason)")
                // A value with a line break would become a line of its own.
                + ["#\(setting.key)=\(String(setting.value.map { $0.isNewline ? " " : $0 }))"]
        }
    }

    /// Comment lines of at most 100 columns.
    private static func wrapped(_ text: String) -> [String] {
        var lines: [String] = []
        var line = "#"
        for word in text.split(whereSeparator: \.isWhitespace) {
            if line.count + 1 + word.count > 100, line != "#" {
                lines.append(line)
                line = "#"
            }
            line += " " + word
        }
        return lines + [line]
    }
}

/// A setting that the units cannot express.
struct ImportOmission: Equatable {
    var setting: ImportedUnit.Setting
    var reason: String
}

/// The result of an import.
struct ImportResult: Equatable {
    var units: [ImportedUnit] = []
    /// Settings that belong to no unit.
    var general: [ImportOmission] = []

    /// All settings that could not be translated, in the order of the files.
    var omissions: [ImportOmission] { units.flatMap(\.omissions) + general }
}

/// The reason why nothing can be imported.
struct ImportError: Error, Equatable { let text: String }
