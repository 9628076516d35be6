import Testing
import UnitFiles

@testable import Supervisor

@Suite("Remarks are logged once")
struct LoggedRemarkTests {
    private func unit(_ text: String) throws -> UnitName { try UnitName(text) }

    @Test("a remark that the last start had is not logged again; one that went away and came back is")
    func starts() throws {
        var logged = LoggedRemarks()
        let app = try unit("app.service")
        func isNew(_ text: String, of unit: UnitName) -> Bool { logged.isNew(text, of: unit) }
        #expect(isNew("a", of: app) == true)
        #expect(isNew("a", of: app) == false)
        logged.startRun(of: app)
        #expect(isNew("a", of: app) == false)
        #expect(isNew("b", of: app) == true)
        #expect(logged.texts(of: app) == ["a", "b"])
        logged.startRun(of: app)
        logged.startRun(of: app)
        #expect(logged.texts(of: app) == [])
        #expect(isNew("a", of: app) == true)
    }

    @Test("a thousand instances of a template keep no more than one")
    func instances() throws {
        var logged = LoggedRemarks()
        var news = 0
        for number in 0..<1_000 {
            let instance = try unit("t@\(number).service")
            logged.startRun(of: instance)
            if logged.isNew("a", of: instance) { news += 1 }
        }
        #expect(news == 1)
        #expect(logged.texts(of: try unit("t@0.service")) == [])
        #expect(logged.texts(of: try unit("t@999.service")) == ["a"])
    }

    @Test("a diagnostic is logged once for each version of the files, whichever instance it was read for")
    func files() {
        var logged = LoggedRemarks()
        func isNew(_ diagnostic: Diagnostic) -> Bool { logged.isNew(diagnostic) }
        func diagnostic(_ text: String) -> Diagnostic {
            Diagnostic(.warning, .invalidValue, at: SourceLocation(file: "/u/t@.service", line: 3, column: 1), text)
        }
        #expect(isNew(diagnostic("t@1")) == true)
        #expect(isNew(diagnostic("t@2")) == false)
        logged.forgetFiles()
        #expect(isNew(diagnostic("t@3")) == true)
    }
}
