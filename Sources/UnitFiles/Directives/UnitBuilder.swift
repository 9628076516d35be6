/// Turns the assignments of a fragment and its drop-ins, applied in order, into a typed unit.
///
/// As lenient as systemd: an invalid value is reported and the assignment ignored. If the service would then run
/// differently from what the unit asks for (another command, user, address or limit of a swap), the unit also becomes
/// unusable: silently leaving out protection is worse than not starting.
struct UnitBuilder {
    /// The effect of an invalid value on the unit.
    enum Policy {
        /// The assignment is ignored, as systemd does.
        case ignored
        /// The unit is unusable.
        case fatal
    }

    let name: UnitName
    let expander: SpecifierExpander
    var diagnostics: [Diagnostic] = []
    /// Number of diagnostics that were not kept.
    private var dropped = 0
    private(set) var isUsable = true
    var unit = UnitSection()
    var install = InstallSection()
    var swap: SwapSection?
    var service: ServiceUnit
    var socket: SocketUnit
    /// The execution environment of the service, or of the socket's own commands.
    var execution = ExecutionSettings()
    /// Protection that the unit asks for and would not get: directive -> places of its assignments.
    var missingProtection: [String: [SourceLocation]] = [:]
    /// `X-AllowUnsupported=`
    var allowsUnsupported = false
    /// The target as far as it could be read, usable or not.
    private(set) var incompleteTarget: TargetUnit?
    /// The start of the unit's own section, the place of messages about missing directives.
    private var ownSection: SourceLocation?
    private var firstFile: SourceLocation
    /// The place of `Type=`; nil if it is unset.
    var typeLocation: SourceLocation?
    /// Whether `TimeoutStartSec=` or `TimeoutSec=` is set.
    var hasStartTimeout = false
    /// Mounts and devices that the unit requires.
    var hostRequirements: [Condition] = []
    /// Whether a value that the unit cannot do without was refused; its absence is then not reported as well.
    var hasRefusedEssential = false

    let aliases: UnitAliases

    init(
        name: UnitName, environment: SpecifierEnvironment, fragmentPath: String?, aliases: UnitAliases = UnitAliases(),
        realPath: @escaping @Sendable (String) -> String? = { $0 }
    ) {
        self.name = name
        self.aliases = aliases
        expander = SpecifierExpander(
            environment: environment, unit: name, fragmentPath: fragmentPath, realPath: realPath)
        service = ServiceUnit(name: name)
        socket = SocketUnit(name: name)
        firstFile = SourceLocation(file: fragmentPath ?? name.description)
    }

    /// Applies one file over the previous ones: first the unit file, then its drop-ins.
    mutating func apply(_ file: ParsedUnitFile, isDropIn: Bool) {
        for var diagnostic in file.diagnostics {
            if isDropIn, file.isTruncated { diagnostic.severity = .warning }
            if diagnostic.severity == .error { refuse(diagnostic) } else { report(diagnostic) }
        }
        var known: [String: UnitSectionName] = [:]
        for header in file.sections where known[header.name] == nil {
            if let section = section(header) {
                known[header.name] = section
                if section == .swap, swap == nil { swap = SwapSection() }
                if ownSection == nil, section.rawValue.lowercased() == name.kind.rawValue {
                    ownSection = header.location
                }
            }
        }
        for assignment in file.assignments {
            guard let section = known[assignment.section] else { continue }
            apply(assignment, in: section)
        }
    }

    /// Makes the unit unusable. The first reason is kept even if there are too many diagnostics, in place of a warning:
    /// it is the headline of every refusal.
    mutating func refuse(_ diagnostic: Diagnostic) {
        let isFirst = isUsable
        isUsable = false
        guard diagnostics.count >= UnitFileLimits.diagnosticsPerUnit else { return diagnostics.append(diagnostic) }
        dropped += 1
        if isFirst { diagnostics[diagnostics.count - 1] = diagnostic }
    }

    /// Adds a diagnostic that does not make the unit unusable. Once there are too many, the argument is not evaluated,
    /// so that a hostile file costs little.
    mutating func report(_ diagnostic: @autoclosure () -> Diagnostic) {
        if diagnostics.count < UnitFileLimits.diagnosticsPerUnit {
            diagnostics.append(diagnostic())
        } else {
            dropped += 1
        }
    }

    /// The unit; nil if it is unusable, for the reasons in `diagnostics`.
    mutating func finish(origin: UnitOrigin) -> Unit? {
        if dropped > 0 {
            let message = "\(dropped) more problems of this unit are not shown"
            diagnostics.append(Diagnostic(.warning, .tooManyDiagnostics, at: firstFile, message))
        }
        unit.conditions.asserts += hostRequirements
        unit.after = Self.unique(unit.after)
        unit.before = Self.unique(unit.before)
        unit.wants = Self.unique(unit.wants)
        unit.requires = Self.unique(unit.requires)
        for list in DependencySection.lists { unit.graph[keyPath: list] = Self.unique(unit.graph[keyPath: list]) }
        switch name.kind {
        case .service:
            finishService()
            service.unit = unit
            service.execution = execution
            service.install = install
            service.swap = swap
            service.origin = origin
            return isUsable ? .service(service) : nil
        case .socket:
            finishSocket()
            socket.unit = unit
            socket.execution = execution
            socket.install = install
            socket.swap = swap
            socket.origin = origin
            return isUsable ? .socket(socket) : nil
        case .target:
            var target = TargetUnit(name: name)
            target.unit = unit
            target.install = install
            target.swap = swap
            target.origin = origin
            incompleteTarget = target
            return isUsable ? .target(target) : nil
        }
    }

    static func unique(_ references: [UnitReference]) -> [UnitReference] {
        guard references.count > 1 else { return references }
        var seen: Set<UnitName> = []
        return references.filter { seen.insert($0.name).inserted }
    }

    /// The place of messages that concern no single line.
    var sectionLocation: SourceLocation { ownSection ?? firstFile }

    /// Reports a missing directive.
    mutating func missing(_ directive: String, _ message: String) {
        guard !hasRefusedEssential else { return }
        let location = ownSection ?? firstFile
        refuse(Diagnostic(.error, .missingDirective, at: location, directive: directive, message))
    }

    // MARK: Sections and names of directives

    private mutating func section(_ header: SectionHeader) -> UnitSectionName? {
        if let section = UnitSectionName(rawValue: header.name) {
            if section.belongs(to: name.kind) { return section }
            let message = "[\(header.name)] has no meaning in a \(name.kind.suffix) unit; it is ignored"
            report(Diagnostic(.warning, .unknownSection, at: header.location, message))
            return nil
        }
        if header.name.hasPrefix("X-") {
            // Any program may have sections with this prefix; only a probable misspelling of [X-Swap] gets a warning.
            if let ours = EditDistance.closest(to: header.name, in: [UnitSectionName.swap.rawValue]) {
                let message = "[\(header.name)] is ignored"
                report(
                    Diagnostic(.warning, .unknownSection, at: header.location, message, suggestion: "[\(ours)]"))
            }
            return nil
        }
        let names = UnitSectionName.allCases.filter { $0.belongs(to: name.kind) }.map(\.rawValue)
        let near = header.name == "Swap" ? "X-Swap" : EditDistance.closest(to: header.name, in: names)
        let foreign = DirectiveTable.foreignSections.contains(header.name)
        let message =
            foreign
            ? "[\(header.name)] has no meaning in a \(name.kind.suffix) unit; it is ignored"
            : "unknown section [\(header.name)]; it is ignored"
        report(
            Diagnostic(.warning, .unknownSection, at: header.location, message, suggestion: near.map { "[\($0)]" }))
        return nil
    }

    private mutating func apply(_ assignment: Assignment, in section: UnitSectionName) {
        guard let directive = DirectiveTable.row(assignment.key, in: section) else {
            return reportUnknown(assignment, in: section)
        }
        switch directive.status {
        case .honoured(let parse), .ignored(_, let parse): parse(&self, assignment)
        case .protection(let protection) where section == .service: noteProtection(protection, assignment)
        case .unsupported, .protection: reportUnsupported(assignment, in: section)
        }
    }

    private mutating func reportUnsupported(_ assignment: Assignment, in section: UnitSectionName) {
        let key = assignment.key
        // A socket must not listen on only some of its addresses.
        if section == .socket, key.hasPrefix("Listen") {
            hasRefusedEssential = true
            return refuse(
                Diagnostic(
                    .error, .unsupportedDirective, at: assignment.keyLocation, directive: key,
                    "\(key)= is not supported yet"))
        }
        report(
            Diagnostic(
                .warning, .unsupportedDirective, at: assignment.keyLocation, directive: key,
                "\(key)= is not supported yet; it is ignored"))
    }

    private mutating func reportUnknown(_ assignment: Assignment, in section: UnitSectionName) {
        let key = assignment.key
        // A suggestion costs a comparison with every known name.
        guard diagnostics.count < UnitFileLimits.diagnosticsPerUnit else {
            dropped += 1
            return
        }
        let elsewhere = UnitSectionName.allCases.first { DirectiveTable.row(key, in: $0) != nil }
        if let elsewhere {
            report(
                Diagnostic(
                    .warning, .unknownDirective, at: assignment.keyLocation, directive: key,
                    "\(key)= has no meaning in [\(section.rawValue)]; it is ignored",
                    suggestion: "\(key)= in [\(elsewhere.rawValue)]"))
            return
        }
        if key.hasPrefix("X-") {
            let ours = DirectiveTable.acceptedNames(in: section).filter { $0.hasPrefix("X-") }
            if let near = EditDistance.closest(to: key, in: ours) {
                report(
                    Diagnostic(
                        .warning, .unknownDirective, at: assignment.keyLocation, directive: key,
                        "\(key)= is ignored", suggestion: "\(near)="))
            }
            return
        }
        let near =
            EditDistance.closest(to: key, in: DirectiveTable.acceptedNames(in: section))
            ?? EditDistance.closest(to: key, in: DirectiveTable.names(in: section).sorted())
        report(
            Diagnostic(
                .warning, .unknownDirective, at: assignment.keyLocation, directive: key,
                "unknown directive \(key)= in [\(section.rawValue)]; it is ignored",
                suggestion: near.map { "\($0)=" }))
    }

    // MARK: [Unit] and [Install]

    /// [Unit]: description, order, requirements and limits of starts.
    static let unitDirectives: [Directive] = [
        Directive("Description", .unit, in: .unit) { $0.unit.description = $0.text($1) },
        Directive("Documentation", .unit, in: .unit) {
            if $1.value.isEmpty { $0.unit.documentation = [] }
            for word in $0.words($1, escapes: .interpreted) {
                if Value.isDocumentation(word.text) {
                    $0.unit.documentation.append(word.text)
                } else {
                    let message = "expected man:…, info:…, file:/…, http://… or https://…, not \"\(word.text)\""
                    $0.reject($1, ValueError(message, at: word.offset), .ignored)
                }
            }
        },
        Directive("After", .unit, in: .unit) { $0.unit.after += $0.dependencies($1, .ignored) },
        Directive("Before", .unit, in: .unit) { $0.unit.before += $0.dependencies($1, .ignored) },
        Directive("Wants", .unit, in: .unit) { $0.unit.wants += $0.dependencies($1, .reported) },
        Directive("Requires", .unit, in: .unit) { $0.unit.requires += $0.dependencies($1, .required) },
        Directive("StartLimitIntervalSec", .unit, in: .unit) {
            if let limit = $0.value($1, .ignored, TimeSpan.parse) { $0.unit.startLimitInterval = limit }
        },
        Directive("StartLimitInterval", .unit, in: .unit) {
            if let limit = $0.value($1, .ignored, TimeSpan.parse) { $0.unit.startLimitInterval = limit }
        },
        Directive("StartLimitBurst", .unit, in: .unit) { $0.startLimitBurst($1) },
    ]

    mutating func startLimitBurst(_ assignment: Assignment) {
        if let burst = number(assignment, .ignored, in: UInt32.min...UInt32.max) { unit.startLimitBurst = burst }
    }

    /// [Install]: systemd.unit(5).
    static let installDirectives: [Directive] = [
        Directive("WantedBy", .unit, in: .install) { $0.install.wantedBy += $0.names($1, instantiate: false) },
        Directive("RequiredBy", .unit, in: .install) { $0.install.requiredBy += $0.names($1, instantiate: false) },
        Directive("Alias", .unit, in: .install) { $0.install.aliases += $0.names($1, instantiate: false) },
        Directive("Also", .unit, in: .install) { $0.install.also += $0.names($1, instantiate: false) },
        Directive("DefaultInstance", .unit, in: .install) { $0.install.defaultInstance = $0.text($1) },
        Directive("UpheldBy", .unit, in: .install) { $0.install.upheldBy += $0.names($1, instantiate: false) },
    ]

    mutating func dependencies(_ assignment: Assignment, _ foreign: ForeignUnits) -> [UnitReference] {
        // An empty assignment resets nothing: "dependencies may not be reset to an empty list" (systemd.unit(5)).
        names(assignment, instantiate: true, foreign: foreign)
    }
}
