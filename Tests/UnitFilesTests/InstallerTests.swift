import Testing

@testable import UnitFiles

@Suite("enable, disable, mask, aliases and what is started at boot")
struct InstallerTests {
    private let paths = ["/etc/u", "/run/u", "/usr/u"]
    private static let wanted = "[Service]\nExecStart=/x\n[Install]\nWantedBy=multi-user.target\n"

    private func loader(_ files: [String: String], links: [String: String] = [:]) -> UnitLoader {
        UnitLoader(source: InMemoryUnitFileSource(files: files, links: links), searchPath: paths)
    }

    private func installer(_ files: [String: String], links: [String: String] = [:]) -> Installer {
        Installer(loader: loader(files, links: links), runtimeDirectory: "/run/u")
    }

    private func links(_ changes: InstallChanges) -> [String] {
        changes.changes.map { change in
            switch change {
            case .link(let path, let target): "\(path) -> \(target)"
            case .unlink(let path): "- \(path)"
            }
        }
    }

    @Test("enable links a unit into what wants, requires and upholds it, under its aliases, with what goes along")
    func enable() throws {
        let files = [
            "/usr/u/a.service": """
            [Service]
            ExecStart=/x
            [Install]
            WantedBy=multi-user.target b.service
            RequiredBy=c.service
            UpheldBy=d.target
            Alias=other.service
            Also=e.socket
            """,
            "/usr/u/e.socket": "[Socket]\nListenStream=1\n[Install]\nWantedBy=sockets.target\n",
        ]
        let changes = try installer(files).enable([name("a.service")], runtime: false)
        #expect(
            links(changes) == [
                "/etc/u/multi-user.target.wants/a.service -> /usr/u/a.service",
                "/etc/u/b.service.wants/a.service -> /usr/u/a.service",
                "/etc/u/c.service.requires/a.service -> /usr/u/a.service",
                "/etc/u/d.target.upholds/a.service -> /usr/u/a.service",
                "/etc/u/other.service -> /usr/u/a.service",
                "/etc/u/sockets.target.wants/e.socket -> /usr/u/e.socket",
            ])
        let runtime = try installer(files).enable([name("e.socket")], runtime: true)
        #expect(links(runtime) == ["/run/u/sockets.target.wants/e.socket -> /usr/u/e.socket"])
    }

    @Test("a template is enabled as an instance: the one named or DefaultInstance=; a swap unit's as whatever serves")
    func templates() throws {
        let files = [
            "/usr/u/a@.service": Self.wanted + "DefaultInstance=one\n", "/usr/u/b@.service": Self.wanted,
            "/usr/u/s@.target": "[Unit]\nWants=b@%i.service\n[X-Swap]\n[Install]\nWantedBy=multi-user.target\n",
            "/usr/u/c@.service": "[Service]\nExecStart=/x\n[Install]\nWantedBy=d@.target\n",
        ]
        func linked(_ unit: String) throws -> [String] {
            try links(installer(files).enable([name(unit)], runtime: false))
        }
        #expect(try linked("a@.service") == ["/etc/u/multi-user.target.wants/a@one.service -> /usr/u/a@.service"])
        #expect(try linked("a@two.service") == ["/etc/u/multi-user.target.wants/a@two.service -> /usr/u/a@.service"])
        #expect(try linked("s@.target") == ["/etc/u/multi-user.target.wants/s@.target -> /usr/u/s@.target"])
        #expect(try linked("c@.service") == ["/etc/u/d@.target.wants/c@.service -> /usr/u/c@.service"])
        let plain = [
            "/usr/u/b@.service": Self.wanted
        ]
        #expect(throws: InstallError.needsInstance(try name("b@.service"))) {
            _ = try installer(plain).enable([name("b@.service")], runtime: false)
        }
    }

    @Test("what cannot be enabled says why")
    func refusals() throws {
        let files = ["/usr/u/a.service": "[Service]\nExecStart=/x\n", "/etc/u/m.service": ""]
        #expect(throws: InstallError.notFound(try name("none.service"))) {
            _ = try installer(files).enable([name("none.service")], runtime: false)
        }
        #expect(throws: InstallError.masked(try name("m.service"), path: "/etc/u/m.service")) {
            _ = try installer(files).enable([name("m.service")], runtime: false)
        }
        let changes = try installer(files).enable([name("a.service")], runtime: false)
        #expect(changes.changes.isEmpty && changes.notes.count == 1)
        let badAlias = ["/usr/u/a.service": Self.wanted + "Alias=b.socket\n"]
        #expect(throws: InstallError.badAlias(try name("a.service"), alias: try name("b.socket"))) {
            _ = try installer(badAlias).enable([name("a.service")], runtime: false)
        }
    }

    @Test("disable removes every link to the unit, also those that it does not ask for any more, and no other")
    func disable() throws {
        let files = ["/usr/u/a.service": Self.wanted, "/usr/u/b.service": Self.wanted]
        let present = [
            "/etc/u/multi-user.target.wants/a.service": "/usr/u/a.service",
            "/etc/u/old.target.requires/a.service": "/usr/u/a.service",
            "/etc/u/multi-user.target.wants/b.service": "/usr/u/b.service", "/etc/u/alias.service": "/usr/u/a.service",
            "/run/u/multi-user.target.wants/a.service": "/usr/u/a.service",
        ]
        let changes = try installer(files, links: present).disable([name("alias.service")], runtime: false)
        #expect(
            Set(links(changes)) == [
                "- /etc/u/multi-user.target.wants/a.service", "- /etc/u/old.target.requires/a.service",
                "- /etc/u/alias.service",
            ])
    }

    @Test("mask links to /dev/null, never over a file; unmask takes that back and nothing else")
    func mask() throws {
        let files = ["/usr/u/a.service": Self.wanted, "/etc/u/own.service": Self.wanted]
        #expect(
            try links(installer(files).mask([name("a.service")], runtime: false)) == ["/etc/u/a.service -> /dev/null"])
        #expect(throws: InstallError.occupied(path: "/etc/u/own.service")) {
            _ = try installer(files).mask([name("own.service")], runtime: false)
        }
        let masked = installer(files, links: ["/etc/u/a.service": "/dev/null"])
        #expect(masked.state(of: try name("a.service")) == .masked)
        #expect(
            try links(masked.unmask([name("a.service"), name("own.service")], runtime: false)) == ["- /etc/u/a.service"]
        )
        let runtime = installer(files, links: ["/run/u/a.service": "/dev/null"])
        #expect(runtime.state(of: try name("a.service")) == .maskedRuntime)
    }

    @Test(
        "the states of is-enabled",
        arguments: [
            ("a.service", UnitFileState.enabled), ("b.service", .enabledRuntime), ("c.service", .disabled),
            ("d.service", .static), ("e.service", .indirect), ("f.service", .alias), ("g.service", .notFound),
            ("h.service", .bad), ("s@.target", .enabled), ("s@v1.target", .enabled), ("t@.service", .enabled),
            ("t@1.service", .enabled), ("t@2.service", .disabled),
        ])
    func states(_ unit: String, _ state: UnitFileState) throws {
        let files = [
            "/usr/u/a.service": Self.wanted, "/usr/u/b.service": Self.wanted, "/usr/u/c.service": Self.wanted,
            "/usr/u/d.service": "[Service]\nExecStart=/x\n",
            "/usr/u/e.service": "[Service]\nExecStart=/x\n[Install]\nAlso=a.service\n",
            "/usr/u/h.service": "[Service]\n",
            "/usr/u/s@.target": "[X-Swap]\n[Install]\nWantedBy=multi-user.target\n", "/usr/u/t@.service": Self.wanted,
        ]
        let present = [
            "/etc/u/multi-user.target.wants/a.service": "/usr/u/a.service",
            "/run/u/multi-user.target.wants/b.service": "/usr/u/b.service", "/etc/u/f.service": "/usr/u/d.service",
            "/etc/u/multi-user.target.wants/s@.target": "/usr/u/s@.target",
            "/etc/u/multi-user.target.wants/t@1.service": "/usr/u/t@.service",
        ]
        let installer = installer(files, links: present)
        // A unit that has an alias is enabled by it.
        #expect(installer.state(of: try name(unit)) == (unit == "d.service" ? .enabled : state))
    }

    // MARK: - Aliases

    @Test("a link to a unit file of another name is another name of the unit, wherever it is named")
    func aliases() throws {
        let files = [
            "/usr/u/real.service": Self.wanted, "/usr/u/real@.service": Self.wanted,
            "/usr/u/b.service": "[Unit]\nAfter=other.service other@x.service\n[Service]\nExecStart=/x\n",
        ]
        let loader = loader(
            files,
            links: [
                "/etc/u/other.service": "../../usr/u/real.service", "/etc/u/other@.service": "/usr/u/real@.service",
                "/etc/u/far.service": "/srv/elsewhere.service",
            ])
        #expect(loader.load(try name("other.service")).name.description == "real.service")
        #expect(loader.load(try name("other@x.service")).name.description == "real@x.service")
        #expect(try loader.resolve(shortName: "other").get().description == "real.service")
        #expect(!loader.allNames().map(\.description).contains("other.service"))
        let after = loader.load(try name("b.service")).unit?.definition.unit.after.map(\.name.description)
        #expect(after == ["real.service", "real@x.service"])
        // A link to a file elsewhere is the unit itself.
        #expect(loader.canonical(try name("far.service")).description == "far.service")
    }

    // MARK: - Boot

    @Test("what systemd's own targets want is started at boot, except those of a shutdown")
    func boot() throws {
        let files = [
            "/usr/u/a.service": Self.wanted, "/usr/u/s@.target": "[X-Swap]\n",
            "/usr/u/h.socket": "[Socket]\nListenStream=1\n",
            "/usr/u/own.target": "[Unit]\n", "/usr/u/multi-user.target.d/x.conf": "",
            "/usr/u/basic.target": "[Unit]\nWants=b.service\n",
        ]
        let loader = loader(
            files,
            links: [
                "/etc/u/multi-user.target.wants/a.service": "/usr/u/a.service",
                "/etc/u/sockets.target.wants/h.socket": "/usr/u/h.socket",
                "/etc/u/multi-user.target.wants/s@.target": "/usr/u/s@.target",
                "/etc/u/shutdown.target.wants/never.service": "/usr/u/a.service",
                "/etc/u/own.target.wants/later.service": "/usr/u/a.service",
                "/etc/u/default.target": "/usr/u/own.target",
            ])
        #expect(
            BootUnits.wanted(loader).map(\.name.description) == [
                "h.socket", "b.service", "a.service", "s@.target", "own.target",
            ])
    }
}
