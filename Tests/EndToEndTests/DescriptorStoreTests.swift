import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// `FDSTORE=1` of sd_notify(3).
    @Suite struct DescriptorStore {
        /// Reports its descriptors, appends a word to the stored file if there is one, else makes and stores one.
        private static let program = """
            import os, socket, sys, time
            out, extra = sys.argv[1], sys.argv[2:]
            notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            notify.connect(os.environ['NOTIFY_SOCKET'])
            count = int(os.environ.get('LISTEN_FDS', '0'))
            words = os.pread(3, 100, 0).decode() if count else ''
            with open(out, 'a') as file:
                print(count, os.environ.get('LISTEN_FDNAMES', '-'), words or '-', file=file)
            if count:
                os.pwrite(3, b'+', len(words))
            else:
                memory = os.memfd_create('state')
                os.write(memory, b'kept')
                socket.send_fds(notify, [b'FDSTORE=1\\nFDNAME=state'], [memory])
            if 'pipes' in extra:
                for name, poll in ((b'gone', b'1'), (b'stays', b'0')):
                    reading, writing = os.pipe()
                    socket.send_fds(notify, [b'FDSTORE=1\\nFDPOLL=' + poll + b'\\nFDNAME=' + name], [reading])
                    os.close(writing)
                    os.close(reading)
            if 'many' in extra:
                socket.send_fds(notify, [b'FDSTORE=1\\nFDNAME=more'], [os.memfd_create('m') for _ in range(40)])
                notify.send(b'FDSTOREREMOVE=1\\nFDNAME=state')
            notify.send(b'READY=1')
            time.sleep(1000)

            """

        private func lines(_ world: World) -> [String] {
            (world.contents("out/found") ?? "").split(separator: "\n").map(String.init)
        }

        private func service(_ lines: String, arguments: String = "") -> (World.Layout) throws -> Void {
            { layout in
                try layout.write("store.py", Self.program)
                try layout.unit(
                    "app.service",
                    """
                    [Service]
                    Type=notify
                    ExecStart=/usr/bin/python3 \(layout.path)/store.py \(layout.path)/out/found \(arguments)
                    FileDescriptorStoreMax=20
                    TimeoutStopSec=1s
                    StartLimitIntervalSec=0
                    \(lines)
                    """)
            }
        }

        private func start(_ world: World) throws {
            let start = try world.run("start", "app")
            #expect(start.outcome == .started, "\(start.output)\(start.errors)")
        }

        @Test(
            "What a service stored is there in its next run, after a crash and after a restart, and gone after a stop")
        func nextRun() throws {
            try withWorld(service("Restart=always\nRestartSec=0")) { world in
                try start(world)
                kill(pid_t(try world.mainPid("app.service")), SIGKILL)
                try eventually("the second run") { lines(world).count == 2 }
                #expect(lines(world) == ["0 - -", "1 state kept"])
                try eventually("the second run to be up") { try world.status("app").first?.state == .running }
                #expect(try world.run("restart", "app").status == 0)
                #expect(lines(world).last == "1 state kept+")
                #expect(try world.run("stop", "app").status == 0)
                try start(world)
                #expect(lines(world).last == "0 - -")
            }
        }

        @Test("It outlives a re-exec of the supervisor")
        func reexec() throws {
            try withWorld(service("Restart=always\nRestartSec=0")) { world in
                try start(world)
                let program = try world.control("daemon-reexec")
                #expect(try program.end() == 0, "\(program.errorText)")
                try world.awaitReady()
                kill(pid_t(try world.mainPid("app.service")), SIGKILL)
                try eventually("the second run") { lines(world).count == 2 }
                #expect(lines(world) == ["0 - -", "1 state kept"])
            }
        }

        @Test("With FileDescriptorStorePreserve=no it is gone with its run, with yes it outlives a stop")
        func preserve() throws {
            try withWorld(service("Restart=always\nRestartSec=0\nFileDescriptorStorePreserve=no")) { world in
                try start(world)
                kill(pid_t(try world.mainPid("app.service")), SIGKILL)
                try eventually("the second run") { lines(world).count == 2 }
                #expect(lines(world) == ["0 - -", "0 - -"])
            }
            try withWorld(service("FileDescriptorStorePreserve=yes")) { world in
                try start(world)
                #expect(try world.run("stop", "app").status == 0)
                try start(world)
                #expect(lines(world) == ["0 - -", "1 state kept"])
            }
        }

        @Test("A swap with Strategy=queue hands it to the next generation; one that overlaps starts with nothing")
        func generations() throws {
            try withWorld(service("[X-Swap]\nStrategy=queue\nSoakSec=0")) { world in
                try start(world)
                #expect(try world.run("swap", "app").outcome == .completed)
                #expect(lines(world) == ["0 - -", "1 state kept"])
            }
            try withWorld(service("[X-Swap]\nSoakSec=0")) { world in
                try start(world)
                #expect(try world.run("swap", "app").outcome == .completed)
                #expect(lines(world) == ["0 - -", "0 - -"])
            }
        }

        @Test("One whose other end is gone is dropped, unless the service said FDPOLL=0")
        func hangUp() throws {
            try withWorld(service("Restart=always\nRestartSec=0", arguments: "pipes")) { world in
                try start(world)
                kill(pid_t(try world.mainPid("app.service")), SIGKILL)
                try eventually("the second run") { lines(world).count == 2 }
                #expect(lines(world).last == "2 state:stays kept")
            }
        }

        @Test("Forty in one message are bounded by FileDescriptorStoreMax=, and FDSTOREREMOVE=1 drops by name")
        func bounds() throws {
            try withWorld(service("Restart=always\nRestartSec=0", arguments: "many")) { world in
                try start(world)
                kill(pid_t(try world.mainPid("app.service")), SIGKILL)
                try eventually("the second run") { lines(world).count == 2 }
                let names = Array(repeating: "more", count: 19).joined(separator: ":")
                #expect(lines(world).last == "19 \(names) -")
            }
        }

        @Test("Without FileDescriptorStoreMax= nothing is kept")
        func none() throws {
            try withWorld(service("Restart=always\nRestartSec=0\nFileDescriptorStoreMax=0")) { world in
                try start(world)
                kill(pid_t(try world.mainPid("app.service")), SIGKILL)
                try eventually("the second run") { lines(world).count == 2 }
                #expect(lines(world) == ["0 - -", "0 - -"])
            }
        }
    }
}
