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
