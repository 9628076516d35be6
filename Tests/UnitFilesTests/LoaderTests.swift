import Testing
import UnitFiles

@Suite("Search path, drop-ins, masks, names")
struct LoaderTests {
    private let paths = ["/etc/u", "/run/u", "/usr/u"]

    private func text(_ description: String) -> String {
        "[Unit]\nDescription=\(description)\n[Service]\nExecStart=/x\n"
    }

    private func described(_ files: [String: String], _ unit: String) throws -> String? {
        loader(files, searchPath: paths).load(try name(unit)).unit?.definition.unit.description
    }

    @Test("the first directory of the search path counts")
    func precedence() throws {
        let files = ["/usr/u/a.service": text("usr"), "/run/u/a.service": text("run")]
        #expect(try described(files, "a.service") == "run")
        #expect(loader(files, searchPath: paths).fragmentPath(of: try name("a.service")) == "/run/u/a.service")
        #expect(try described(files, "b.service") == nil)
        #expect(loader(files, searchPath: paths).load(try name("b.service")).isMissing)
    }

    @Test("an instance's own file counts before its template's, wherever they are")
    func instances() throws {
        let files = ["/usr/u/a@x.service": text("own %i"), "/etc/u/a@.service": text("template %i")]
        #expect(try described(files, "a@x.service") == "own x")
        #expect(try described(files, "a@y.service") == "template y")
    }

    @Test("drop-ins apply by file name; a directory of higher precedence shadows the same name")
    func dropIns() throws {
        let files = [
            "/usr/u/a@.service": text("0"),
            "/usr/u/a@.service.d/10.conf": "[Unit]\nDescription=usr10\n[Service]\nEnvironment=A=usr10",
            "/etc/u/a@.service.d/10.conf": "[Unit]\nDescription=etc10\n[Service]\nEnvironment=A=etc10",
            "/run/u/a@x.service.d/20.conf": "[Service]\nEnvironment=A=instance20",
            "/run/u/a@.service.d/20.conf": "[Service]\nEnvironment=A=template20",
            "/etc/u/service.d/20.conf": "[Service]\nEnvironment=A=type20",
            "/etc/u/service.d/05.conf": "[Service]\nEnvironment=A=type05",
            "/etc/u/a@.service.d/30.txt": "[Service]\nEnvironment=A=no",
        ]
        let unit = try #require(loader(files, searchPath: paths).load(try name("a@x.service")).service)
        #expect(unit.execution.environment.map(\.value) == ["type05", "etc10", "instance20"])
        #expect(unit.unit.description == "etc10")
        #expect(
            unit.dropInPaths == [
                "/etc/u/service.d/05.conf", "/etc/u/a@.service.d/10.conf", "/run/u/a@x.service.d/20.conf",
            ])
        #expect(unit.sources.count == 4 && unit.fragmentPath == "/usr/u/a@.service")
    }

    @Test("drop-in directories of name prefixes apply, the longer prefix first")
    func dashes() throws {
        let files = [
            "/etc/u/a-b-c.service": text("0"), "/etc/u/a-.service.d/1.conf": "[Unit]\nDescription=a-",
            "/etc/u/a-b-.service.d/1.conf": "[Unit]\nDescription=a-b-",
        ]
        #expect(try described(files, "a-b-c.service") == "a-b-")
    }

    @Test("drop-ins and links of an alias's name count, those of the type and of name prefixes too")
    func companionsOfAliases() throws {
        var source = InMemoryUnitFileSource(
            files: [
                "/usr/u/a-b.service": text("0"), "/usr/u/t@.service": text("t"),
                "/etc/u/other.service.d/1.conf": "[Unit]\nDescription=alias",
                "/etc/u/z@.service.d/1.conf": "[Unit]\nDescription=template alias",
            ],
            links: ["/etc/u/other.service": "/usr/u/a-b.service", "/etc/u/z@.service": "/usr/u/t@.service"])
        for (place, unit) in [
            ("other.service", "one"), ("a-.service", "two"), ("service", "three"), ("a-b.service", "four"),
        ] { source.links["/usr/u/\(place).wants/\(unit).service"] = "../x.service" }
        let loader = UnitLoader(source: source, searchPath: paths)
        let unit = try #require(loader.load(try name("other.service")).service)
        #expect(unit.name.description == "a-b.service" && unit.unit.description == "alias")
        let wanted = unit.unit.wants.map(\.name.prefix)
        #expect(wanted == ["four", "one", "three", "two"])
        #expect(loader.load(try name("t@i.service")).service?.unit.description == "template alias")
    }

    @Test("of links of one name the first directory's counts, and one to /dev/null masks")
    func maskedLinks() throws {
        var source = InMemoryUnitFileSource(files: ["/usr/u/a.target": "[Unit]\nDescription=a"])
        source.links = [
            "/etc/u/a.target.wants/x.service": "/dev/null", "/usr/u/a.target.wants/x.service": "../x.service",
            "/usr/u/a.target.wants/y.service": "/dev/null", "/run/u/a.target.wants/z.service": "../z.service",
            "/usr/u/a.target.wants/z.service": "/dev/null", "/etc/u/a.target.requires/t@.service": "../t@.service",
        ]
        let loader = UnitLoader(source: source, searchPath: paths)
        let unit = try #require(loader.load(try name("a.target")).target).unit
        #expect(unit.wants.map(\.name.description) == ["z.service"])
        // As a template that is named by another unit: the instance of that unit's name.
        #expect(unit.requires.map(\.name.description) == ["t@a.service"])
    }

    @Test("an instance that is a link to another template runs that template")
    func instanceOfAnotherTemplate() throws {
        let source = InMemoryUnitFileSource(
            files: ["/usr/u/t@.service": text("t %i"), "/usr/u/o@.service": text("o %i")],
            links: ["/etc/u/t@x.service": "/usr/u/o@.service", "/etc/u/t@y.service": "/usr/u/t@.service"])
        let loader = UnitLoader(source: source, searchPath: paths)
        let other = try #require(loader.load(try name("t@x.service")).service)
        #expect(other.name.description == "o@x.service" && other.unit.description == "o x")
        #expect(loader.load(try name("t@y.service")).service?.unit.description == "t y")
        #expect(loader.load(try name("t@z.service")).service?.unit.description == "t z")
    }

    @Test("a drop-in can add a swap section, and its diagnostics name the drop-in")
    func dropInSections() throws {
        let files = ["/etc/u/a.service": text("0"), "/etc/u/a.service.d/swap.conf": "[X-Swap]\nSoakSec=1\nBad=2"]
        let loaded = loader(files, searchPath: paths).load(try name("a.service"))
        #expect(loaded.service?.swap?.soak == .seconds(1))
        #expect(
            loaded.diagnostics.map(\.location) == [
                SourceLocation(file: "/etc/u/a.service.d/swap.conf", line: 3, column: 1)
            ])
    }

    @Test("an empty file, or a link to /dev/null, masks what stands below")
    func masks() throws {
        for files in [["/etc/u/a.service": "", "/usr/u/a.service": text("0")], ["/usr/u/a.service": text("0")]] {
            let failures: [String: UnitFileReadError] = files.count == 2 ? [:] : ["/etc/u/a.service": .masked]
            let loaded = loader(files, searchPath: paths, failures: failures).load(try name("a.service"))
            guard case .masked(path: "/etc/u/a.service") = loaded.outcome else {
                Issue.record("not masked: \(loaded)")
                continue
            }
        }
        let shadowed = [
            "/etc/u/a.service": text("0"), "/usr/u/a.service.d/1.conf": "[Unit]\nDescription=1",
            "/etc/u/a.service.d/1.conf": "",
        ]
        #expect(try described(shadowed, "a.service") == "0")
    }

    @Test("a file or drop-in that cannot be read makes the unit unusable and says why")
    func unreadable() throws {
        for (path, error, code) in [
            ("/etc/u/a.service", UnitFileReadError.unreadable("Permission denied"), DiagnosticCode.unreadableFile),
            ("/etc/u/a.service.d/x.conf", .insecure("writable by group web"), .insecureFile),
            ("/etc/u/a.service.d/x.conf", .notText(line: 3), .unreadableFile),
            ("/etc/u/a.service", .tooLarge(2_000_000), .fileTooLarge),
        ] {
            let files = path.hasSuffix(".service") ? [:] : ["/etc/u/a.service": text("0")]
            let loaded = loader(files, searchPath: paths, failures: [path: error]).load(try name("a.service"))
            #expect(loaded.unit == nil && codes(loaded.diagnostics) == [code])
            #expect(loaded.diagnostics.first?.description == "\(path): error: cannot read \(path): \(error)")
        }
    }

    @Test("links in .wants/ and .requires/ are dependencies; a template's links follow the instance")
    func links() throws {
        let links = [
            "/etc/u/t@.target.wants/a@.service": "../a@.service", "/run/u/t@v.target.wants/b.service": "/gone",
            "/etc/u/t@.target.requires/c.service": "../c.service",
        ]
        let source = InMemoryUnitFileSource(files: ["/etc/u/t@.target": "[Unit]\n"], links: links)
        let loader = UnitLoader(source: source, searchPath: paths)
        let unit = try #require(loader.load(try name("t@v.target")).target)
        #expect(Set(unit.unit.wants.map(\.name.description)) == ["a@v.service", "b.service"])
        #expect(unit.unit.requires.map(\.name.description) == ["c.service"])
        #expect(unit.unit.requires.first?.location.description == "/etc/u/t@.target.requires/c.service")
    }

    @Test("a file in .wants/ that is no link is no dependency, which is told; an empty one masks without a word")
    func regularFilesInWants() throws {
        let files = [
            "/usr/u/a.target": "[Unit]\n", "/etc/u/a.target.wants/b.service": "[Service]\nExecStart=/x",
            "/etc/u/a.target.requires/c.service": "", "/etc/u/c.service": "", "/etc/u/d.service": "[Unit]",
        ]
        let links = [
            "/usr/u/a.target.wants/b.service": "../b.service", "/usr/u/a.target.requires/c.service": "../c.service",
            "/usr/u/a.target.wants/.e.service": "../d.service", "/usr/u/a.target.wants/a.target": "../a.target",
        ]
        let loader = UnitLoader(source: InMemoryUnitFileSource(files: files, links: links), searchPath: paths)
        let loaded = loader.load(try name("a.target"))
        let unit = try #require(loaded.target).unit
        #expect(unit.wants == [] && unit.requires == [])
        #expect(
            loaded.diagnostics.map { "\($0.location) \($0.severity) \($0.code)" } == [
                "/etc/u/a.target.wants/b.service warning notALink"
            ])
    }

    @Test("all names are listed once, sorted; bad ones are named")
    func allNames() {
        let all = loader(
            [
                "/etc/u/b.service": "x", "/usr/u/b.service": "x", "/usr/u/a@.socket": "x", "/etc/u/readme.md": "x",
                "/etc/u/b ad.service": "x",
            ],
            searchPath: paths)
        #expect(all.allNames().map(\.description) == ["a@.socket", "b.service"])
        #expect(codes(all.nameDiagnostics) == [.invalidUnitName])
        #expect(all.nameDiagnostics.first?.location.description == "/etc/u/b ad.service")
        #expect(all.nameDiagnostics.first?.message.contains("b ad.service") == true)
    }

    @Test("short names")
    func shortNames() throws {
        let all = loader(
            Site.files.merging(["both.service": "x", "both.target": "x", "web.socket": "x", "web.service": "x"]) {
                a, _ in a
            })
        func resolve(_ text: String, _ kinds: Set<UnitKind> = Set(UnitKind.allCases)) -> String {
            switch all.resolve(shortName: text, kinds: kinds) {
            case .success(let name): name.description
            case .failure(let error): error.description
            }
        }
        #expect(resolve("site@v2") == "site@v2.target")
        #expect(resolve("site") == "site@.target")
        #expect(resolve("app@v2") == "app@v2.service")
        #expect(resolve("http") == "http.socket")
        #expect(resolve("web") == "web.service")
        #expect(resolve("web", [.socket]) == "web.socket")
        #expect(resolve("both") == "\"both\" is ambiguous: both.service or both.target")
        #expect(resolve("app@v3.service") == "app@v3.service")
        #expect(resolve("sitee@v2") == "there is no unit \"sitee@v2\" (did you mean site@v2?)")
        #expect(resolve("web@v9") == "there is no unit \"web@v9\" (did you mean web?)")
        #expect(resolve("app@v3.target") == "there is no unit \"app@v3.target\"")
        #expect(resolve("both.servcie") == "there is no unit \"both.servcie\" (did you mean both.service?)")
        #expect(resolve("") == "the unit name is empty")
        #expect(resolve("zzz") == "there is no unit \"zzz\"")
    }
}
