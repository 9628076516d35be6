import Testing

@testable import Supervisor

@Suite("Names as operators type them")
struct NamePatternTests {
    @Test("all, patterns, members of a target and names are told apart")
    func kinds() {
        func pattern(_ text: String) -> NamePattern { NamePattern(text) { $0 == "a:b" || $0 == "a:b.service" } }
        #expect(pattern("all") == .all)
        #expect(pattern("app*") == .glob("app*"))
        #expect(pattern("site:*") == .members(of: "site", matching: "*"))
        #expect(pattern("site:app") == .members(of: "site", matching: "app"))
        #expect(pattern("app@v1.service") == .name("app@v1.service"))
    }

    @Test("A colon belongs to the name behind an @, and where a unit of the whole name exists")
    func colons() {
        func pattern(_ text: String) -> NamePattern { NamePattern(text) { $0 == "a:b" || $0 == "a:b.service" } }
        #expect(pattern("web@127.0.0.1:8000.service") == .name("web@127.0.0.1:8000.service"))
        #expect(pattern("web@[::1]:80") == .name("web@[::1]:80"))
        #expect(pattern("web@127.0.0.1:*") == .glob("web@127.0.0.1:*"))
        #expect(pattern("a:b") == .name("a:b"))
        #expect(pattern("a:b.service") == .name("a:b.service"))
        #expect(pattern("a:b*") == .members(of: "a", matching: "b*"))
        #expect(pattern("a:b@c") == .members(of: "a", matching: "b@c"))
    }

    @Test(
        "* is any text, ? any character",
        arguments: [
            ("*", "", true), ("*", "x", true), ("app*", "app.service", true), ("app*", "my-app", false),
            ("*app", "my-app", true), ("a?p", "app", true), ("a?p", "ap", false), ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false), ("", "", true), ("", "x", false), ("a**", "a", true),
            ("*.service", "x.service", true),
        ])
    func globs(pattern: String, text: String, matches: Bool) {
        #expect(NamePattern.matches(pattern, text) == matches)
    }

    @Test("A pattern made to take for ever takes no longer than others")
    func hostile() {
        let pattern = String(repeating: "a*", count: 10_000) + "b"
        #expect(!NamePattern.matches(pattern, String(repeating: "a", count: 250)))
    }

    @Test("A template is meant by its stem and by the release that it runs")
    func forms() {
        #expect(
            NamePattern.aliases("site@.target", release: "v2")
                == ["site@.target", "site@", "site", "site@v2.target", "site@v2"])
        #expect(NamePattern.aliases("app.service", release: nil) == ["app.service", "app"])
    }
}
