import ControlProtocol
import Foundation
import Testing

/// Both ends of a pseudo-terminal; the test acts as the user at the keyboard.
private final class Keyboard {
    let descriptor: Int32
    /// The path that a service opens.
    let path: String

    init() throws {
        descriptor = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
        // TIOCSPTLCK and TIOCGPTN of ioctl_tty(2); unlockpt(3) and ptsname(3) are hidden behind _XOPEN_SOURCE.
        var (lock, number) = (Int32(0), UInt32(0))
        guard ioctl(descriptor, 0x4004_5431, &lock) == 0, ioctl(descriptor, 0x8004_5430, &number) == 0 else {
            throw WaitedInVain(what: "a terminal")
        }
        path = "/dev/pts/\(number)"
    }

    deinit { close(descriptor) }

    func type(_ text: String) { _ = text.withCString { write(descriptor, $0, strlen($0)) } }

    /// The output on the screen, up to this text.
    func read(until wanted: String) throws -> String {
        var seen = ""
        // Polled: while no process has the other end open, poll(2) returns at once with POLLHUP.
        try eventually("\(wanted) on the terminal") {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 0) > 0 else { return false }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = Glibc.read(descriptor, &bytes, bytes.count)
            seen += String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
            return seen.contains(wanted)
        }
        return seen
    }
}

extension EndToEnd {
    /// StandardInput=tty and the other terminal settings (systemd.exec(5)).
    @Suite struct Terminals {
        private func unit(_ layout: World.Layout, _ keyboard: Keyboard, _ lines: String) throws {
            try layout.unit(
                "app.service",
                """
                [Service]
                TTYPath=\(keyboard.path)
                ExecStartPre=/usr/bin/test -t 0 -a -t 1
                ExecStart=/bin/sh -c 'echo "$TERM $(tty) $(stty size)"; echo mine > /dev/tty; read line; echo "<$line>"; \
                    exec sleep 1000'
                ExecReload=/bin/sh -c 'tty; echo reloaded'
                TimeoutStopSec=5s
                \(lines)
                """)
        }

        /// The number of the controlling terminal of a process (tty_nr of proc(5)); 0 if it has none.
        private func controlling(_ pid: pid_t) throws -> Int {
            let stat = try Program.run("cat", ["/proc/\(pid)/stat"]).outputText
            let fields = stat.split(separator: ")").last?.split(separator: " ")
            return Int(fields?.dropFirst(4).first ?? "") ?? -1
        }

        @Test(
            "A service sits at its terminal: reads, writes, and has it as its controlling one",
            .enabled(if: supervisorIsRoot))
        func interactive() throws {
            let keyboard = try Keyboard()
            try withWorld { layout in
                try unit(
                    layout, keyboard,
                    "StandardInput=tty\nTTYVHangup=yes\nTTYReset=yes\nTTYRows=33\nTTYColumns=99\nUser=nobody")
            } then: { (world: World) throws in
                #expect(try world.run("start", "app").outcome == .started)
                let greeting = try keyboard.read(until: "mine")
                #expect(greeting.contains("vt220 \(keyboard.path) 33 99\r\n"), "\(greeting)")
                keyboard.type("hello\n")
                #expect(try keyboard.read(until: "<hello>").contains("hello\r\n<hello>"), "it echoes what is typed")
                var status = stat()
                #expect(stat(keyboard.path, &status) == 0 && status.st_mode & 0o777 == 0o620 && status.st_uid != 0)
                // A command beside the main process may write to the terminal, and not read.
                #expect(try world.run("reload", "app").outcome == .completed)
                #expect(try keyboard.read(until: "reloaded").contains("not a tty\r\n"))
                #expect(try world.control("fg", "app").errorText.contains("type there"))
                #expect(try world.run("stop", "app").outcome == .stopped)
            }
        }

        @Test(
            "A terminal that another session has: tty-fail fails by name, tty-force takes it",
            .enabled(if: supervisorIsRoot))
        func claims() throws {
            let keyboard = try Keyboard()
            try withWorld { layout in
                try unit(layout, keyboard, "StandardInput=tty-force")
                try layout.unit(
                    "other.service",
                    "[Service]\nTTYPath=\(keyboard.path)\nStandardInput=tty-fail\nExecStart=/bin/sleep 1000\n")
                try layout.unit(
                    "none.service", "[Service]\nTTYPath=/dev/null\nStandardOutput=tty\nExecStart=/bin/sleep 1000\n")
            } then: { (world: World) throws in
                #expect(try world.run("start", "other").outcome == .started)
                let holder = try Watched(try world.mainPid("other.service"))
                try world.layout().write(
                    "units/third.service",
                    "[Service]\nTTYPath=\(keyboard.path)\nStandardInput=tty-fail\nExecStart=/bin/sleep 1000\n")
                let refused = try world.run("start", "third")
                #expect(
                    refused.reason?.message
                        == "cannot start third.service: taking its terminal: Operation not permitted",
                    "\(refused.output)")
                #expect(try controlling(holder.pid) != 0)
                #expect(try world.run("start", "app").outcome == .started)
                _ = try keyboard.read(until: "mine")
                #expect(try controlling(holder.pid) == 0, "its session has lost its terminal")
                let none = try world.run("start", "none")
                #expect(none.reason?.message.contains("open terminal /dev/null: Inappropriate ioctl") == true)
            }
        }
    }
}
