/// Values of the `%` specifiers that depend on the host and on how the supervisor runs (systemd.unit(5), "Specifiers").
///
/// nil means that the value is not known on this host; a unit that uses such a specifier has an error. Fields that
/// os-release(5) does not set are empty texts; without such a file they are nil.
public struct SpecifierEnvironment: Sendable, Hashable {
    /// `%t`, `%S`, `%C`, `%L`, `%E`: directory roots.
    public var runtimeDirectory = "/run"
    public var stateDirectory = "/var/lib"
    public var cacheDirectory = "/var/cache"
    public var logsDirectory = "/var/log"
    public var configurationDirectory = "/etc"
    /// Absolute paths of the supervisor's own directories: a service cannot manage one of them, a path below one, or a
    /// parent of one.
    public var ownDirectories: [String] = []
    /// The parent of all credential directories (`%d`), which have the names of their units.
    public var credentialsRoot: String?
    /// `%T`, `%V`.
    public var temporaryDirectory = "/tmp"
    public var persistentTemporaryDirectory = "/var/tmp"
    /// `%a`, `%v`, `%b`, `%m`.
    public var architecture = "x86-64"
    public var kernelRelease: String?
    public var bootID: String?
    public var machineID: String?
    /// `%H` (`%l` is its part before the first dot), `%q`.
    public var hostName: String?
    public var prettyHostName: String?
    /// `%u`, `%U`, `%g`, `%G`, `%h`, `%s`: the user who runs the supervisor.
    public var userName = "root"
    public var userID: UInt32 = 0
    public var groupName = "root"
    public var groupID: UInt32 = 0
    public var homeDirectory = "/root"
    public var shell = "/bin/sh"
    /// `%o`, `%w`, `%W`, `%A`, `%B`, `%M`: ID, VERSION_ID, VARIANT_ID, IMAGE_VERSION, BUILD_ID, IMAGE_ID of
    /// os-release(5).
    public var osID: String?
    public var osVersionID: String?
    public var osVariantID: String?
    public var osImageVersion: String?
    public var osBuildID: String?
    public var osImageID: String?

    public init() {}

    /// The supervisor's own directory that is the path, contains it, or lies below it; nil if there is none.
    func ownDirectory(at path: String) -> String? {
        let parts = path.split(separator: "/")
        return ownDirectories.first { own in zip(own.split(separator: "/"), parts).allSatisfy { $0 == $1 } }
    }

    /// The directory to which the names of `RuntimeDirectory=` and its siblings are relative.
    public func root(of kind: DirectoryKind) -> String {
        switch kind {
        case .runtime: runtimeDirectory
        case .state: stateDirectory
        case .cache: cacheDirectory
        case .logs: logsDirectory
        case .configuration: configurationDirectory
        }
    }
}

/// Replaces specifiers in the values of one unit.
public struct SpecifierExpander: Sendable {
    public let environment: SpecifierEnvironment
    public let unit: UnitName
    /// The value of `%y`, and for `%Y`; nil if the unit has no fragment.
    public let fragmentPath: String?
    /// Resolves the symbolic links of a path.
    private let realPath: @Sendable (String) -> String?

    public init(
        environment: SpecifierEnvironment, unit: UnitName, fragmentPath: String?,
        realPath: @escaping @Sendable (String) -> String? = { $0 }
    ) {
        self.environment = environment
        self.unit = unit
        self.fragmentPath = fragmentPath
        self.realPath = realPath
    }

    /// The set of specifiers that may be used.
    public enum Scope: Sendable {
        case all
        /// Specifiers whose values are safe in unit names (systemd's unit_name_printf()).
        case unitNames
    }

    /// Replaces all specifiers of a text. Error offsets count from the start of `text`.
    public func expand(_ text: String, _ scope: Scope = .all) throws(ValueError) -> String {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return text }
        let bytes = Array(text.utf8)
        var result = ""
        var index = 0
        while index < bytes.count {
            let next = bytes[index...].firstIndex(of: UInt8(ascii: "%")) ?? bytes.count
            result += Ascii.string(bytes[index..<next])
            guard next < bytes.count else { break }
            // As in systemd, a "%" at the end stands for itself.
            guard next + 1 < bytes.count else {
                result += "%"
                break
            }
            let specifier = bytes[next + 1]
            if Ascii.isLetter(specifier) || Ascii.isDigit(specifier) || specifier == UInt8(ascii: "%") {
                guard scope == .all || Self.inUnitNames.contains(specifier) else {
                    throw ValueError(
                        "%\(Unicode.Scalar(specifier)) cannot be used in the name of a unit", at: next,
                        code: .unknownSpecifier)
                }
                result += try value(of: specifier, at: next)
                index = next + 2
            } else {
                // As in systemd, a "%" is kept before a character that cannot be a specifier.
                result += "%"
                index = next + 1
            }
            guard result.utf8.count <= UnitFileLimits.expandedLength else {
                throw ValueError(
                    "the value is longer than \(UnitFileLimits.expandedLength) bytes once expanded", at: next)
            }
        }
        return result
    }

    /// Like `expand`, with error offsets from the start of the value that contains the word.
    func expand(_ word: Word, _ scope: Scope = .all) throws(ValueError) -> String {
        do {
            return try expand(word.text, scope)
        } catch {
            var moved = error
            moved.offset += word.offset
            throw moved
        }
    }

    /// Places of the specifiers that systemd 252 expands with a warning that they do not work as intended.
    static func deprecated(in text: String) -> [(specifier: String, offset: Int)] {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return [] }
        let bytes = Array(text.utf8)
        var found: [(String, Int)] = []
        var index = 0
        while let next = bytes[index...].firstIndex(of: UInt8(ascii: "%")), next + 1 < bytes.count {
            if "crR".utf8.contains(bytes[next + 1]) {
                found.append(("%" + Ascii.string(bytes[next + 1...next + 1]), next))
            }
            index = next + 2
        }
        return found
    }

    private static let inUnitNames = Set("%ijnNpaAbBHlqmMovwWgGuU".utf8)

    private func value(of specifier: UInt8, at offset: Int) throws(ValueError) -> String {
        let name = "%" + String(Unicode.Scalar(specifier))
        let known: String?
        switch specifier {
        case UInt8(ascii: "%"): known = "%"
        case UInt8(ascii: "i"): known = unit.instance ?? ""
        case UInt8(ascii: "I"): known = UnitNameEscaping.unescape(unit.instance ?? "")
        case UInt8(ascii: "n"): known = unit.description
        case UInt8(ascii: "N"): known = unit.stem
        case UInt8(ascii: "p"): known = unit.prefix
        case UInt8(ascii: "P"): known = UnitNameEscaping.unescape(unit.prefix)
        case UInt8(ascii: "j"): known = lastComponent
        case UInt8(ascii: "J"): known = UnitNameEscaping.unescape(lastComponent)
        case UInt8(ascii: "f"): known = UnitNameEscaping.unescapePath(unit.instance ?? unit.prefix)
        case UInt8(ascii: "y"): known = fragmentPath.flatMap(realPath)
        case UInt8(ascii: "Y"): known = fragmentPath.flatMap(realPath).map(directory)
        // The values that systemd 252 gives its deprecated specifiers: paths of control groups before the slice is
        // known.
        case UInt8(ascii: "c"): known = "/" + unit.description
        case UInt8(ascii: "r"), UInt8(ascii: "R"): known = ""
        default: known = try hostValue(of: specifier, name: name, at: offset)
        }
        guard let known else {
            throw ValueError("\(name) has no value on this host", at: offset, code: .unknownSpecifier)
        }
        return known
    }

    private func hostValue(of specifier: UInt8, name: String, at offset: Int) throws(ValueError) -> String? {
        switch specifier {
        case UInt8(ascii: "t"): return environment.runtimeDirectory
        case UInt8(ascii: "S"): return environment.stateDirectory
        case UInt8(ascii: "C"): return environment.cacheDirectory
        case UInt8(ascii: "L"): return environment.logsDirectory
        case UInt8(ascii: "E"): return environment.configurationDirectory
        case UInt8(ascii: "d"): return environment.credentialsRoot.map { $0 + "/" + unit.description }
        case UInt8(ascii: "T"): return environment.temporaryDirectory
        case UInt8(ascii: "V"): return environment.persistentTemporaryDirectory
        case UInt8(ascii: "a"): return environment.architecture
        case UInt8(ascii: "v"): return environment.kernelRelease
        case UInt8(ascii: "b"): return environment.bootID
        case UInt8(ascii: "m"): return environment.machineID
        case UInt8(ascii: "H"): return environment.hostName
        case UInt8(ascii: "l"): return shortHostName
        case UInt8(ascii: "q"): return environment.prettyHostName ?? shortHostName
        case UInt8(ascii: "u"): return environment.userName
        case UInt8(ascii: "U"): return String(environment.userID)
        case UInt8(ascii: "g"): return environment.groupName
        case UInt8(ascii: "G"): return String(environment.groupID)
        case UInt8(ascii: "h"): return environment.homeDirectory
        case UInt8(ascii: "s"): return environment.shell
        case UInt8(ascii: "o"): return environment.osID
        case UInt8(ascii: "w"): return environment.osVersionID
        case UInt8(ascii: "W"): return environment.osVariantID
        case UInt8(ascii: "A"): return environment.osImageVersion
        case UInt8(ascii: "B"): return environment.osBuildID
        case UInt8(ascii: "M"): return environment.osImageID
        default:
            throw ValueError(
                "\(name) is not a specifier; write %% for a percent sign", at: offset, code: .unknownSpecifier)
        }
    }

    /// `%j`: "the string between the last '-' and the end of the prefix name".
    private var lastComponent: String {
        let prefix = unit.prefix
        guard let dash = prefix.utf8.lastIndex(of: UInt8(ascii: "-")) else { return prefix }
        return String(prefix[prefix.utf8.index(after: dash)...])
    }

    private var shortHostName: String? {
        environment.hostName.map { String($0.prefix { $0 != "." }) }
    }

    private func directory(_ path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")), slash > path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
