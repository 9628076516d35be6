// systemd.exec(5): identity, paths, environment and standard input. The rest is in `UnitBuilder+Scheduling`.

extension UnitBuilder {
    /// Identity, paths, environment and standard input of commands.
    static let executionDirectives: [Directive] = [
        Directive("User", .exec, in: .commands) { $0.execution.user = $0.account($1, $0.execution.user) },
        Directive("Group", .exec, in: .commands) { $0.execution.group = $0.account($1, $0.execution.group) },
        Directive("SupplementaryGroups", .exec, in: .commands) { $0.supplementaryGroups($1) },
        Directive("SetLoginEnvironment", .exec, in: .commands) {
            $0.execution.setLoginEnvironment =
                $1.value.isEmpty
                ? nil : $0.value($1, .ignored, Value.boolean) ?? $0.execution.setLoginEnvironment
        },
        Directive("CapabilityBoundingSet", .exec, in: .commands) { $0.capabilityBoundingSet($1) },
        Directive("AmbientCapabilities", .exec, in: .commands) { $0.ambientCapabilities($1) },
        Directive("SecureBits", .exec, in: .commands) { $0.secureBits($1) },
        Directive("NoNewPrivileges", .exec, in: .commands) {
            if let on = $0.value($1, .fatal, Value.boolean) { $0.execution.noNewPrivileges = on }
        },
        Directive("KeyringMode", .exec, in: .commands) {
            if let mode = $0.choice($1, .ignored, of: KeyringMode.self) { $0.execution.keyringMode = mode }
        },
        Directive("WorkingDirectory", .exec, in: .commands) { $0.workingDirectory($1) },
        Directive("RootDirectory", .exec, in: .commands) { $0.rootDirectory($1) },
        Directive("ExecSearchPath", .exec, in: .commands) { $0.execSearchPath($1) },
        Directive("RuntimeDirectory", .exec, in: .commands) { $0.directories(.runtime, $1) },
        Directive("StateDirectory", .exec, in: .commands) { $0.directories(.state, $1) },
        Directive("CacheDirectory", .exec, in: .commands) { $0.directories(.cache, $1) },
        Directive("LogsDirectory", .exec, in: .commands) { $0.directories(.logs, $1) },
        Directive("ConfigurationDirectory", .exec, in: .commands) { $0.directories(.configuration, $1) },
        Directive("RuntimeDirectoryMode", .exec, in: .commands) { $0.directoryMode(.runtime, $1) },
        Directive("StateDirectoryMode", .exec, in: .commands) { $0.directoryMode(.state, $1) },
        Directive("CacheDirectoryMode", .exec, in: .commands) { $0.directoryMode(.cache, $1) },
        Directive("LogsDirectoryMode", .exec, in: .commands) { $0.directoryMode(.logs, $1) },
        Directive("ConfigurationDirectoryMode", .exec, in: .commands) { $0.directoryMode(.configuration, $1) },
        Directive("RuntimeDirectoryPreserve", .exec, in: .commands) { $0.runtimeDirectoryPreserve($1) },
        Directive("Environment", .exec, in: .commands) { $0.environment($1) },
        Directive("EnvironmentFile", .exec, in: .commands) { $0.environmentFile($1) },
        Directive("PassEnvironment", .exec, in: .commands) { $0.passEnvironment($1) },
        Directive("UnsetEnvironment", .exec, in: .commands) { $0.unsetEnvironment($1) },
        Directive("StandardInput", .exec, in: .commands) { $0.standardInput($1) },
        Directive("StandardInputText", .exec, in: .commands) { $0.standardInputText($1) },
        Directive("StandardInputData", .exec, in: .commands) { $0.standardInputData($1) },
    ]

    // MARK: Identity

    /// A user or group; an empty assignment resets it.
    mutating func account(_ assignment: Assignment, _ current: String?) -> String? {
        if assignment.value.isEmpty { return nil }
        return expanded(assignment, .fatal, Value.account) ?? current
    }

    private mutating func supplementaryGroups(_ assignment: Assignment) {
        if assignment.value.isEmpty { execution.supplementaryGroups = [] }
        for word in words(assignment, escapes: .interpreted, .fatal) {
            do {
                execution.supplementaryGroups.append(try Value.account(word.text))
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .fatal)
            }
        }
    }

    private mutating func capabilityBoundingSet(_ assignment: Assignment) {
        let bits = capabilities(assignment, execution.capabilityBoundingSet?.bits ?? .max, initial: .max)
        execution.capabilityBoundingSet = bits == .max ? nil : CapabilitySet(bits: bits)
    }

    private mutating func ambientCapabilities(_ assignment: Assignment) {
        let bits = capabilities(assignment, execution.ambientCapabilities.bits, initial: 0)
        execution.ambientCapabilities = CapabilitySet(bits: bits)
    }

    /// Merges sets, and subtracts them after `~`; an empty assignment, or `~` alone, starts anew.
    private mutating func capabilities(_ assignment: Assignment, _ current: UInt64, initial: UInt64) -> UInt64 {
        let inverts = assignment.value.hasPrefix("~")
        var sum: UInt64 = 0
        for word in words(assignment, escapes: .interpreted, .fatal) {
            let name = inverts && word.text.hasPrefix("~") ? String(word.text.dropFirst()) : word.text
            if name.isEmpty { continue }
            do {
                // A number is valid as well (capabilities(7)).
                if let number = try? Value.integer(name, in: 0...UInt64(CapabilitySet.names.count - 1)) {
                    sum |= 1 << number
                } else {
                    sum |= try CapabilitySet.bit(of: name)
                }
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset, suggestion: error.suggestion), .fatal)
            }
        }
        if sum == 0 || current == initial { return inverts ? ~sum : sum }
        return inverts ? current & ~sum : current | sum
    }

    private mutating func secureBits(_ assignment: Assignment) {
        // Each assignment replaces all bits, as under systemd 252.
        execution.secureBits = []
        for word in words(assignment, escapes: .interpreted, .fatal) {
            if let bit = SecureBits.names[word.text] {
                execution.secureBits.insert(bit)
            } else {
                let names = SecureBits.names.keys.sorted()
                let near = EditDistance.closest(to: word.text, in: names)
                let message = "expected some of \(names.joined(separator: ", ")), not \"\(word.text)\""
                reject(assignment, ValueError(message, at: word.offset, suggestion: near), .fatal)
            }
        }
    }

    // MARK: Paths

    private mutating func workingDirectory(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.workingDirectory = nil
            return
        }
        let directory = expanded(assignment, .fatal) { (text) throws(ValueError) in
            let optional = text.hasPrefix("-")
            let path = optional ? String(text.dropFirst()) : text
            if path == "~" { return WorkingDirectory(.home, mayBeMissing: optional) }
            return WorkingDirectory(.path(try Value.absolutePath(path)), mayBeMissing: optional)
        }
        if let directory { execution.workingDirectory = directory }
    }

    private mutating func rootDirectory(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.rootDirectory = nil
            return
        }
        let root = expanded(assignment, .fatal) { (text) throws(ValueError) in
            let optional = text.hasPrefix("-")
            return RootDirectory(
                try Value.absolutePath(optional ? String(text.dropFirst()) : text), mayBeMissing: optional)
        }
        guard let root else { return }
        execution.rootDirectory = root.path == "/" ? nil : root
    }

    private mutating func execSearchPath(_ assignment: Assignment) {
        if assignment.value.isEmpty { execution.execSearchPath = [] }
        let text = expanded(assignment, .ignored) { $0 } ?? ""
        for part in text.utf8.split(separator: UInt8(ascii: ":")).compactMap({ String($0) }) {
            do {
                execution.execSearchPath.append(try Value.absolutePath(part))
            } catch {
                reject(assignment, error, .ignored)
            }
        }
    }

    private mutating func directories(_ kind: DirectoryKind, _ assignment: Assignment) {
        if assignment.value.isEmpty { execution.directories[kind]?.entries = [] }
        for word in words(assignment, escapes: .interpreted, .fatal) {
            do {
                let entry = try Self.directory(word.text, kind)
                for path in [entry.path, entry.link].compactMap(\.self) { try mayHave(path, kind) }
                execution.directories[kind, default: .init()].entries.append(entry)
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .fatal)
            }
        }
    }

    /// Refuses the supervisor's own directories. A service that managed one would control the supervisor's socket,
    /// journal and history, and a runtime directory is removed with the service.
    private func mayHave(_ path: String, _ kind: DirectoryKind) throws(ValueError) {
        let full = expander.environment.root(of: kind) + "/" + path
        guard let own = expander.environment.ownDirectory(at: full) else { return }
        throw ValueError("\(full) cannot be a directory of a service: \(own) belongs to the supervisor")
    }

    private static func directory(
        _ text: String, _ kind: DirectoryKind
    ) throws(ValueError) -> ManagedDirectories.Entry {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 1 || parts.count == 2 && kind != .configuration else {
            throw ValueError("expected a directory, or directory:link, not \"\(text)\"")
        }
        let path = try Value.relativePath(parts[0])
        return ManagedDirectories.Entry(path, link: parts.count == 2 ? try Value.relativePath(parts[1]) : nil)
    }

    private mutating func directoryMode(_ kind: DirectoryKind, _ assignment: Assignment) {
        if let mode = value(assignment, .fatal, Value.mode) {
            execution.directories[kind, default: .init()].mode = mode
        }
    }

    private mutating func runtimeDirectoryPreserve(_ assignment: Assignment) {
        let preserve = value(assignment, .ignored) { (text) throws(ValueError) -> RuntimeDirectoryPreserve in
            if text == "restart" { return .restart }
            guard let on = try? Value.boolean(text) else {
                throw ValueError("expected \"yes\", \"no\" or \"restart\", not \"\(text)\"")
            }
            return on ? .yes : .no
        }
        if let preserve { execution.runtimeDirectoryPreserve = preserve }
    }

    // MARK: Environment

    private mutating func environment(_ assignment: Assignment) {
        if assignment.value.isEmpty { execution.environment = [] }
        for word in words(assignment, escapes: .interpreted) {
            do {
                execution.environment.append(try EnvironmentAssignment.parse(word.text))
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .ignored)
            }
        }
    }

    private mutating func environmentFile(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.environmentFiles = []
            return
        }
        let location = assignment.valueLocation
        let file = expanded(assignment, .fatal) { (text) throws(ValueError) in
            let optional = text.hasPrefix("-")
            let path = try Value.absolutePath(optional ? String(text.dropFirst()) : text)
            return EnvironmentFileReference(path: path, mayBeMissing: optional, location: location)
        }
        if let file { execution.environmentFiles.append(file) }
    }

    private mutating func passEnvironment(_ assignment: Assignment) {
        if assignment.value.isEmpty { execution.passEnvironment = [] }
        for word in words(assignment, escapes: .interpreted) {
            if EnvironmentAssignment.isValidName(word.text) {
                execution.passEnvironment.append(word.text)
            } else {
                reject(
                    assignment, ValueError("\"\(word.text)\" is not the name of a variable", at: word.offset), .ignored)
            }
        }
    }

    private mutating func unsetEnvironment(_ assignment: Assignment) {
        if assignment.value.isEmpty { execution.unsetEnvironment = [] }
        for word in words(assignment, escapes: .interpreted) {
            do throws(ValueError) {
                if EnvironmentAssignment.isValidName(word.text) {
                    execution.unsetEnvironment.append(.name(word.text))
                } else {
                    execution.unsetEnvironment.append(.assignment(try EnvironmentAssignment.parse(word.text)))
                }
            } catch {
                reject(assignment, ValueError(error.message, at: word.offset), .ignored)
            }
        }
    }

    // MARK: Standard input

    private mutating func standardInput(_ assignment: Assignment) {
        let isService = name.kind == .service
        let input = expanded(assignment, .fatal) { (text) throws(ValueError) -> StandardInput in
            switch text {
            case "null": return .null
            case "data": return .data
            case "socket": return .socket
            case "fd", "fd:": return .descriptor("stdin")
            default: break
            }
            if let claim = TerminalClaim(rawValue: text) {
                guard isService else {
                    throw ValueError("\"\(text)\" is not supported for commands of a socket", code: .unsupportedValue)
                }
                return .terminal(claim)
            }
            if text.hasPrefix("file:") { return .file(try Value.absolutePath(String(text.dropFirst(5)))) }
            if text.hasPrefix("fd:") { return .descriptor(try Self.descriptorName(String(text.dropFirst(3)))) }
            throw ValueError("expected null, data, file:PATH, socket, fd:NAME or tty, not \"\(text)\"")
        }
        if let input { execution.explicitStandardInput = input }
    }

    private mutating func standardInputText(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.inputData = []
            return
        }
        let expander = expander
        let text = value(assignment, .fatal) { (text) throws(ValueError) in
            try expander.expand(try WordReader.unescaped(text))
        }
        warnAboutSpecifiers(assignment)
        if let text { append(Array(text.utf8) + [Ascii.newline], assignment) }
    }

    private mutating func standardInputData(_ assignment: Assignment) {
        if assignment.value.isEmpty {
            execution.inputData = []
            return
        }
        if let bytes = value(assignment, .fatal, Base64.decode) { append(bytes, assignment) }
    }

    private mutating func append(_ bytes: [UInt8], _ assignment: Assignment) {
        guard execution.inputData.count + bytes.count <= UnitFileLimits.inputData else {
            let message = "the data has more than \(UnitFileLimits.inputData) bytes"
            return reject(assignment, ValueError(message), .fatal)
        }
        execution.inputData += bytes
    }
}
