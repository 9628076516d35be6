/// The kinds of units that Holdfast runs, by the suffix of their names.
public enum UnitKind: String, Sendable, Hashable, CaseIterable, Comparable {
    case service, socket, target

    /// The suffix with its dot: `.service`.
    public var suffix: String {
        switch self {
        case .service: ".service"
        case .socket: ".socket"
        case .target: ".target"
        }
    }

    public static func < (left: UnitKind, right: UnitKind) -> Bool { left.rawValue < right.rawValue }

    /// Kinds of systemd units that Holdfast does not run; such names are legal in dependency lists.
    static let foreign: Set<String> = [
        "device", "mount", "automount", "swap", "path", "timer", "slice", "scope", "snapshot", "busname",
    ]
}

/// The reason why a text is not a unit name.
public enum UnitNameError: Error, Hashable, Sendable, CustomStringConvertible {
    case empty
    /// Longer than 255 bytes.
    case tooLong(Int)
    /// No suffix with the kind at the end: `app`.
    case noSuffix(String)
    /// A suffix that is no kind of unit: `app.servic`.
    case unknownSuffix(String)
    /// A kind of systemd unit that Holdfast does not run: `data.mount`.
    case foreignKind(String)
    /// Nothing before the `@` or the suffix.
    case emptyPrefix(String)
    /// A byte outside letters, digits and `:-_.\`; `offset` counts bytes from 0.
    case invalidCharacter(String, offset: Int)
    /// Instantiation of a name that is not a template, or with an empty instance.
    case notTemplate(String)

    public var description: String {
        switch self {
        case .empty: "the unit name is empty"
        case .tooLong(let length): "the unit name has \(length) bytes; the limit is \(UnitFileLimits.nameLength)"
        case .noSuffix(let text): "\"\(text)\" has no suffix (.service, .socket or .target)"
        case .unknownSuffix(let text): "\"\(text)\" does not end in .service, .socket or .target"
        case .foreignKind(let text): "\"\(text)\" is a kind of unit that Holdfast does not run"
        case .emptyPrefix(let text): "\"\(text)\" has nothing before its suffix"
        case .invalidCharacter(let text, let offset):
            "\"\(text)\" has a character at byte \(offset + 1) that unit names may not contain"
        case .notTemplate(let text): "\"\(text)\" is not a template"
        }
    }
}

/// The name of a unit: `app.service`, the template `app@.service`, or its instance `app@v2.service` (systemd.unit(5)).
///
/// Stored as one string with the positions of `@` and of the suffix, so that comparing and hashing cost no more than
/// for a string.
public struct UnitName: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The whole name with its suffix.
    public let description: String
    /// The kind that the suffix names.
    public let kind: UnitKind
    /// Byte offset of the first `@`, or `noAt`. Names have at most 255 bytes, so one byte is enough.
    private let at: UInt8

    private static let noAt = UInt8.max

    /// Reads a full name with suffix.
    public init(_ text: some StringProtocol) throws(UnitNameError) {
        let text = String(text)
        let utf8 = text.utf8
        guard !utf8.isEmpty else { throw .empty }
        guard utf8.count <= UnitFileLimits.nameLength else { throw .tooLong(utf8.count) }
        var at = Self.noAt
        var dot = -1
        var offset = 0
        for byte in utf8 {
            if byte == UInt8(ascii: "@") {
                if at == Self.noAt { at = UInt8(offset) }
            } else if byte == UInt8(ascii: ".") {
                dot = offset
            } else if !UnitName.isValid(byte) {
                throw .invalidCharacter(text, offset: offset)
            }
            offset += 1
        }
        guard dot >= 0 else { throw .noSuffix(text) }
        let suffix = String(text[utf8.index(utf8.startIndex, offsetBy: dot + 1)...])
        guard let kind = UnitKind(rawValue: suffix) else {
            throw UnitKind.foreign.contains(suffix) ? .foreignKind(text) : .unknownSuffix(text)
        }
        // An "@" after the dot of the suffix is impossible here: no suffix contains one.
        guard dot > 0, at != 0 else { throw .emptyPrefix(text) }
        self.description = text
        self.kind = kind
        self.at = at
    }

    private init(unchecked text: String, kind: UnitKind, at: UInt8) {
        self.description = text
        self.kind = kind
        self.at = at
    }

    /// The part before the `@`, or before the suffix: `app`.
    public var prefix: String {
        let end = at == Self.noAt ? stemLength : Int(at)
        return String(description.utf8.prefix(end)) ?? ""
    }

    /// The part between the `@` and the suffix: `v2`; nil for templates and plain names.
    public var instance: String? {
        guard at != Self.noAt, Int(at) + 1 < stemLength else { return nil }
        return String(description.utf8.prefix(stemLength).dropFirst(Int(at) + 1))
    }

    /// The name without its suffix: `app@v2`.
    public var stem: String { String(description.utf8.prefix(stemLength)) ?? "" }

    /// Whether this is a template: `app@.service`.
    public var isTemplate: Bool { at != Self.noAt && Int(at) + 1 == stemLength }

    /// Whether this is an instance: `app@v2.service`.
    public var isInstance: Bool { at != Self.noAt && !isTemplate }

    /// The template of an instance or of a template; nil for a plain name.
    public var template: UnitName? {
        guard at != Self.noAt else { return nil }
        if isTemplate { return self }
        return UnitName(unchecked: prefix + "@" + kind.suffix, kind: kind, at: at)
    }

    /// The name common to all releases: the template of an instance, else the name itself.
    public var identity: UnitName { template ?? self }

    /// The instance of a template: `app@.service` with `v2` is `app@v2.service`.
    public func instantiated(_ instance: String) throws(UnitNameError) -> UnitName {
        guard isTemplate, !instance.isEmpty else { throw .notTemplate(description) }
        return try UnitName(prefix + "@" + instance + kind.suffix)
    }

    /// The unit of another kind with the same stem: `app@v2.service` -> `app@v2.socket`; nil only if the name would be
    /// too long.
    public func sibling(_ kind: UnitKind) -> UnitName? {
        let text = stem + kind.suffix
        guard text.utf8.count <= UnitFileLimits.nameLength else { return nil }
        return UnitName(unchecked: text, kind: kind, at: at)
    }

    /// The template whose instances serve the connections of `Accept=yes`: `echo@.service` for `echo.socket`; nil only
    /// if the name would be too long.
    var connectionTemplate: UnitName? {
        let prefix = prefix
        let text = prefix + "@" + UnitKind.service.suffix
        guard text.utf8.count <= UnitFileLimits.nameLength else { return nil }
        return UnitName(unchecked: text, kind: .service, at: UInt8(prefix.utf8.count))
    }

    public static func == (left: UnitName, right: UnitName) -> Bool { left.description == right.description }
    public func hash(into hasher: inout Hasher) { hasher.combine(description) }
    public static func < (left: UnitName, right: UnitName) -> Bool { left.description < right.description }

    private var stemLength: Int { description.utf8.count - kind.suffix.utf8.count }

    private static func isValid(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "-"), UInt8(ascii: "_"),
            UInt8(ascii: "."), UInt8(ascii: "\\"):
            true
        default: false
        }
    }
}

/// Escaping of arbitrary strings for use inside unit names (systemd.unit(5), systemd-escape(1)).
public enum UnitNameEscaping {
    /// Escapes a text: `/` becomes `-`; bytes other than ASCII letters, digits, `:`, `_`, `.` become `\xNN`, and so
    /// does a leading `.`.
    public static func escape(_ text: String) -> String {
        var result = ""
        for (offset, byte) in text.utf8.enumerated() {
            switch byte {
            case UInt8(ascii: "/"): result.append("-")
            case UInt8(ascii: ".") where offset == 0: result.append("\\x2e")
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: "."):
                result.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = String(byte, radix: 16)
                result.append(digits.utf8.count == 1 ? "\\x0\(digits)" : "\\x\(digits)")
            }
        }
        return result
    }

    /// Escapes a path: like `escape`, after removing leading, trailing and repeated slashes; the root directory is `-`.
    public static func escapePath(_ path: String) -> String {
        let parts = path.utf8.split(separator: UInt8(ascii: "/")).compactMap { String($0) }
        return parts.isEmpty ? "-" : escape(parts.joined(separator: "/"))
    }

    /// Reverses `escape`; nil if an escape is malformed or the result is not UTF-8.
    public static func unescape(_ text: String) -> String? {
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "-"): result.append(UInt8(ascii: "/"))
            case UInt8(ascii: "\\"):
                guard index + 3 < bytes.count, bytes[index + 1] == UInt8(ascii: "x"),
                    let high = Ascii.hexDigit(bytes[index + 2]), let low = Ascii.hexDigit(bytes[index + 3])
                else { return nil }
                result.append(high << 4 | low)
                index += 3
            default: result.append(bytes[index])
            }
            index += 1
        }
        return String(validating: result, as: UTF8.self)
    }

    /// Reverses `escapePath`: `foo-bar-baz` -> `/foo/bar/baz`, `-` -> `/`. nil also for paths that `escapePath` never
    /// makes: with a slash at either end, two in a row, or `.` or `..` as a component.
    public static func unescapePath(_ text: String) -> String? {
        if text == "-" { return "/" }
        guard let path = unescape(text) else { return nil }
        let parts = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard !parts.contains(where: { $0.isEmpty || $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) })
        else { return nil }
        return "/" + path
    }
}
