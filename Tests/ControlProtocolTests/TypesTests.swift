import Testing

@testable import ControlProtocol

@Suite("Types on the wire")
struct TypesTests {
    private func check<T: Codable & Equatable>(_ value: T, _ json: String) throws {
        let object = try JSONObject(encoding: value)
        #expect(object.description == json)
        #expect(try object.decode(T.self) == value)
    }

    @Test("Each type is written with the documented names and read again")
    func golden() throws {
        try check(Samples.service, Samples.serviceJSON)
        try check(Samples.generation, Samples.generationJSON)
        try check(Samples.unit, Samples.unitJSON)
        try check(Samples.progress, Samples.progressJSON)
        try check(Samples.failure, Samples.failureJSON)
        try check(Samples.result, Samples.resultJSON)
        try check(Samples.entry, Samples.entryJSON)
        try check(Samples.socket, Samples.socketJSON)
        try check(Samples.diagnostic, Samples.diagnosticJSON)
        try check(Samples.describe, Samples.describeJSON)
        try check(
            Samples.update,
            #"{"added":["b"],"changed":["a"],"diagnostics":[\#(Samples.diagnosticJSON)],"notes":["e"],"#
                + #""outdated":["d"],"removed":["c"]}"#)
        try check(ListReply(units: [Samples.listed]), #"{"units":[\#(Samples.listedJSON)]}"#)
        try check(
            WhyReply(unit: "a", state: .failed, findings: [Samples.finding]),
            #"{"findings":[\#(Samples.findingJSON)],"state":"failed","unit":"a"}"#)
        try check(
            ShowReply(unit: "a", properties: [Property("Id", "a")]),
            #"{"properties":[{"name":"Id","value":"a"}],"unit":"a"}"#)
        try check(EventsReply(event: Samples.event), #"{"event":\#(Samples.eventJSON)}"#)
        try check(OperationReply(progress: Samples.progress), #"{"progress":\#(Samples.progressJSON)}"#)
        try check(OperationReply(result: Samples.result), #"{"result":\#(Samples.resultJSON)}"#)
        try check(ShutdownReply(stopped: ["a"]), #"{"stopped":["a"]}"#)
        try check(CatReply(files: [UnitText(path: "/a", text: "x\n")]), #"{"files":[{"path":"/a","text":"x\n"}]}"#)
        try check(LogsReply(lines: [Samples.line]), #"{"lines":[\#(Samples.lineJSON)]}"#)
        try check(VerifyReply(diagnostics: [Samples.diagnostic]), #"{"diagnostics":[\#(Samples.diagnosticJSON)]}"#)
        try check(
            DependenciesReply(unit: "a", dependencies: [Dependency(unit: "a", needs: "b", because: "Wants")]),
            #"{"dependencies":[{"because":"Wants","needs":"b","unit":"a"}],"unit":"a"}"#)
        try check(
            UnitFileStatesReply(units: [UnitFileStatus(unit: "a", state: .enabledRuntime)]),
            #"{"units":[{"state":"enabled_runtime","unit":"a"}]}"#)
        try check(InstallReply(changes: ["a"], notes: ["b"]), #"{"changes":["a"],"notes":["b"]}"#)
        try check(SignalReply(pids: [1]), #"{"pids":[1]}"#)
        try check(
            GenerationsReply(units: [UnitGenerations(unit: "a", generations: [])]),
            #"{"units":[{"generations":[],"unit":"a"}]}"#)
    }

    @Test("JSON that a program of ours has written goes into a reply as it is")
    func verbatim() throws {
        let object = JSONObject("lines", json: Array("[\(Samples.lineJSON)]".utf8))
        #expect(try object.decode(LogsReply.self) == LogsReply(lines: [Samples.line]))
    }

    @Test("What is not known is absent, not null")
    func absent() throws {
        try check(
            ServiceStatus(unit: "a.service", state: .autoRestart),
            #"{"ready":false,"restarts":0,"state":"auto_restart","unit":"a.service"}"#)
        try check(
            UnitStatus(unit: "a.service", description: "A", state: .stopped, swappable: false),
            #"{"description":"A","generations":[],"state":"stopped","swappable":false,"unit":"a.service"}"#)
    }

    @Test("The daemon introduces itself with all its interfaces")
    func info() {
        #expect(ServiceInfo.holdfast.interfaces == ["org.varlink.service", "io.holdfast.Manager"])
        #expect(ServiceInfo.holdfast.version == Holdfast.version)
    }

    @Test(
        "Points in time are RFC 3339 in UTC",
        arguments: [
            (0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_795_410_177, "2026-11-23T05:02:57Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"),
        ])
    func timestamps(seconds: Int64, text: String) {
        #expect(Timestamp.string(unixSeconds: seconds) == text)
        #expect(Timestamp.unixSeconds(text) == seconds)
    }

    @Test(
        "Other text is no point in time",
        arguments: ["", "now", "2026-11-23 05:02:57Z", "2026-13-23T05:02:57Z", "2026-11-23T05:02:57+"])
    func notTimestamps(text: String) {
        #expect(Timestamp.unixSeconds(text) == nil)
    }
}
