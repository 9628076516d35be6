import Testing

@testable import UnitFiles

/// An error makes its unit unusable, a warning never does.
@Suite("Severity of diagnostics")
struct SeverityTests {
    private static let names = ["a.service", "a@v.service", "a.socket", "a.target"]

    private func check(_ loaded: LoadedUnit, _ comment: @autoclosure () -> String) {
        let isRefused = loaded.diagnostics.contains { $0.severity == .error }
        if case .missing = loaded.outcome { return }
        if case .masked = loaded.outcome { return }
        #expect(isRefused == (loaded.unit == nil), "\(comment()): \(loaded.diagnostics)")
    }

    @Test("every directive with every kind of bad value: an error if and only if the unit is unusable")
    func everyDirective() throws {
        let values = [
            "", "nonsense", "-1", "99999999999999999999", "%Q", "\"open", "/a/../b \\q", "a b c", "infinity", ":",
            "yes",
            "a.mount", "b.service", "@", "/nonexistent", "!", "65536", "\u{1}", "~", "1:2:3", "a=b",
        ]
        for text in Self.names {
            let name = try name(text)
            let body = name.kind == .service ? "ExecStart=/x" : name.kind == .socket ? "ListenStream=80" : ""
            let own = "[\(name.kind.rawValue.capitalized)]\n\(body)\n"
            for section in UnitSectionName.allCases {
                for directive in DirectiveTable.names(in: section) {
                    for value in values {
                        let lines = "\(own)[\(section.rawValue)]\n\(directive)=\(value)\n"
                        check(loader([name.identity.description: lines]).load(name), "\(text): \(directive)=\(value)")
                    }
                }
            }
        }
    }

    @Test("files that contradict themselves or cannot be read: an error if and only if the unit is unusable")
    func wholeFiles() throws {
        let texts = [
            "", "x", "[", "[Service", "[Service]\n", "[Service]\nExecStart=/x\n[Bad\nExecStart=/y", "[Nonsense]\nA=b",
            "[Service]\nExecStart=/x\nExecStart=/y", "[Service]\nType=oneshot\nExecStart=/x\nRestart=always",
            "[Service]\nType=oneshot\nExecStart=/x\nExitType=cgroup", "[Service]\nExecStart=/x\nX-Handoff=stdin",
            "[Service]\nExecStart=/x\nPrivateTmp=maybe\nProtectHome=x", "[Service]\nType=dbus\nExecStart=/x",
            "[Socket]\nListenStream=80\nAccept=yes\nService=b.service", "[Socket]\nListenUSBFunction=/x",
            "[Service]\nExecStart=/x\n" + String(repeating: "Nonsense=1\n", count: 1_200) + "User=a:b\n",
            "[Service]\nExecStart=/x\n" + String(repeating: "nonsense\n", count: 1_200) + "[Bad\n",
        ]
        for text in Self.names {
            let name = try name(text)
            let file = name.identity.description
            for body in texts {
                check(loader([file: body]).load(name), "\(text): \(body.prefix(60))")
                let usable = name.kind == .service ? "[Service]\nExecStart=/x" : "[Socket]\nListenStream=80"
                check(loader([file: usable, "\(file).d/a.conf": body]).load(name), "\(text).d: \(body.prefix(60))")
            }
            for failure in [UnitFileReadError.notText(line: 3), .tooLarge(2_000_000), .unreadable("x"), .insecure("x")]
            {
                let path = "\(directory)/\(file)"
                check(loader([file: "[Unit]"], failures: [path: failure]).load(name), "\(failure)")
            }
        }
    }

    @Test("the reason why a unit is unusable is never among what is left out")
    func reasonIsKept() throws {
        for (noise, fatal) in [("Nonsense=1\n", "User=a:b\n"), ("nonsense\n", "[Bad\n")] {
            let unit = try service(String(repeating: noise, count: 1_200) + fatal)
            #expect(unit.unit == nil && unit.diagnostics.contains { $0.severity == .error })
            #expect(unit.diagnostics.count <= UnitFileLimits.diagnosticsPerUnit + 1)
        }
    }

    private func verify(_ files: [String: String]) -> [Diagnostic] {
        Verifier(loader: loader(files), host: VerifierHost(programExists: { $0 != "/missing" })).verifyAll()
    }

    @Test("a unit that requires what can never be started is an error, also through others; one that wants it is not")
    func requirements() {
        let service = "[Service]\nExecStart=/x"
        for directive in ["Requires", "BindsTo", "Requisite"] {
            for (name, other) in [
                ("gone.service", nil), ("masked.service", ""), ("bad.service", "[Service]\nExecStart=/x\nUser=a:b"),
                ("poweroff.target", nil), ("empty.target", "[X-Swap]\n"),
            ] as [(String, String?)] {
                var files = ["a.service": "[Unit]\n\(directive)=\(name)\n\(service)"]
                files["t.target"] = "[Unit]\nRequires=a.service\n"
                files[name] = other
                let found = verify(files).filter { $0.severity == .error }.map(\.location.description)
                #expect(found.contains("\(directory)/t.target:2:10"), "\(directive)=\(name): \(found)")
                #expect(found.contains { $0.hasPrefix("\(directory)/a.service:2") }, "\(directive)=\(name): \(found)")
                #expect(Set(found).count == found.count)
            }
            for assumed in ["network.target", "dbus.service", "b.service"] {
                let files = ["a.service": "[Unit]\n\(directive)=\(assumed)\n\(service)", "b.service": service]
                #expect(verify(files) == [])
            }
        }
        let wanting = ["a.service": "[Unit]\nWants=gone.service\n\(service)"]
        #expect(verify(wanting).allSatisfy { $0.severity == .warning })
    }

    @Test("an ordering cycle is an error only where its units require each other: otherwise one is left out")
    func cycles() {
        func severities(_ extra: String) -> [Diagnostic.Severity] {
            verify([
                "a.service": "[Unit]\nAfter=b.service\n\(extra)=b.service\n[Service]\nExecStart=/x",
                "b.service": "[Unit]\nAfter=a.service\n[Service]\nExecStart=/x",
            ]).filter { $0.code == .orderingCycle }.map(\.severity)
        }
        #expect(severities("Wants") == [.warning])
        #expect(severities("Requires") == [.error])
        #expect(severities("BindsTo") == [.error])
    }

    @Test("what a start needs of the host is an error, what only a stop or a reload needs is a warning")
    func programs() {
        for (directive, severity) in [
            ("ExecStartPre", .error), ("ExecStartPost", .error), ("ExecStop", .warning), ("ExecReload", .warning),
            ("ExecStopPost", .warning),
        ] as [(String, Diagnostic.Severity)] {
            let found = verify(["a.service": "[Service]\nExecStart=/x\n\(directive)=/missing"])
            #expect(found.map(\.severity) == [severity], "\(directive)")
        }
    }

    @Test("a swap target that wants no service is an error: it could never be started")
    func emptySwapTarget() {
        #expect(verify(["a.target": "[X-Swap]\n"]).map(\.severity) == [.error])
        #expect(verify(["a.target": "[Unit]\n"]) == [])
    }
}
