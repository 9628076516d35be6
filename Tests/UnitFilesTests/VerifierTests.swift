import Testing
import UnitFiles

@Suite("verify")
struct VerifierTests {
    private func verify(
        _ changes: [String: String?], programs: (@Sendable (String) -> Bool)? = nil, texts: [String: String] = [:]
    ) -> [Diagnostic] {
        var files = Site.files
        for (path, text) in changes { files[path] = text }
        let host = programs.map { VerifierHost(programExists: $0, read: { texts[$0] }) }
        return Verifier(loader: loader(files), host: host).verifyAll()
    }

    @Test(
        "a configuration of HAProxy or nginx that binds what is held is named with its line; one that takes it is not")
    func heldAddresses() {
        func found(_ program: String, _ text: String) -> [String] {
            let arguments = program == "haproxy" ? "-Ws -f /etc/p.cfg" : "-c /etc/p.cfg"
            let unit = "[Service]\nExecStart=/usr/sbin/\(program) \(arguments)"
            let texts = ["/etc/p.cfg": text, "/etc/more.cfg": "server { listen 0.0.0.0:80; }\nlisten 80;"]
            let all = verify(["proxy.service": unit], programs: { _ in true }, texts: texts)
            return all.filter { $0.code == .bindsHeldAddress }.map { "\($0.location) \($0.severity)" }
        }
        for address in ["*:80", ":80", "127.0.0.1:80", "ipv4@0.0.0.0:80", "[::]:80", "127.0.0.1:81,127.0.0.1:80"] {
            #expect(found("haproxy", "frontend x\n  bind \(address) ssl\n") == ["/etc/p.cfg:2:8 error"], "\(address)")
        }
        for address in ["\"fd@${LISTEN_FD_HTTP}\"", "*:81", "/run/x", "${ADDRESS}", "127.0.0.1:8000-8080", "[::1]:80"] {
            #expect(found("haproxy", "frontend x\n  bind \(address)\n # bind :80\n") == [], "\(address)")
        }
        for address in ["80", "*:80 default_server", "127.0.0.1", "[::]:80", "0.0.0.0:80 ssl"] {
            #expect(found("nginx", "server {\n listen \(address);\n}") == ["/etc/p.cfg:2:9 error"], "\(address)")
        }
        #expect(found("nginx", "server { listen unix:/run/x; listen 443; }") == [])
        #expect(found("nginx", "include more.cfg;\ninclude /etc/p.cfg;") == ["/etc/more.cfg:2:8 error"])
    }

    @Test("an ordering cycle among plain units is named whole, where it was asked for")
    func cycles() {
        let found = verify([
            "a.service": "[Unit]\nAfter=b.service\n[Service]\nExecStart=/x",
            "b.service": "[Unit]\nAfter=c.service\n[Service]\nExecStart=/x",
            "c.service": "[Unit]\nBefore=b.service\nAfter=a.service\n[Service]\nExecStart=/x",
        ])
        #expect(codes(found) == [.orderingCycle])
        #expect(found.first?.message == "ordering cycle: a.service after b.service after c.service after a.service")
        #expect(found.first?.location.description == "/etc/holdfast/units/a.service:2:7")
    }

    @Test("DESIGN.md's example is silent")
    func silent() {
        #expect(verify([:], programs: { $0 == "/usr/sbin/haproxy" }) == [])
    }

    @Test("a probe on a shared socket says nothing about one generation")
    func sharedProbe() {
        for probe in ["http http.socket /", "tcp 127.0.0.1:80"] {
            let found = verify(["edge@.service": Site.edge + "\nReadyProbe=\(probe)"])
            #expect(codes(found) == [.probeOnSharedSocket] && found.first?.severity == .warning)
            #expect(found.first?.location.line == 15)
        }
    }

    @Test("an upstream on a shared socket is named")
    func sharedUpstream() {
        let found = verify(["app@.socket": "[Socket]\nListenStream=/run/app\nX-Scope=shared"])
        #expect(Set(codes(found)) == [.probeOnSharedSocket, .upstreamNotGenerationSocket])
    }

    @Test("a drain signal that is the kill signal, with less time to stop than to drain")
    func signals() {
        let text = Site.app.replacing("Type=notify", with: "Type=notify\nTimeoutStopSec=5s")
        #expect(codes(verify(["app@.service": text])) == [.drainSignalIsKillSignal])
    }

    @Test("missing programs, except those whose place depends on the release")
    func programs() {
        let found = verify(["x.service": "[Service]\nExecStart=/x\nExecStop=-/y"], programs: { _ in false })
        #expect(
            found.map { "\($0.location.file.split(separator: "/").last ?? "") \($0.code) \($0.severity)" } == [
                "edge@.service missingProgram error", "edge@.service missingProgram error",
                "x.service missingProgram error", "x.service missingProgram warning",
            ])
    }

    @Test("two sockets at one address, two owners of one service")
    func conflicts() {
        #expect(codes(verify(["other.socket": "[Socket]\nListenStream=0.0.0.0:80"])) == [.duplicateAddress])
        #expect(
            verify(["other@.target": "[Unit]\nWants=app@%i.service\n[X-Swap]"]).contains { $0.code == .severalOwners })
    }

    @Test("everything is reported once, sorted by file and line, and every code is kebab-case")
    func order() {
        let found = verify([
            "a.service": "[Service]\nExecStart=/x\nPrivateTmp=yes\nFoo=1\n", "b.service": "[Service]\n",
            "bad name.service": "x",
            "site@.target": Site.target.replacing("edge@", with: "edgy@"),
        ])
        #expect(
            codes(found) == [
                .unsupportedDirective, .unknownDirective, .missingDirective, .invalidUnitName, .missingUnit,
            ])
        #expect(Set(found).count == found.count)
        for code in DiagnosticCode.allCases {
            #expect(code.rawValue.utf8.allSatisfy { $0 == UInt8(ascii: "-") || (97...122).contains($0) })
        }
    }

    @Test("single units can be verified, missing ones are named")
    func single() throws {
        let verifier = Verifier(loader: loader(Site.files))
        #expect(verifier.verify([try name("app@.service")]) == [])
        #expect(codes(verifier.verify([try name("gone.service")])) == [.missingUnit])
    }
}

/// What `verify` knows, a start tells: nothing is ignored in silence.
@Suite("What verify says is what a start says")
struct StartDiagnosticTests {
    @Test("every diagnostic of verify that needs no look at the host is one of the definition that is started")
    func everyDiagnostic() throws {
        var files = Site.files
        files["site@.target"] = Site.target + "\nNonsense=1\n[Unit]\nWants=gone.service"
        files["http.socket"] = Site.http + "\nNonsense=1"
        files["app@.socket"] = "[Socket]\nListenStream=/run/app\nX-Scope=shared\nNonsense=2"
        files["app@.service"] = Site.app + "\n[Service]\nTimeoutStopSec=5s\nCPUAccounting=yes\nEnvironment=A.B=1\n[Foo]"
        files["edge@.service.d/a.conf"] = "[Service]\nNonsense=3\n[X-Swap]\nReadyProbe=tcp app@%i.socket"
        files["other@.target"] = "[Unit]\nWants=app@%i.service\n[X-Swap]\n"
        let loader = loader(files)
        let resolver = SwapUnitResolver(loader: loader)
        let site = try name("site@RELEASE.target")
        let verified = Set(Verifier(loader: loader).verify([site, try name("app@RELEASE.service")]))
        let definition = try #require(resolver.resolve(site).definition)
        let told = Set(
            definition.diagnostics + resolver.warnings(about: definition)
                + definition.services.flatMap { resolver.warnings(about: $0) })
        #expect(verified.count >= 9, "\(verified)")
        #expect(verified.subtracting(told) == [])
    }

    @Test("lines of EnvironmentFile= that are ignored are warnings at the line; a file that is missing is an error")
    func environmentFiles() {
        let files: [String: Result<String, UnitFileReadError>] = [
            "/e/a": .success("A=1\nexport B=2\n"), "/e/b": .failure(.missing),
            "/e/c": .failure(.unreadable("a reason")),
        ]
        func verify(_ value: String) -> [String] {
            let host = VerifierHost(
                programExists: { _ in true }, matches: { $0.contains("*") ? [] : [$0] },
                environmentFile: { files[$0] })
            let unit = "[Service]\nExecStart=/x\nEnvironmentFile=\(value)"
            return Verifier(loader: loader(["a.service": unit]), host: host).verifyAll().map {
                "\($0.location) \($0.severity) \($0.code)"
            }
        }
        let here = "/etc/holdfast/units/a.service:3:17"
        #expect(verify("/e/a") == ["/e/a:2:1 warning invalidSyntax"])
        #expect(verify("/e/b") == ["\(here) error missingFile"] && verify("-/e/b") == [])
        #expect(verify("/e/*") == ["\(here) error missingFile"] && verify("-/e/*") == [])
        #expect(
            verify("/e/c") == ["\(here) error missingFile"] && verify("-/e/c") == ["\(here) warning missingFile"])
        #expect(verify("/only/for/root") == [])
    }
}
