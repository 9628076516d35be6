import FoundationEssentials
import Testing
import Vocabulary

@testable import ControlProtocol

/// Reads just enough of Varlink's definition language to compare it with the Swift types.
private struct Definition {
    /// The parameters in the description of each method: `name: string`.
    var methods: [String: [String]] = [:]
    var errors: Set<String> = []
    /// The names in the parentheses of each type.
    var members: [String: Set<String>] = [:]

    init(_ text: String) {
        let code = text.split(separator: "\n").filter { !$0.drop(while: { $0 == " " }).hasPrefix("#") }
        let words = code.joined(separator: "\n")
        for line in code {
            let parts = line.split(whereSeparator: { " (".contains($0) }).map(String.init)
            guard parts.count >= 2 else { continue }
            switch parts[0] {
            case "method":
                guard let start = words.firstRange(of: "method \(parts[1])(")?.upperBound else { continue }
                let list: Substring = words[start...].prefix { $0 != ")" }
                methods[parts[1]] = list.split(separator: ",").map { String($0.drop { " \n".contains($0) }) }
                    .map { $0.filter { $0 != "\n" } }.filter { !$0.isEmpty }
            case "error": errors.insert(parts[1])
            case "type":
                guard let start = words.firstRange(of: "type \(parts[1]) (")?.upperBound else { continue }
                let body: Substring = words[start...].prefix { $0 != ")" }
                for field in body.split(separator: ",") {
                    let name: Substring = field.prefix { $0 != ":" }
                    members[parts[1], default: []].insert(name.filter { $0 != "\n" && $0 != " " })
                }
            default: break
            }
        }
    }
}

@Suite("The interface description")
struct InterfaceTests {
    private let definition = Definition(Interface.manager.text)

    @Test("What the daemon serves is the packaged file: its name, and nothing that a screen takes for a command")
    func packagedFile() throws {
        let text = Interface.manager.text
        #expect(text.contains("\ninterface io.holdfast.Manager\n"))
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || (0x20..<0x7f).contains($0.value) })
    }

    @Test("It declares exactly the methods of the table, with their parameters in order, and the errors that exist")
    func methodsAndErrors() {
        let table = Method.all.filter { $0.name.hasPrefix("io.holdfast.Manager.") }
        #expect(Set(definition.methods.keys) == Set(table.map { String($0.name.dropFirst(20)) }))
        for method in table {
            let described = definition.methods[String(method.name.dropFirst(20))]
            #expect(described == method.parameters.map { "\($0.name): \($0.type)" }, "\(method.name)")
        }
        let errors = Samples.errors.map(\.error.name).filter { $0.hasPrefix("io.holdfast.Manager.") }
        #expect(definition.errors == Set(errors.map { String($0.dropFirst(20)) }))
    }

    @Test("Its types have exactly the fields that are sent")
    func fields() throws {
        func check(_ type: String, _ value: some Encodable) throws {
            #expect(definition.members[type] == Set(try JSONObject(encoding: value).names), "type \(type)")
        }
        try check("ServiceStatus", Samples.service)
        try check("GenerationStatus", Samples.generation)
        try check("UnitStatus", Samples.unit)
        try check("Progress", Samples.progress)
        try check("FailureReport", Samples.failure)
        try check("OperationResult", Samples.result)
        try check("DrainEnd", Samples.drainEnd)
        try check("PhaseDurations", Samples.durations)
        try check("HistoryEntry", Samples.entry)
        try check("Actor", Actor(uid: 1, user: "a"))
        try check("GenerationReference", GenerationReference(generation: 1, release: "v1"))
        try check("SocketStatus", Samples.startedSocket)
        try check("SocketLimit", SocketLimit(burst: 1, interval: 1))
        try check("SocketChange", Samples.socketChange)
        try check("SocketHolder", SocketHolder(unit: "a", generation: 1))
        try check("UnitGenerations", UnitGenerations(unit: "a", generations: []))
        try check("UnitText", UnitText(path: "a", text: "b"))
        try check("UnitDiagnostic", Samples.diagnostic)
        try check("ListedUnit", Samples.listed)
        try check("Finding", Samples.finding)
        try check("Property", Property("a", "b"))
        try check("UnitEvent", Samples.event)
        try check("LogLine", Samples.line)
        try check("Dependency", Dependency(unit: "a", needs: "b", because: "Wants"))
        try check("UnitFileStatus", UnitFileStatus(unit: "a", state: .static))
    }

    @Test("Its enumerations have exactly the values that are sent")
    func values() {
        func check<E: RawRepresentable & CaseIterable>(_ type: String, _: E.Type) where E.RawValue == String {
            #expect(definition.members[type] == Set(E.allCases.map(\.rawValue)), "type \(type)")
        }
        check("UnitState", UnitState.self)
        check("GenerationRole", GenerationRole.self)
        check("ServiceState", ServiceState.self)
        check("SwapPhase", SwapPhase.self)
        check("OperationOutcome", OperationOutcome.self)
        check("DrainForceReason", DrainForceReason.self)
        check("HistoryKind", HistoryKind.self)
        check("SocketScope", SocketScope.self)
        check("SocketKind", SocketKind.self)
        check("SocketState", SocketState.self)
        check("DiagnosticSeverity", DiagnosticSeverity.self)
        check("SignalTarget", Request.SignalTarget.self)
        check("EventKind", EventKind.self)
        check("UnitFileState", UnitFileStateWord.self)
    }

    @Test("An interface that is not ours is not found")
    func notFound() throws {
        #expect(try Interfaces.description(of: "org.varlink.service").description.hasPrefix("# What every"))
        #expect(throws: ControlError.interfaceNotFound(interface: "x")) { try Interfaces.description(of: "x") }
    }
}
