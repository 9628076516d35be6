import Testing

@testable import UnitFiles

/// Directives about captured output.
@Suite struct LoggingTests {
    private func read(_ lines: String) throws -> (unit: ServiceUnit, diagnostics: [Diagnostic]) {
        let loaded = try service(lines)
        return (try #require(loaded.service), loaded.diagnostics)
    }

    @Test("limits, rates and levels are read; nothing set means the documented defaults and no limit of rate")
    func values() throws {
        let plain = try read("").unit.logging
        #expect(plain == LogSettings() && plain.maxBytes == 50 << 20 && plain.keep == 10 && plain.maxAge == nil)
        #expect(plain.rateLimit == nil)
        let (unit, diagnostics) = try read(
            """
            X-LogMaxBytes=1.5M
            X-LogKeep=3
            X-LogMaxAgeSec=1d
            LogRateLimitBurst=5
            SyslogIdentifier=app
            SyslogLevel=notice
            SyslogFacility=local3
            SyslogLevelPrefix=no
            LogLevelMax=4
            """)
        #expect(diagnostics == [])
        let settings = unit.logging
        #expect(settings.maxBytes == 3 << 19 && settings.keep == 3 && settings.maxAge == .seconds(86_400))
        #expect(settings.rateLimit?.interval == .seconds(30) && settings.rateLimit?.burst == 5)
        #expect(settings.syslogIdentifier == "app" && settings.syslogLevel == 5 && settings.syslogFacility == 19)
        #expect(!settings.syslogLevelPrefix && settings.levelMax == 4)
        let open = try read("X-LogMaxBytes=0\nX-LogMaxAgeSec=infinity\nLogRateLimitIntervalSec=0\n").unit.logging
        #expect(open.maxBytes == nil && open.maxAge == nil && open.rateLimit == nil)
    }

    @Test(
        "what cannot be read is named and leaves the default",
        arguments: [
            "SyslogLevel=loud", "SyslogFacility=13x", "X-LogMaxBytes=big", "X-LogKeep=-1", "LogRateLimitBurst=many",
        ])
    func refused(line: String) throws {
        let (unit, diagnostics) = try read(line)
        #expect(unit.logging == LogSettings())
        #expect(diagnostics.map(\.code) == [.invalidValue])
        #expect(diagnostics.first?.directive == line.split(separator: "=").first.map(String.init))
    }

    @Test(
        "targets that only systemd has count as the journal, and are named",
        arguments: [
            "syslog", "kmsg", "journal+console", "syslog+console", "kmsg+console",
        ])
    func likeJournal(target: String) throws {
        let (unit, diagnostics) = try read("StandardOutput=\(target)")
        #expect(unit.standardOutput == .journal)
        #expect(diagnostics.map(\.severity) == [.warning])
    }

    @Test("output goes to the log unless a unit says otherwise")
    func targets() throws {
        #expect(try read("").unit.standardOutput == .log)
        #expect(try read("StandardOutput=journal").unit.standardOutput == .journal)
    }
}
