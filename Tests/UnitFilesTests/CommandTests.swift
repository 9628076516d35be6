import Testing

@testable import UnitFiles

@Suite("Command lines and specifiers")
struct CommandTests {
    private func commands(_ value: String, type: String = "simple") throws -> [ExecCommand] {
        let unit = try load("app@v2.service", "[Service]\nExecStart=/bin/x\nExecStartPre=\(value)\n")
        return try #require(unit.service, "\(unit.diagnostics)").execStartPre
    }

    @Test("systemd.service(5): variables in words of their own and inside words")
    func firstManualExample() throws {
        let command = try #require(try commands("echo $ONE $TWO ${TWO}").first)
        #expect(
            command.expanded(with: ["ONE": "one", "TWO": "two two"]) == ["echo", "one", "two", "two", "two two"])
    }

    @Test("systemd.service(5): quotes inside values, and variables that vanish")
    func secondManualExample() throws {
        let environment = ["ONE": "'one'", "TWO": "'two two' too", "THREE": ""]
        let both = try commands("/bin/echo ${ONE} ${TWO} ${THREE} ; /bin/echo $ONE $TWO $THREE")
        #expect(both[0].expanded(with: environment) == ["/bin/echo", "'one'", "'two two' too", ""])
        #expect(both[1].expanded(with: environment) == ["/bin/echo", "one", "two two", "too"])
    }

    @Test("systemd.service(5): semicolons separate, escaped ones do not")
    func semicolons() throws {
        let two = try commands("echo one ; echo \"two two\"")
        #expect(two.map { $0.expanded(with: [:]) } == [["echo", "one"], ["echo", "two two"]])
        let one = try commands("echo / >/dev/null & \\; \\\nls")
        #expect(one.map { $0.expanded(with: [:]) } == [["echo", "/", ">/dev/null", "&", ";", "ls"]])
        #expect(try commands("echo a;b ';' \";\"").first?.arguments == ["a;b", ";", ";"])
        #expect(try commands("echo a ;").count == 1)
    }

    @Test(
        "dollars",
        arguments: [
            ("$$", ["$"]), ("a$$b", ["a$b"]), ("a$A", ["a$A"]), ("${A}b", ["xb"]), ("${NONE}", [""]), ("$NONE", []),
            ("${A", ["${A"]), ("\"$A\"", ["x"]), ("$${A}", ["${A}"]), ("a$", ["a$"]),
        ] as [(String, [String])])
    func dollars(word: String, expected: [String]) throws {
        let command = try #require(try commands("e " + word).first)
        #expect(command.expanded(with: ["A": "x"]) == ["e"] + expected)
    }

    @Test("values of variables split as systemd does: quotes group, a backslash protects, an open quote does no harm")
    func variableSplitting() throws {
        let command = try #require(try commands("e $A").first)
        for (value, expected) in [
            ("a 'b c' d", ["a", "b c", "d"]), ("a\\ b", ["a b"]), ("a 'b c", ["a", "b c"]), ("\\'x y", ["'x", "y"]),
            (" ", []),
            ("é\\é\\", ["éé\\"]),
        ] as [(String, [String])] {
            #expect(command.expanded(with: ["A": value]) == ["e"] + expected, "\(value)")
        }
    }

    @Test("prefixes in any order, each once")
    func prefixes() throws {
        typealias Prefixes = ExecCommand.Prefixes
        let cases: [(String, Prefixes)] = [
            ("-/x", Prefixes(ignoreFailure: true)), (":/x", Prefixes(literal: true)),
            ("+/x", Prefixes(privileges: .full)), ("!/x", Prefixes(privileges: .keepUser)),
            ("!!/x", Prefixes(privileges: .ambient)),
            (":-+/x", Prefixes(ignoreFailure: true, literal: true, privileges: .full)),
        ]
        for (text, expected) in cases {
            let command = try #require(try commands(text).first)
            #expect(command.prefixes == expected && command.path == "/x", "\(text)")
        }
        let renamed = try #require(try commands("-@/bin/sh mysh -c ${A}").first)
        #expect(renamed.path == "/bin/sh" && renamed.expanded(with: ["A": "q"]) == ["mysh", "-c", "q"])
        #expect(try commands(":/x $A").first?.expanded(with: ["A": "q"]) == ["/x", "$A"])
    }

    @Test("specifiers are replaced word by word, after splitting")
    func specifiersInCommands() throws {
        #expect(try commands("/srv/%i/x %n '%%'").first?.expanded(with: [:]) == ["/srv/v2/x", "app@v2.service", "%"])
        #expect(try commands("\"/bin/my prog\" a").first?.path == "/bin/my prog")
        #expect(try commands("/usr//bin/./x").first?.path == "/usr/bin/x")
    }

    @Test("nothing between two separators is no command", arguments: ["; /b", "/b ; ;", "; ; /b ;", ";\t/b"])
    func emptyCommands(value: String) throws {
        let unit = try load("app.service", "[Service]\nExecStart=/bin/x\nExecStartPre=\(value)\n")
        #expect(unit.diagnostics == [])
        #expect(unit.service?.execStartPre.map(\.path) == ["/b"])
    }

    @Test(
        "what is no command says where",
        arguments: [
            ("./x", 15), ("/bin/", 14), ("-", 14), ("a/b", 14), ("@/x", 14), ("/x \"y", 17), ("/x %Z", 17),
            ("/x a ; -", 21),
        ] as [(String, Int)])
    func badCommands(value: String, column: Int) throws {
        let unit = try load("app.service", "[Service]\nExecStart=/bin/x\nExecStartPre=\(value)\n")
        #expect(unit.unit == nil)
        let diagnostic = try #require(unit.diagnostics.first)
        #expect(diagnostic.location.line == 3 && diagnostic.directive == "ExecStartPre")
        #expect(abs(diagnostic.location.column - column) <= 1, "\(diagnostic)")
    }

    @Test("every specifier of systemd.unit(5)")
    func allSpecifiers() throws {
        var host = SpecifierEnvironment()
        host.runtimeDirectory = "/tmp/run"
        host.hostName = "web1.example.org"
        host.kernelRelease = "6.1.0"
        host.bootID = "b00t"
        host.machineID = "ma"
        host.credentialsRoot = "/cred"
        (host.osID, host.osVersionID, host.osVariantID) = ("debian", "12", "server")
        (host.osImageVersion, host.osBuildID, host.osImageID) = ("iv", "bi", "ii")
        (host.userName, host.userID, host.groupName, host.groupID) = ("deploy", 1000, "www", 33)
        (host.homeDirectory, host.shell) = ("/home/deploy", "/bin/zsh")
        let expander = SpecifierExpander(
            environment: host, unit: try name("my-a\\x2db@x-y.service"), fragmentPath: "/etc/u/my@.service")
        let expected: [(String, String)] = [
            ("%a", "x86-64"), ("%A", "iv"), ("%b", "b00t"), ("%B", "bi"), ("%C", "/var/cache"),
            ("%d", "/cred/my-a\\x2db@x-y.service"),
            ("%E", "/etc"), ("%f", "/x/y"), ("%g", "www"), ("%G", "33"), ("%h", "/home/deploy"),
            ("%H", "web1.example.org"), ("%i", "x-y"), ("%I", "x/y"), ("%j", "a\\x2db"), ("%J", "a-b"), ("%l", "web1"),
            ("%L", "/var/log"), ("%m", "ma"), ("%M", "ii"), ("%n", "my-a\\x2db@x-y.service"),
            ("%N", "my-a\\x2db@x-y"), ("%o", "debian"), ("%p", "my-a\\x2db"), ("%P", "my/a-b"), ("%q", "web1"),
            ("%s", "/bin/zsh"), ("%S", "/var/lib"), ("%t", "/tmp/run"), ("%T", "/tmp"), ("%u", "deploy"),
            ("%U", "1000"),
            ("%v", "6.1.0"), ("%V", "/var/tmp"), ("%w", "12"), ("%W", "server"), ("%y", "/etc/u/my@.service"),
            ("%Y", "/etc/u"), ("%%", "%"), ("a%%i%ib", "a%ix-yb"), ("50%", "50%"),
        ]
        for (text, value) in expected { #expect(try expander.expand(text) == value, "\(text)") }
        for (text, offset) in [("ab%Zc", 2), ("%0", 0)] {
            #expect { try expander.expand(text) } throws: {
                ($0 as? ValueError)?.offset == offset && ($0 as? ValueError)?.code == .unknownSpecifier
            }
        }
    }

    @Test("specifiers that systemd 252 refuses or keeps as they are written")
    func oddSpecifiers() throws {
        func expander(_ unit: String) throws -> SpecifierExpander {
            SpecifierExpander(
                environment: SpecifierEnvironment(), unit: try name(unit), fragmentPath: "/etc/u/x",
                realPath: { $0 + ".real" })
        }
        for text in ["%-", "% ", "%/x", "%é", "a%.b"] { #expect(try expander("x.service").expand(text) == text) }
        #expect(try expander("x.service").expand("%y|%Y") == "/etc/u/x.real|/etc/u")
        // A path that escaping would not have made is none.
        for unit in ["x@-a.service", "x@a-.service", "x@a--b.service", "x@a-..-b.service", "x@\\x2fa.service"] {
            #expect(throws: ValueError.self, "\(unit)") { try expander(unit).expand("%f") }
        }
        #expect(try expander("x@-.service").expand("%f") == "/")
        // In names of units only what is safe there.
        for specifier in "fIJPythsSCLEdTVyY" {
            #expect(throws: ValueError.self) { try expander("x@a.service").expand("%\(specifier)", .unitNames) }
        }
        #expect(try expander("x-b@a.service").expand("%p.%i.%j.%N", .unitNames) == "x-b.a.b.x-b@a")
        // Without an os-release there is no value for its fields.
        #expect(throws: ValueError.self) { try expander("x.service").expand("%o") }
    }

    @Test("%c, %r and %R are what systemd 252 makes of them, with a warning, and nothing in names of units")
    func deprecatedSpecifiers() throws {
        let unit = try load(
            "a@b.service",
            """
            [Unit]
            Description=%%c %c
            ConditionPathExists=/%r
            Wants=x%c.service
            [Service]
            ExecStart=/bin/app c=%c r=%r R=%R
            Environment=A=%c
            StandardInputText=%R
            """)
        let service = try #require(unit.service)
        #expect(service.unit.description == "%c /a@b.service")
        #expect(service.execStart.first?.arguments == ["c=/a@b.service", "r=", "R="])
        #expect(service.execution.environment.map(\.value) == ["/a@b.service"])
        #expect(service.unit.wants == [])
        #expect(unit.diagnostics.allSatisfy { $0.severity == .warning && $0.code == .unknownSpecifier })
        #expect(
            unit.diagnostics.map { "\($0.location.line):\($0.location.column)" } == [
                "2:17", "3:22", "4:8", "4:8", "6:22", "6:27", "6:32", "7:15", "8:19",
            ])
    }

    @Test("a specifier without a value here is an error with its column")
    func unknownValue() throws {
        let unit = try load("app.service", "[Service]\nExecStart=/bin/app --host=%H\n")
        #expect(unit.unit == nil)
        #expect(
            unit.diagnostics.map(\.location) == [
                SourceLocation(file: "/etc/holdfast/units/app.service", line: 2, column: 27)
            ])
        #expect(codes(unit.diagnostics) == [.unknownSpecifier])
    }
}
