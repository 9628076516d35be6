import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// A deploy's changes to shared sockets take effect at its cutover: a failed deploy leaves no trace.
    @Suite struct SharedSocketChanges {
        private func listen(_ layout: World.Layout, _ ports: [Int], _ lines: String = "") throws {
            let addresses = ports.map { "ListenStream=127.0.0.1:\($0)\n" }.joined()
            try layout.unit("http.socket", "[Socket]\n\(addresses)\(lines)")
        }

        private func answer(_ port: Int) throws -> String {
            let client = try RawConnection(port: port)
            try client.send("GET / HTTP/1.0\r\n\r\n")
            return try client.readAnswer().components(separatedBy: "\r\n\r\n").last ?? ""
        }

        private func refuses(_ port: Int) -> Bool { (try? RawConnection(port: port)) == nil }

        private func addresses(_ world: World) throws -> [String] {
            try world.sockets().filter { $0.unit == "http.socket" }.map(\.address)
        }

        /// `web@` on the first port, with a bad release, and a second port.
        private func withWeb(_ then: (World, _ other: Int) throws -> Void) throws {
            let other = try freePort()
            try withWorld { layout in
                try layout.web()
                try layout.release("bad", "--exit-at-start 3")
                try layout.release("late", "--never-ready")
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try then(world, other)
            }
        }

        /// The attempt has left no trace: later swaps work, and a stop leaves the sockets that were served.
        private func isAsBefore(_ world: World, _ other: Int) throws {
            #expect(try addresses(world) == ["127.0.0.1:\(world.port)"])
            #expect(refuses(other))
            try world.layout().publicSocket()
            #expect(try world.run("swap", "web@v2").outcome == .completed)
            #expect(try answer(world.port) == "v2")
            let stopped = try world.run("stop", "web")
            #expect(stopped.output.contains("http.socket is still held"), "\(stopped.output)")
            #expect(!refuses(world.port), "what is said to be held is")
            #expect(try world.run("start", "web@v2").outcome == .started)
            #expect(try answer(world.port) == "v2")
        }

        @Test("A rolled-back release that listened elsewhere leaves the public port as it was")
        func rolledBack() throws {
            try withWeb { world, other in
                try listen(world.layout(), [other])
                #expect(try world.run("swap", "web@bad").outcome == .rolledBack)
                try isAsBefore(world, other)
            }
        }

        @Test("So does one that is aborted, with more addresses than before")
        func aborted() throws {
            try withWeb { world, other in
                try listen(world.layout(), [other, world.port])
                let swap = try world.begin("swap", "web@late")
                try swap.waitFor(.start)
                #expect(try addresses(world).count == 2, "what is being tried is shown")
                try world.run("abort", "web")
                #expect(try swap.end().outcome == .aborted)
                try isAsBefore(world, other)
            }
        }

        @Test("So does one of which only some addresses can be opened")
        func notPrepared() throws {
            try withWeb { world, other in
                let taken = try freePort()
                let program = try Program("python3", ["-c", Self.occupant, "\(taken)"])
                defer { program.killIfAlive() }
                _ = try program.waitFor("the other program") { output, _ in output.isEmpty ? nil : true }
                try listen(world.layout(), [other, taken])
                let swap = try world.run("swap", "web@v2")
                #expect(swap.outcome == .rolledBack && swap.output.contains("Address already in use"), "\(swap.output)")
                try isAsBefore(world, other)
            }
        }

        private static let occupant = """
            import socket, sys, time
            s = socket.socket(); s.bind(("127.0.0.1", int(sys.argv[1]))); s.listen(); print("up", flush=True); time.sleep(600)
            """

        @Test("So does one during which the supervisor is killed, before and after the roll-back")
        func killed() throws {
            try withWeb { world, other in
                try listen(world.layout(), [other])
                let swap = try world.begin("swap", "web@late")
                try swap.waitFor(.start)
                try eventually("the new release's process") { (try? world.mainPid("web@late.service")) != nil }
                try world.crash()
                try world.startAgain()
                #expect(try addresses(world).count == 2, "\(world.daemon.errorText)")
                try world.run("abort", "web")
                _ = try swap.end()
                try eventually("the end of the swap") { try world.generations("web").count == 1 }
                try world.crash()
                try world.startAgain()
                try isAsBefore(world, other)
            }
        }

        @Test("A release that serves takes the table with it, also when the supervisor is killed afterwards")
        func completed() throws {
            try withWeb { world, other in
                try listen(world.layout(), [other], "Backlog=77\nFileDescriptorName=web\n")
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(try answer(other) == "v2")
                #expect(refuses(world.port))
                try world.crash()
                try world.startAgain()
                try world.run("stop", "web")
                #expect(!refuses(other))
                let shown = try #require(try world.sockets().first { $0.unit == "http.socket" })
                #expect(shown.address == "127.0.0.1:\(other)" && shown.backlog == 77 && shown.descriptorName == "web")
            }
        }

        @Test("Options of a socket that stays are those of the release that serves")
        func options() throws {
            try withWeb { world, _ in
                func backlog() throws -> Int? { try world.sockets().first { $0.unit == "http.socket" }?.backlog }
                #expect(try backlog() == 4096)
                try listen(world.layout(), [world.port], "Backlog=77\nFileDescriptorName=other\n")
                #expect(try world.run("swap", "web@bad").outcome == .rolledBack)
                #expect(try backlog() == 4096)
                #expect(try world.sockets().first?.descriptorName == "http")
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(try backlog() == 77)
                #expect(try world.run("rollback", "web").outcome == .completed)
                #expect(try backlog() == 4096)
            }
        }

        @Test("Unit files that are read there and back again change nothing for what serves")
        func reread() throws {
            try withWeb { world, other in
                try listen(world.layout(), [other])
                #expect(try world.control("reread").outputText.contains("127.0.0.1:\(other): opened"))
                #expect(try answer(world.port) == "v1")
                try world.layout().publicSocket()
                let back = try world.control("reread").outputText
                #expect(!back.contains("in use"), "\(back)")
                try isAsBefore(world, other)
            }
        }

        @Test("An address that cannot be opened is told by reread, and what is open stays")
        func rereadInVain() throws {
            try withWeb { world, _ in
                let taken = try freePort()
                let program = try Program("python3", ["-c", Self.occupant, "\(taken)"])
                defer { program.killIfAlive() }
                _ = try program.waitFor("the other program") { output, _ in output.isEmpty ? nil : true }
                try listen(world.layout(), [taken])
                let told = try world.control("reread").outputText
                #expect(told.contains("Address already in use; its sockets stay as they are"), "\(told)")
                try world.run("stop", "web")
                #expect(!refuses(world.port))
                try world.layout().publicSocket()
                try isAsBeforeStart(world)
            }
        }

        private func isAsBeforeStart(_ world: World) throws {
            #expect(try world.run("start", "web@v1").outcome == .started)
            #expect(try answer(world.port) == "v1")
        }

        @Test("Two swap units on one socket: each finds what the other still has, whichever moves first")
        func twoUnits() throws {
            let other = try freePort()
            try withWorld { layout in
                try layout.web()
                let text = try String(contentsOfFile: layout.path + "/units/web@.service", encoding: .utf8)
                try layout.unit("wax@.service", text)
                try layout.release("bad", "--exit-at-start 3")
            } then: { world in
                for unit in ["web", "wax"] { #expect(try world.run("swap", "\(unit)@v1").outcome == .started) }
                try listen(world.layout(), [other])
                #expect(try world.run("swap", "web@bad").outcome == .rolledBack)
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(try answer(other) == "v2")
                #expect(try answer(world.port) == "v1", "the other unit has it still")
                // Back to the first address: the first unit finds the socket that only the second unit's generation
                // has.
                try world.layout().publicSocket()
                #expect(try world.run("swap", "web@v3").outcome == .completed)
                #expect(refuses(other))
                #expect(try world.run("swap", "wax@v3").outcome == .completed)
                for unit in ["wax", "web"] { try world.run("stop", unit) }
                #expect(!refuses(world.port))
                #expect(try addresses(world) == ["127.0.0.1:\(world.port)"])
            }
        }

        @Test("Paths and links of a release that is rolled back go with it; the links of what serves are not touched")
        func paths() throws {
            try withWorld { layout in
                try layout.web()
                try layout.unit("http.socket", Self.unix(layout, "a"))
                try layout.release("bad", "--exit-at-start 3")
            } then: { world in
                let run = world.path + "/run/site"
                func link() -> String? { try? FileManager.default.destinationOfSymbolicLink(atPath: run + "/link") }
                #expect(try world.run("swap", "web@v1").outcome == .started)
                #expect(link() == run + "/a")
                try world.layout().unit("http.socket", Self.unix(world.layout(), "b"))
                #expect(try world.run("swap", "web@bad").outcome == .rolledBack)
                #expect(link() == run + "/a")
                #expect(!FileManager.default.fileExists(atPath: run + "/b"))
                #expect(try world.run("swap", "web@v2").outcome == .completed)
                #expect(link() == run + "/b")
                #expect(!FileManager.default.fileExists(atPath: run + "/a"))
                _ = try RawConnection(unix: run + "/link")
            }
        }

        private static func unix(_ layout: World.Layout, _ name: String) -> String {
            let run = layout.path + "/run/site"
            return "[Socket]\nListenStream=\(run)/\(name)\nSymlinks=\(run)/link\nRemoveOnStop=yes\n"
        }

        @Test("The path of a socket that only a generation has is restored when a program removes it")
        func pathOfGeneration() throws {
            try withWorld { layout in
                try layout.web()
                try layout.unit("http.socket", Self.unix(layout, "a"))
                try layout.unit(
                    "other.service", "[Service]\nType=oneshot\nExecStart=/bin/rm \(layout.path)/run/site/a\n")
            } then: { world in
                let run = world.path + "/run/site"
                #expect(try world.run("swap", "web@v1").outcome == .started)
                try world.layout().unit("http.socket", Self.unix(world.layout(), "b"))
                #expect(try world.control("reread").end() == 0)
                try world.run("start", "other")
                let client = try RawConnection(unix: run + "/a")
                try client.send("GET / HTTP/1.0\r\n\r\n")
                #expect(try client.readAnswer().hasSuffix("v1"))
            }
        }

        @Test("A first start that fails leaves no socket behind; one that did serve stays held")
        func firstStart() throws {
            try withWorld { layout in
                try layout.web()
                try layout.release("bad", "--exit-at-start 3")
            } then: { world in
                #expect(try world.run("start", "web@bad").outcome == .failed)
                #expect(refuses(world.port))
                #expect(try addresses(world) == [])
                #expect(try world.run("start", "web@v1").outcome == .started)
                try world.run("stop", "web")
                #expect(try world.run("start", "web@bad").outcome == .failed)
                #expect(!refuses(world.port))
            }
        }
    }
}
