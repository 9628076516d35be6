import Testing
import UnitFiles

@Suite("Unit names")
struct UnitNameTests {
    @Test("parts of plain, template and instance names")
    func parts() throws {
        let plain = try name("app-x.y.service")
        #expect(plain.prefix == "app-x.y" && plain.instance == nil && plain.kind == .service && plain.template == nil)
        let template = try name("app@.service")
        #expect(template.isTemplate && !template.isInstance && template.instance == nil && template.prefix == "app")
        #expect(template.template == template)
        let instance = try name("app@v2@x.socket")
        #expect(instance.prefix == "app" && instance.instance == "v2@x" && instance.isInstance)
        #expect(instance.template?.description == "app@.socket")
        #expect(instance.stem == "app@v2@x")
        #expect(try template.instantiated("v2").description == "app@v2.service")
        #expect(instance.sibling(.service)?.description == "app@v2@x.service")
        #expect(try name("a.service") < name("b.service"))
    }

    @Test(
        "names that systemd.unit(5) does not allow are refused with their reason",
        arguments: [
            ("", UnitNameError.empty), ("app", .noSuffix("app")), ("app.servic", .unknownSuffix("app.servic")),
            ("data.mount", .foreignKind("data.mount")), (".service", .emptyPrefix(".service")),
            ("@v.service", .emptyPrefix("@v.service")), ("a b.service", .invalidCharacter("a b.service", offset: 1)),
            ("a/b.service", .invalidCharacter("a/b.service", offset: 1)),
            ("é.service", .invalidCharacter("é.service", offset: 0)),
        ])
    func invalid(text: String, error: UnitNameError) {
        #expect(throws: error) { try UnitName(text) }
    }

    @Test("255 bytes are allowed, 256 are not")
    func length() throws {
        let long = String(repeating: "a", count: 247) + ".service"
        #expect(try name(long).prefix.utf8.count == 247)
        #expect(throws: UnitNameError.tooLong(256)) { try UnitName("a" + long) }
        let template = try name(String(repeating: "a", count: 246) + "@.service")
        #expect(throws: UnitNameError.tooLong(256)) { try template.instantiated("v") }
    }

    @Test("only templates can be instantiated, and not with nothing")
    func instantiation() throws {
        #expect(throws: UnitNameError.notTemplate("a.service")) { try UnitName("a.service").instantiated("x") }
        #expect(throws: UnitNameError.notTemplate("a@.service")) { try UnitName("a@.service").instantiated("") }
        #expect(throws: UnitNameError.invalidCharacter("a@x y.service", offset: 3)) {
            try UnitName("a@.service").instantiated("x y")
        }
    }

    @Test(
        "escaping is systemd-escape's",
        arguments: [
            ("/foo//bar/baz/", "-foo--bar-baz-"), ("a b", "a\\x20b"), (".x", "\\x2ex"), ("a-b", "a\\x2db"),
            ("hallöchen", "hall\\xc3\\xb6chen"),
        ])
    func escaping(text: String, escaped: String) {
        #expect(UnitNameEscaping.escape(text) == escaped)
        #expect(UnitNameEscaping.unescape(escaped) == text)
    }

    @Test("paths lose their outer slashes and come back absolute")
    func paths() {
        #expect(UnitNameEscaping.escapePath("/foo//bar/baz/") == "foo-bar-baz")
        #expect(UnitNameEscaping.escapePath("/") == "-")
        #expect(UnitNameEscaping.unescapePath("foo-bar-baz") == "/foo/bar/baz")
        #expect(UnitNameEscaping.unescapePath("-") == "/")
        #expect(UnitNameEscaping.unescape("\\x2") == nil)
        #expect(UnitNameEscaping.unescape("\\xff") == nil)
    }
}
