import ControlProtocol
import Foundation
import Testing

extension EndToEnd {
    /// multibinder's wire protocol, with a client that behaves like multibinder's Ruby library.
    @Suite struct Multibinder {
        /// `client.py SOCKET WHAT…`: prints one line of JSON per step.
        static let client = """
            import array, json, os, random, socket, sys, time
            def connect(path):
                s = socket.socket(socket.AF_UNIX)
                s.connect(path)
                s.settimeout(30)
                return s
            def send(s, method, **bind):
                id = random.randrange(99999)
                s.sendmsg([json.dumps({"jsonrpc": "2.0", "method": method, "params": [bind], "id": id}).encode()])
                return id
            def receive(s, id):
                data, control, flags, _ = s.recvmsg(65536, socket.CMSG_SPACE(4))
                fds = array.array("i")
                for level, kind, payload in control:
                    assert (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
                    fds.frombytes(payload)
                reply = json.loads(data)
                assert reply["jsonrpc"] == "2.0" and reply["id"] == id, reply
                return reply, [socket.socket(fileno=fd) for fd in fds]
            def call(path, method, **bind):
                s = connect(path)
                reply, sockets = receive(s, send(s, method, **bind))
                s.close()
                return reply, sockets
            def inode(s): return os.fstat(s.fileno()).st_ino
            path, what = sys.argv[1:3]

            """

        private func ask(_ world: World, _ socket: String, _ program: String) throws -> String {
            try world.layout().write("client.py", Self.client + program)
            let client = try Program.run("/usr/bin/python3", ["\(world.path)/client.py", socket, "-"])
            #expect(try client.end() == 0, "\(client.errorText.suffix(1500))")
            return client.outputText
        }

        /// Requirements on both servers, the daemon and the drop-in program.
        static let conversation = """
            base = int(os.environ.get("BASE", "0"))
            # A socket that listens, and the same one for the same bind, on connections of its own and on one.
            reply, (one,) = call(path, "bind", address="127.0.0.1", port=PORT, backlog=7)
            assert reply["result"] is True
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1 and one.getsockname() == ("127.0.0.1", PORT)
            _, (again,) = call(path, "bind", address="127.0.0.1", port=PORT)
            assert inode(one) == inode(again)
            s = connect(path)
            for _ in range(100):
                _, (again,) = receive(s, send(s, "bind", address="127.0.0.1", port=PORT))
                assert inode(one) == inode(again)
            # All at once on one connection, answers read later and in order.
            ids = [send(s, "bind", address="127.0.0.1", port=PORT) for _ in range(50)]
            # Answers stay apart because a descriptor separates them.
            for id in ids: receive(s, id)
            # In pieces.
            text = json.dumps({"jsonrpc": "2.0", "method": "bind", "params": [{"address": "::1", "port": 0}], "id": 5})
            for letter in text: s.send(letter.encode())
            _, (six,) = receive(s, 5)
            assert six.family == socket.AF_INET6 and six.getsockname()[1] > 0
            # A client that dies in the middle of its request, and one that never reads.
            half = connect(path); half.send(text[:30].encode()); half.close()
            deaf = connect(path)
            deaf.setblocking(False)
            try:
                while True: deaf.send(text.encode())
            except BlockingIOError: pass
            # Paths.
            unix = DIRECTORY + "/by-binder.sock"
            _, (u,) = call(path, "bind", address=unix)
            assert u.getsockname() == unix
            # Mistakes, with the codes that multibinder's clients know.
            assert call(path, "quit")[0]["error"]["code"] == -32601
            reply, sockets = call(path, "bind", address="127.0.0.1", port=TAKEN)
            assert reply["error"]["code"] == 10000 and "in use" in reply["error"]["message"] and not sockets, reply
            assert call(path, "bind", address="nonsense", port=1)[0]["error"]["code"] == -32602
            s.sendall(b"GET / HTTP/1.1")
            assert b"-32700" in s.recv(4096) and s.recv(4096) == b""
            # Nobody holds it any more, and the next bind is a new socket.
            before = inode(one)
            assert call(path, "unbind", address="127.0.0.1", port=PORT)[0]["result"] is True
            assert call(path, "unbind", address="127.0.0.1", port=PORT)[0]["error"]["code"] == 10000
            one.close(); again.close()
            _, (new,) = call(path, "bind", address="127.0.0.1", port=PORT)
            assert call(path, "unbind", address=unix)[0]["result"] is True and not os.path.exists(unix)
            deaf.close()
            print("all of it")

            """

        private func conversation(_ world: World, _ socket: String) throws {
            let taken = try Occupied()
            let program = Self.conversation
                .replacingOccurrences(of: "PORT", with: "\(world.port)")
                .replacingOccurrences(of: "TAKEN", with: "\(taken.port)")
                .replacingOccurrences(of: "DIRECTORY", with: "\"\(world.path)\"")
            #expect(try ask(world, socket, program) == "all of it\n")
        }

        @Test("holdfastd --multibinder answers multibinder's clients, and shows their sockets")
        func daemon() throws {
            try withWorld(arguments: ["--multibinder", "/tmp/hf-binds-\(getpid())"]) { _ in
            } then: { world in
                let path = "/tmp/hf-binds-\(getpid())"
                try conversation(world, path)
                let held = try world.sockets().filter { $0.unit == "io.holdfast.multibinder.socket" }
                #expect(Set(held.map(\.address)).contains("127.0.0.1:\(world.port)") && held.allSatisfy(\.listening))
                try eventually("descriptors to be given back") {
                    ProcessEntry(world.daemon.pid)?.descriptors.values.filter { $0.hasPrefix("socket:") }.count ?? 99
                        < 12
                }
            }
        }

        @Test("A bind gets the socket that a unit holds already")
        func ofUnit() throws {
            let path = "/tmp/hf-binds-\(getpid())"
            try withWorld(arguments: ["--multibinder", path]) {
                try $0.web()
            } then: { world in
                #expect(try world.run("swap", "web@v1").outcome == .started)
                let held = try #require(ProcessEntry(world.daemon.pid)).descriptors.values
                let inode = try ask(
                    world, path,
                    "print(inode(call(path, 'bind', address='127.0.0.1', port=\(world.port))[1][0]), end='')")
                #expect(held.contains("socket:[\(inode)]"))
            }
        }

        @Test(
            "1,000 binds on one daemon and re-executions between them: the same sockets, and a client that was asking is answered"
        )
        func reexec() throws {
            let path = "/tmp/hf-binds-\(getpid())"
            try withWorld(arguments: ["--multibinder", path]) { _ in
            } then: { world in
                let control = "\(World.binaries)/holdfastctl"
                let program =
                    Self.thousand + """
                        import subprocess
                        first = all()
                        keep = connect(path)
                        keep.send(b'{"jsonrpc":"2.0","id":3,"met')
                        for round in range(3):
                            subprocess.run(["\(control)", "daemon-reexec"], check=True, stdout=subprocess.DEVNULL, env={"HOLDFAST_SOCKET": "\(world.controlSocket)"})
                            assert all() == first
                        keep.send(b'hod":"bind","params":[{"address":"127.1.0.1","port":%d}]}' % PORT)
                        receive(keep, 3)
                        print("kept")

                        """
                #expect(
                    try ask(world, path, program.replacingOccurrences(of: "PORT", with: "\(world.port)")) == "kept\n")
                for _ in 1...3 { try world.awaitReady() }
                #expect(try world.sockets().count == 1000)
            }
        }

        /// `all()`: the inodes of a thousand sockets, bound on one connection.
        private static let thousand = """
            def all():
                s = connect(path)
                def one(i): return inode(receive(s, send(s, "bind", address="127.1.%d.%d" % (i // 250, i % 250 + 1), port=PORT))[1][0])
                return [one(i) for i in range(1000)]

            """

        @Test("holdfastd does not speak multibinder's protocol unless it is told to")
        func off() throws {
            try withWorld { _ in
            } then: { world in
                #expect(world.filesBelow(world.path + "/run").filter { $0.contains("bind") } == [])
            }
        }

        /// The program that replaces multibinder.
        private final class Binder {
            let program: Program
            let path: String
            private var lines = 0

            init(_ world: World) throws {
                path = "\(world.path)/binds"
                program = try Program("\(World.binaries)/holdfast-multibinder", [path])
                try says("Listening for binds on control socket: \(path)")
            }

            func says(_ line: String) throws {
                try program.waitFor(line) { output, _ in
                    let all = String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
                    return all.count > self.lines && all[self.lines] == line ? () : nil
                }
                lines += 1
            }

            func respawn() throws {
                program.send(SIGUSR1)
                try says("Respawning...")
                try says("Listening for binds on control socket: \(path)")
            }

            func end() throws {
                program.send(SIGTERM)
                #expect(try program.end() == 0)
                #expect(!FileManager.default.fileExists(atPath: path))
            }

            deinit { program.killIfAlive() }
        }

        @Test("holdfast-multibinder is multibinder's program: its messages, its protocol, SIGTERM")
        func program() throws {
            try withWorld { _ in
            } then: { world in
                let binder = try Binder(world)
                try conversation(world, binder.path)
                try binder.end()
            }
        }

        @Test("SIGUSR1 executes it again with the same pid: 1,000 sockets, their queues and connected clients stay")
        func respawn() throws {
            try withWorld { _ in
            } then: { world in
                let binder = try Binder(world)
                let pid = binder.program.pid
                let bind =
                    Self.thousand.replacingOccurrences(of: "PORT", with: "\(world.port)") + """
                        first = all()
                        assert len(set(first)) == 1000
                        keep = connect(path)
                        keep.send(b'{"jsonrpc":"2.0","id":3,"met')
                        client = socket.create_connection(("127.1.0.1", \(world.port)))
                        client.send(b"waits")
                        for round in range(5):
                            os.kill(\(pid), 10)
                            # Without a pause: what is asked meanwhile waits in the socket.
                            assert all() == first
                        keep.send(b'hod":"bind","params":[{"address":"127.1.0.1","port":\(world.port)}]}')
                        _, (one,) = receive(keep, 3)
                        one.setblocking(True)
                        assert one.accept()[0].recv(10) == b"waits"
                        print("kept")

                        """
                #expect(try ask(world, binder.path, bind) == "kept\n")
                #expect(ProcessEntry(pid)?.isDead == false)
                for _ in 0..<5 {
                    try binder.says("Respawning...")
                    try binder.says("Listening for binds on control socket: \(binder.path)")
                }
                try binder.end()
            }
        }
    }
}

/// A port with a listener.
private final class Occupied {
    let port: Int
    private let descriptor: Int32

    init() throws {
        port = try freePort()
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        address.sin_port = in_port_t(port).bigEndian
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(descriptor, 1) == 0 else { throw WaitedInVain(what: "port \(port)") }
    }

    deinit { close(descriptor) }
}
