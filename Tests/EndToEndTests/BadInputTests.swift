import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// Units that cannot work: reported with file and line, or path and errno, without effect on other units.
    @Suite struct BadUnits {
        /// Serves web@v1 under load while `body` does something that cannot work.
        private func undisturbed(_ body: (World) throws -> Void) throws {
            try withWorld {
                try $0.web()
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let pid = try world.mainPid("web@v1.service")
                try underLoad(world, until: "v1") { loads in
                    for load in loads { try load.waitForAnswer("v1") }
                    try body(world)
                    for load in loads { load.forgetAnswers() }
                }
                #expect(try world.mainPid("web@v1.service") == pid)
                #expect(try world.generations("web").map(\.number) == [1])
            }
        }

        @Test("A unit file that does not parse is named with file, line and column")
        func doesNotParse() throws {
            try undisturbed { world in
                let file = "\(world.units)/web@.service"
                try world.layout().unit(
                    "web@.service", "[Service]\nExecStart=/bin/true\n[Unit\nDescription=x\n[Service]\nType=nonsense\n")
                let swap = try world.run("swap", "web@v2")
                #expect(swap.status != 0)
                #expect(swap.output.contains("InvalidUnit"), "\(swap.output)")
                #expect(swap.errors.contains("\(file):3:"), "\(swap.errors)")
                let update = try world.control("reread")
                #expect(try update.end() == 1)
                #expect(update.errorText.contains("\(file):3:"), "\(update.errorText)")
                // Files that are not text, and a directory in place of a file.
                try Data((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 37) }).write(to: URL(fileURLWithPath: file))
                #expect(try world.run("swap", "web@v2").output.contains("InvalidUnit"))
                try world.layout().remove("units/web@.service")
                try world.layout().makeDirectory("units/web@.service")
                let directory = try world.run("swap", "web@v2")
                #expect(directory.status != 0 && directory.result == nil, "\(directory.output)")
            }
        }

        @Test("A port in use is named with the unit's line, the address and the errno")
        func portInUse() throws {
            try undisturbed { world in
                try world.layout().unit(
                    "other.socket", "# first line\n[Socket]\nListenStream=127.0.0.1:\(world.port)\n")
                try world.layout().unit(
                    "other.service", "[Service]\nExecStart=/bin/sleep infinity\nSockets=other.socket\n[X-Swap]\n")
                #expect(try world.control("reread").end() == 0)
                let start = try world.run("start", "other")
                #expect(start.outcome == .failed, "\(start.output)")
                #expect(start.status == 7)
                let message = start.reason?.message ?? ""
                #expect(message.contains("\(world.units)/other.socket:3"), "\(message)")
                #expect(message.contains("127.0.0.1:\(world.port)"), "\(message)")
                #expect(message.contains("Address already in use"), "\(message)")
            }
        }

        @Test("A user that does not exist is named")
        func unknownUser() throws {
            try undisturbed { world in
                try world.layout().unit(
                    "who.service", "[Service]\nUser=nobody-by-that-name\nExecStart=/bin/sleep infinity\n")
                #expect(try world.control("reread").end() == 0)
                let start = try world.run("start", "who")
                #expect(start.outcome == .failed)
                #expect(start.reason?.message.hasPrefix("cannot start who.service: ") == true)
                #expect(start.reason?.message.contains("nobody-by-that-name") == true, "\(start.output)")
            }
        }

        @Test("A unit that does not exist is refused with the nearest name; a wrong name with what is wrong")
        func unknownUnit() throws {
            try undisturbed { world in
                let missing = try world.run("swap", "wbe@v2")
                #expect(missing.status == 1)
                #expect(missing.output.contains("NoSuchUnit"), "\(missing.output)")
                for name in ["", "web@v2/../../etc", "web@\u{7f}", String(repeating: "x", count: 5000)] {
                    let wrong = try world.run("swap", name)
                    #expect(wrong.status != 0 && wrong.result == nil, "\(name.prefix(40)): \(wrong.output)")
                }
            }
        }
    }
}
