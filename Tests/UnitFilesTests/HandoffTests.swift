import Testing

@testable import UnitFiles

@Suite struct HandoffTests {
    @Test("Hand-over conventions add up in their order, and an empty value takes them back")
    func conventions() throws {
        #expect(try unit("").handoff.conventions == [.systemd])
        #expect(
            try unit("X-Handoff=nginx fd-env\nX-Handoff=nginx systemd").handoff.conventions
                == [.nginx, .fdEnvironment, .systemd])
        #expect(
            try unit("X-Handoff=nginx\nX-Handoff=\nX-Handoff=stdin").handoff
                .passesDescriptors == false)
    }

    @Test("A convention that does not exist makes the service unusable, with a suggestion")
    func unknown() throws {
        let unit = try load("x.service", "[Service]\nExecStart=/x\nX-Handoff=einhron")
        #expect(unit.service == nil)
        #expect(unit.diagnostics.first?.suggestion == "einhorn")
    }

    @Test("stdin and StandardInput= exclude each other")
    func standardInput() throws {
        let unit = try load("x.service", "[Service]\nExecStart=/x\nX-Handoff=stdin\nStandardInput=socket")
        #expect(unit.service == nil)
    }

    @Test("Templates name a file and a result, with specifiers; a result may be named once and lies in the directory")
    func templates() throws {
        let templates = try unit("X-Template=/etc/%n.mustache:a.cfg /etc/b:c:b.cfg").handoff.templates
        #expect(templates.map(\.source) == ["/etc/x.service.mustache", "/etc/b:c"])
        #expect(templates.map(\.name) == ["a.cfg", "b.cfg"])
        for bad in ["relative:a", "/etc/a", "/etc/a:", "/etc/a:b/c", "/etc/a:..", "/etc/a:x /etc/b:x"] {
            #expect(try load("x.service", "[Service]\nExecStart=/x\nX-Template=\(bad)").service == nil, "\(bad)")
        }
    }

    @Test("X-Pass= says whether a program gets the socket or its address")
    func pass() throws {
        let text = "[Socket]\nListenStream=0\n"
        #expect(try load("x.socket", text).socket?.pass == .descriptor)
        #expect(try load("x.socket", text + "X-Pass=address").socket?.pass == .address)
        #expect(try load("x.socket", text + "X-Pass=port").socket == nil)
    }

    @Test("In a network of the generation's own every member moves with every other")
    func network() throws {
        var definition = SwapUnitDefinition(
            identity: try UnitName("site@.target"), name: try UnitName("site@v1.target"), release: "v1",
            section: SwapSection())
        definition.services = [
            ServiceUnit(name: try UnitName("x.service")), ServiceUnit(name: try UnitName("y.service")),
        ]
        #expect(definition.moving(with: [try UnitName("y.service")]).count == 1)
        definition.network = .private
        #expect(definition.moving(with: [try UnitName("y.service")]).count == 2)
        #expect(definition.moving(with: [try UnitName("z.service")]).isEmpty)
    }

    private func unit(_ text: String) throws -> ServiceUnit {
        try #require(try load("x.service", "[Service]\nExecStart=/x\n" + text).service)
    }
}
