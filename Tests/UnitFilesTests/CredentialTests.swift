import Testing

@testable import UnitFiles

@Suite("Credentials and files that are opened")
struct CredentialTests {
    @Test("a credential is loaded from a path, from another name, or from its own; the last of one name counts")
    func loaded() throws {
        let unit = try service(
            "LoadCredential=a:/etc//secret/a\nLoadCredential=b:other\nLoadCredential=c\nLoadCredential=c:%n\nLoadCredential=d:"
        )
        #expect(unit.diagnostics.isEmpty)
        #expect(
            unit.service?.credentials.loaded == [
                .init(id: "a", source: .path("/etc/secret/a")), .init(id: "b", source: .named("other")),
                .init(id: "c", source: .named("app.service")), .init(id: "d", source: .named("d")),
            ])
        #expect(try service("LoadCredential=a\nLoadCredential=").service?.credentials.isEmpty == true)
    }

    @Test("data is any bytes, written with escapes; specifiers count in the name only")
    func literals() throws {
        let unit = try service(#"SetCredential=%N:a:b\x00\xff\n %n "c" \101"#)
        #expect(unit.diagnostics.isEmpty)
        let literal = try #require(unit.service?.credentials.literals.first)
        #expect(literal.id == "app")
        #expect(literal.data == Array("a:b".utf8) + [0, 0xFF, 10] + Array(" %n \"c\" A".utf8))
        #expect(try service("SetCredential=a:1\nSetCredential=").service?.credentials.isEmpty == true)
    }

    @Test(
        "what cannot be read makes the unit unusable: without its secret it is another service",
        arguments: ["LoadCredential=a/b", "LoadCredential=..:/x", "LoadCredential=a:b/c", "SetCredential=abc"])
    func bad(_ line: String) throws {
        let unit = try service(line)
        #expect(codes(unit.diagnostics) == [.invalidValue] && unit.unit == nil)
    }

    @Test("%d is the directory of the unit; with a root directory of its own the service could not see it")
    func directory() throws {
        var host = SpecifierEnvironment()
        host.credentialsRoot = "/run/holdfast/credentials"
        let text = "[Service]\nExecStart=/bin/app %d/a\nSetCredential=a:1\nRootDirectory=/srv"
        let unit = loader(["app.service": text], specifiers: host).load(try name("app.service"))
        #expect(
            unit.service?.execStart.first?.arguments.last?.description.contains("credentials/app.service/a") == true)
        #expect(codes(unit.diagnostics) == [.unsupportedValue] && unit.unit != nil)
    }

    @Test("OpenFile= has a path, a name and options, of which only one says how it is opened")
    func openFile() throws {
        let unit = try service("OpenFile=/a//b\nOpenFile=/c:d:append,graceful\nOpenFile=/%N::read-only")
        var (second, third) = (OpenFile(path: "/c", name: "d"), OpenFile(path: "/app", name: "app"))
        (second.access, second.mayBeMissing, third.access) = (.append, true, .readOnly)
        #expect(unit.diagnostics.isEmpty)
        #expect(unit.service?.openFiles == [OpenFile(path: "/a/b", name: "b"), second, third])
        #expect(try service("OpenFile=/a\nOpenFile=").service?.openFiles == [])
        for bad in ["relative", "/a:b:append,truncate", "/a:b:c", "/a:b:append:x"] {
            #expect(codes(try service("OpenFile=\(bad)").diagnostics) == [.invalidValue], "\(bad)")
        }
    }
}
