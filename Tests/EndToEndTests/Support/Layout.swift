import Foundation

extension World {
    /// Writes the units and releases of a test.
    struct Layout {
        let path: String
        let port: Int

        func makeDirectory(_ name: String) throws {
            try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
        }

        func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws {
            try makeDirectory((name as NSString).deletingLastPathComponent)
            try text.write(toFile: "\(path)/\(name)", atomically: false, encoding: .utf8)
            chmod("\(path)/\(name)", mode)
        }

        /// Hides control groups from the supervisor. (Needed as root only; another user cannot write them.)
        func hideControlGroups() throws { if supervisorIsRoot { try write("no-cgroups", "") } }

        func unit(_ name: String, _ text: String) throws { try write("units/\(name)", text) }

        func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }

        /// Makes a release; its faults are options of holdfast-static.
        func release(_ name: String, _ options: String = "") throws {
            try write("releases/\(name).env", "OPTIONS=\"\(options)\"\n")
        }

        var server: String { "\(World.binaries)/holdfast-static" }

        // MARK: - Sets of units

        /// Public socket `http.socket` on the world's port.
        func publicSocket() throws {
            try unit(
                "http.socket",
                """
                [Socket]
                ListenStream=127.0.0.1:\(port)
                FileDescriptorName=http
                Backlog=4096
                """)
        }

        /// `site@.target`: HAProxy (`edge@`) in front of holdfast-static (`app@`), which answers its release's name.
        func site(
            swap: String = "", app: String = "", appSwap: String = "", edge: String = "", appSocket: String = ""
        ) throws {
            try publicSocket()
            try unit(
                "site@.target",
                """
                [Unit]
                Wants=app@%i.service edge@%i.service
                [X-Swap]
                ReadyTimeoutSec=5s
                SoakSec=300ms
                DrainTimeoutSec=8s
                \(swap)
                """)
            try unit("app@.socket", "[Socket]\nListenStream=%t/site/app-%i.sock\nBacklog=4096\n\(appSocket)")
            try unit(
                "app@.service",
                """
                [Service]
                Type=notify
                Environment=SWIFT_BACKTRACE=enable=no
                EnvironmentFile=-\(path)/releases/%i.env
                ExecStart=\(server) --body %i $OPTIONS
                TimeoutStopSec=1s
                \(app)
                [X-Swap]
                ReadyProbe=http app@%i.socket /healthz
                \(appSwap)
                """)
            try unit(
                "edge@.service",
                """
                [Unit]
                After=app@%i.service
                [Service]
                Type=notify
                Sockets=http.socket
                X-Upstreams=app@%i.socket
                ExecStartPre=/usr/sbin/haproxy -c -q -f \(path)/haproxy.cfg
                ExecStart=/usr/sbin/haproxy -Ws -f \(path)/haproxy.cfg
                TimeoutStopSec=1s
                \(edge)
                [X-Swap]
                DrainSignal=SIGUSR1
                """)
            try write("haproxy.cfg", Self.haproxy)
        }

        /// `web@.service`: holdfast-static on the public socket, without a proxy.
        func web(swap: String = "", service: String = "") throws {
            try publicSocket()
            try unit(
                "web@.service",
                """
                [Service]
                Type=notify
                Sockets=http.socket
                Environment=SWIFT_BACKTRACE=enable=no
                EnvironmentFile=-\(path)/releases/%i.env
                ExecStart=\(server) --body %i $OPTIONS
                TimeoutStopSec=1s
                \(service)
                [X-Swap]
                ReadyTimeoutSec=5s
                SoakSec=300ms
                DrainTimeoutSec=5s
                \(swap)
                """)
        }

        /// `app.service` with `[X-Swap]`: one unit, no release; its answer is in its environment file.
        func plain(service: String = "", swap: String = "") throws {
            try publicSocket()
            try unit(
                "app.service",
                """
                [Service]
                Type=notify
                Sockets=http.socket
                Environment=SWIFT_BACKTRACE=enable=no
                EnvironmentFile=\(path)/app.env
                ExecStart=\(server) --body ${BODY} $OPTIONS
                TimeoutStopSec=1s
                \(service)
                [X-Swap]
                ReadyTimeoutSec=5s
                SoakSec=200ms
                DrainTimeoutSec=5s
                \(swap)
                """)
            try body("v1")
        }

        /// `flap.service` exits at once and is restarted at once, endlessly.
        func flapping() throws {
            try unit(
                "flap.service",
                """
                [Unit]
                StartLimitIntervalSec=0
                [Service]
                ExecStart=/bin/true
                Restart=always
                RestartSec=0
                """)
        }

        func body(_ text: String, _ options: String = "") throws {
            try write("app.env", "BODY=\(text)\nOPTIONS=\"\(options)\"\n")
        }

        /// HAProxy as in units/demo (which explains each setting), with short times.
        static let haproxy = """
            global
                hard-stop-after 6s
                log stderr format raw local0 err
                maxconn 1000
            defaults
                mode http
                log global
                option dontlog-normal
                option log-separate-errors
                timeout connect 2s
                timeout client 20s
                timeout server 20s
                timeout http-request 10s
                timeout queue 10s
                option idle-close-on-response
                timeout http-keep-alive 1s
                http-reuse safe
                retries 3
                option redispatch
                retry-on conn-failure empty-response response-timeout
            frontend public
                bind "fd@${LISTEN_FD_HTTP}"
                http-request disable-l7-retry unless METH_GET
                default_backend app
            backend app
                server app "${UPSTREAM_APP}"

            """
    }
}
