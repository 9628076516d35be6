import Testing
import UnitFiles

@Suite("What is swapped together")
struct ResolverTests {
    private func resolver(_ files: [String: String]) -> SwapUnitResolver { SwapUnitResolver(loader: loader(files)) }

    private func with(_ changes: [String: String]) -> [String: String] { Site.files.merging(changes) { _, new in new } }

    private func definition(_ files: [String: String], _ unit: String) throws -> SwapUnitDefinition {
        try #require(resolver(files).resolve(try name(unit)).definition)
    }

    private func texts(_ names: some Sequence<UnitName>) -> [String] { names.map(\.description) }

    private func service(_ lines: String = "", unit: String = "", swap: String? = nil) -> String {
        "[Unit]\n\(unit)\n[Service]\nExecStart=/x\n\(lines)\n" + (swap.map { "[X-Swap]\n\($0)\n" } ?? "")
    }

    @Test("DESIGN.md's site: backend before proxy, and who uses what")
    func site() throws {
        let site = try definition(Site.files, "site@v2.target")
        #expect(
            site.identity.description == "site@.target" && site.release == "v2" && site.isSwappable && site.isUsable)
        #expect(site.diagnostics == [])
        #expect(texts(site.services.map(\.name)) == ["app@v2.service", "edge@v2.service"])
        #expect(site.settings.soak == .seconds(5) && site.settings.strategy == .overlap)
        let (app, edge) = (try name("app@v2.service"), try name("edge@v2.service"))
        #expect(site.startsAfter == [edge: [app]] && site.upstreams == [edge: [app]])
        #expect(texts(site.sockets.map(\.name)) == ["app@v2.socket", "http.socket"])
        #expect(site.usedBy[try name("http.socket")] == [edge] && site.socketsOf[app].map(texts) == ["app@v2.socket"])
        #expect(site.dependencies.isEmpty)
    }

    @Test("a backend takes along the proxy that has its generation socket as upstream, and not the reverse")
    func moving() throws {
        let site = try definition(Site.files, "site@v2.target")
        #expect(Set(texts(site.moving(with: [try name("app@.service")]))) == ["app@.service", "edge@.service"])
        #expect(Set(texts(site.moving(with: [try name("app@v2.service")]))) == ["app@.service", "edge@.service"])
        #expect(texts(site.moving(with: [try name("edge@.service")])) == ["edge@.service"])
        #expect(site.moving(with: [try name("other.service")]).isEmpty)
    }

    @Test("behind a shared private socket the proxy stays, and still starts after its backend")
    func sharedUpstream() throws {
        let site = try definition(
            with([
                "app@.socket": "[Socket]\nListenStream=/run/app\nX-Scope=shared",
                "edge@.service": Site.edge.replacing("After=app@%i.service", with: ""),
            ]), "site@v2.target")
        #expect(texts(site.moving(with: [try name("app@.service")])) == ["app@.service"])
        #expect(site.upstreams.isEmpty)
        #expect(texts(site.services.map(\.name)) == ["app@v2.service", "edge@v2.service"])
        #expect(site.startsAfter[try name("edge@v2.service")].map(texts) == ["app@v2.service"])
    }

    @Test("a member named alone belongs to its target")
    func owners() throws {
        let all = resolver(Site.files)
        #expect(all.owner(of: try name("app@v2.service"))?.description == "site@v2.target")
        #expect(all.owner(of: try name("app@.service"))?.description == "site@.target")
        #expect(all.owner(of: try name("http.socket")) == nil)
        guard case .swapUnit(let definition) = all.resolve(try name("edge@v7.service")) else {
            Issue.record("no swap unit")
            return
        }
        #expect(definition.name.description == "site@v7.target" && definition.services.count == 2)
    }

    @Test("templates need a release")
    func templates() throws {
        let all = resolver(with(["lone@.service": service(swap: "")]))
        for (unit, identity) in [
            ("site@.target", "site@.target"), ("app@.service", "site@.target"), ("lone@.service", "lone@.service"),
        ] {
            guard case .needsRelease(let found) = all.resolve(try name(unit)) else {
                Issue.record("\(unit) needs no release")
                continue
            }
            #expect(found.description == identity)
        }
    }

    @Test(
        "services of their own: with [X-Swap] a swap unit, without it plain, an instance of a swapped template a release"
    )
    func services() throws {
        let files = [
            "a.service": service(swap: "SoakSec=2"), "b.service": service(unit: "Wants=a.service gone.service"),
            "c@.service": service(swap: ""), "d@.service": service(),
        ]
        let all = resolver(files)
        guard case .swapUnit(let a) = all.resolve(try name("a.service")) else {
            Issue.record("a")
            return
        }
        #expect(a.identity.description == "a.service" && a.release == nil && a.settings.soak == .seconds(2))
        guard case .plain(let b) = all.resolve(try name("b.service")) else {
            Issue.record("b")
            return
        }
        #expect(!b.isSwappable && texts(b.dependencies.map(\.name)) == ["a.service"] && b.isUsable)
        #expect(codes(b.diagnostics) == [.missingUnit] && b.diagnostics.first?.severity == .warning)
        guard case .swapUnit(let c) = all.resolve(try name("c@v1.service")) else {
            Issue.record("c")
            return
        }
        #expect(c.identity.description == "c@.service" && c.release == "v1")
        guard case .plain(let d) = all.resolve(try name("d@v1.service")) else {
            Issue.record("d")
            return
        }
        #expect(d.identity.description == "d@v1.service" && d.release == nil)
    }

    @Test("what else is wanted is a dependency; targets without [X-Swap] are walked through")
    func dependencies() throws {
        let files = with([
            "site@.target":
                "[Unit]\nWants=app@%i.service inner@%i.target metrics.service plain.service network-online.target\n[X-Swap]",
            "inner@.target": "[Unit]\nWants=edge@%i.service other@%i.target",
            "other@.target": "[Unit]\nWants=never@%i.service\n[X-Swap]", "never@.service": service(),
            "metrics.service": service(), "plain.service": service(unit: "Wants=deep.service", swap: ""),
            "deep.service": service(swap: ""), "worker@.service": service(),
            "app@.service": service(unit: "Wants=worker@1.service"),
        ])
        let site = try definition(files, "site@v2.target")
        #expect(
            Set(texts(site.services.map(\.name)))
                == ["app@v2.service", "edge@v2.service", "plain.service", "deep.service"])
        #expect(
            Set(texts(site.dependencies.map(\.name))) == ["metrics.service", "worker@1.service", "other@v2.target"])
        #expect(site.isUsable, "\(site.diagnostics)")
        guard case .needsRelease(let identity) = resolver(files).resolve(try name("plain.service")) else {
            Issue.record("plain.service has no owner")
            return
        }
        #expect(identity.description == "site@.target")
    }

    @Test("a target without [X-Swap] is a list, and a plain target with it has no release")
    func targets() throws {
        let all = resolver([
            "list.target": "[Unit]\nWants=a.service", "a.service": service(swap: ""), "b.service": service(swap: ""),
            "group.target": "[Unit]\nRequires=b.service\n[X-Swap]",
        ])
        guard case .list(_, let units) = all.resolve(try name("list.target")) else {
            Issue.record("list")
            return
        }
        #expect(texts(units.map(\.name)) == ["a.service"])
        guard case .swapUnit(let group) = all.resolve(try name("b.service")) else {
            Issue.record("group")
            return
        }
        #expect(group.identity.description == "group.target" && group.release == nil)
        guard case .swapUnit(let a) = all.resolve(try name("a.service")) else {
            Issue.record("a")
            return
        }
        #expect(a.target == nil)
    }

    @Test("a release whose member has no file cannot be used, and the Wants= line is named")
    func missingMember() throws {
        var files = Site.files
        files["app@.service"] = nil
        let site = try definition(files, "site@v2.target")
        #expect(!site.isUsable)
        let missing = try #require(site.diagnostics.first { $0.code == .missingUnit })
        #expect(missing.location.description == "/etc/holdfast/units/site@.target:2:7" && missing.severity == .error)
    }

    @Test("a broken member, a missing socket and a masked requirement make the release unusable")
    func brokenMembers() throws {
        for (changes, code) in [
            (["app@.service": "[Service]\nType=notify"], DiagnosticCode.unusableUnit),
            (["http.socket": "[Socket]"], .unusableUnit), (["http.socket": ""], .unusableUnit),
            (["edge@.service": service("Sockets=gone.socket")], .missingSocket),
            (["edge@.service": service("X-Upstreams=gone.socket")], .missingSocket),
            (["app@.service": service(swap: "ReadyProbe=tcp gone.socket")], .missingSocket),
            (["app@.service": "", "site@.target": Site.target.replacing("Wants", with: "Requires")], .unusableUnit),
            (
                ["site@.target": Site.target.replacing("[X-Swap]", with: "Requires=gone.service\n[X-Swap]")],
                .missingUnit
            ),
        ] {
            let site = try definition(with(changes), "site@v2.target")
            #expect(!site.isUsable && codes(site.diagnostics).contains(code), "\(changes)")
        }
        let masked = try definition(with(["app@.service": "", "edge@.service": service()]), "site@v2.target")
        #expect(masked.isUsable && texts(masked.services.map(\.name)) == ["edge@v2.service"])
    }

    @Test("a member of a broken target is not taken for ownerless")
    func brokenOwner() throws {
        let all = resolver(with(["site@.target": Site.target.replacing("SoakSec=5s", with: "SoakSec=soon")]))
        #expect(all.owner(of: try name("app@v2.service"))?.description == "site@v2.target")
        guard case .unusable(let unit) = all.resolve(try name("app@v2.service")) else {
            Issue.record("usable")
            return
        }
        #expect(unit.name.description == "site@v2.target" && codes(unit.diagnostics) == [.invalidValue])
    }

    @Test("what one instance's own drop-in adds counts for that instance only")
    func instanceDropIns() throws {
        let all = resolver(
            with([
                "site@v3.target.d/x.conf": "[Unit]\nWants=extra@%i.service", "extra@.service": service(),
                "lone@.service": service(swap: ""),
            ]))
        #expect(all.owner(of: try name("extra@v3.service"))?.description == "site@v3.target")
        #expect(all.owner(of: try name("extra@v2.service")) == nil)
        #expect(all.owner(of: try name("lone@v3.service")) == nil)
        #expect(all.owner(of: try name("app@v3.service"))?.description == "site@v3.target")
    }

    @Test("an ordering cycle is named whole")
    func cycles() throws {
        let files = [
            "g.target": "[Unit]\nWants=a.service b.service c.service d.service\n[X-Swap]",
            "a.service": service(unit: "After=b.service", swap: ""),
            "b.service": service(unit: "After=c.service", swap: ""),
            "c.service": service(unit: "Before=x.service\nAfter=a.service", swap: ""),
            "d.service": service(unit: "After=a.service d.service", swap: ""),
        ]
        let group = try definition(files, "g.target")
        #expect(!group.isUsable)
        let cycle = try #require(group.diagnostics.first { $0.code == .orderingCycle })
        #expect(cycle.message == "ordering cycle: a.service after b.service after c.service after a.service")
        #expect(cycle.location.description == "/etc/holdfast/units/a.service:2:7")
        #expect(group.services.count == 4)
    }

    @Test("every start order obeys After= and Before=, and a chain of 5,000 needs no stack")
    func order() throws {
        var random = Seeded(7)
        for _ in 0..<200 {
            let count = Int.random(in: 2...12, using: &random)
            var files = [
                "g.target": "[Unit]\nWants=" + (0..<count).map { "s\($0).service" }.joined(separator: " ")
                    + "\n[X-Swap]"
            ]
            var pairs: [(Int, Int)] = []
            let rank = (0..<count).shuffled(using: &random)
            for index in 0..<count {
                var lines = ""
                for other in 0..<count where rank[other] < rank[index] && Int.random(in: 0..<4, using: &random) == 0 {
                    pairs.append((other, index))
                    lines += "After=s\(other).service\n"
                }
                for other in 0..<count where rank[other] > rank[index] && Int.random(in: 0..<6, using: &random) == 0 {
                    pairs.append((index, other))
                    lines += "Before=s\(other).service\n"
                }
                files["s\(index).service"] = service(unit: lines, swap: "")
            }
            let group = try definition(files, "g.target")
            let position = Dictionary(
                uniqueKeysWithValues: texts(group.services.map(\.name)).enumerated().map { ($1, $0) })
            #expect(position.count == count)
            for (first, second) in pairs {
                let places = (try #require(position["s\(first).service"]), try #require(position["s\(second).service"]))
                #expect(places.0 < places.1)
            }
        }
        let chain = 5000
        var files = ["g.target": "[Unit]\nWants=c@0.service\n[X-Swap]"]
        files["g@.target"] = "[Unit]\nWants=s0@%i.service\n[X-Swap]"
        for index in 0..<chain {
            files["s\(index)@.service"] = service(
                unit: "Wants=s\(index + 1)@%i.service\nAfter=s\(index + 1)@%i.service")
        }
        files["s\(chain)@.service"] = service()
        let group = try definition(files, "g@v.target")
        #expect(group.services.count == chain + 1 && group.services.first?.name.description == "s\(chain)@v.service")
    }

    @Test("sockets of a service: its namesake, then Sockets=, then those whose Service= names it")
    func sockets() throws {
        let files = [
            "a.service": service("Sockets=z.socket y.socket"), "a.socket": "[Socket]\nListenStream=1",
            "z.socket": "[Socket]\nListenStream=2", "y.socket": "[Socket]\nListenStream=3",
            "k.socket": "[Socket]\nListenStream=4\nService=a.service",
            "b.socket": "[Socket]\nListenStream=5\nService=c.service",
            "b.service": service(),
        ]
        let a = try definition(files, "a.service")
        #expect(a.socketsOf[try name("a.service")].map(texts) == ["a.socket", "z.socket", "y.socket", "k.socket"])
        #expect(try definition(files, "b.service").sockets.isEmpty)
        let templates = [
            "t@.service": service(swap: ""), "pub@.socket": "[Socket]\nListenStream=/x\nService=t@%i.service",
        ]
        #expect(texts(try definition(templates, "t@v.service").sockets.map(\.name)) == ["pub@v.socket"])
    }

    @Test("names without a file, and broken ones, are returned as what they are")
    func unusable() throws {
        let all = resolver(["bad.service": "[Service]", "off.service": "", "s.socket": "[Socket]\nListenStream=1"])
        for unit in ["gone.service", "gone@.service", "bad.service", "off.service", "gone.target"] {
            guard case .unusable = all.resolve(try name(unit)) else {
                Issue.record("\(unit) is usable")
                continue
            }
        }
        guard case .socket = all.resolve(try name("s.socket")) else {
            Issue.record("socket")
            return
        }
    }
}
