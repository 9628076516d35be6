import Foundation
import Testing

extension EndToEnd {
    /// Any Varlink client can do the same as holdfastctl.
    @Suite struct OtherClients {
        /// The directory in which packaging/setup installs the client; tests run in the package's directory.
        static let library = FileManager.default.currentDirectoryPath + "/.build/python"

        @Test(
            "a Varlink client that is not ours introspects the daemon and drives every method",
            .enabled(if: FileManager.default.fileExists(atPath: library + "/varlink")))
        func everyMethod() throws {
            try withWorld {
                try $0.web(
                    swap: "SoakSec=100ms\nReadyTimeoutSec=20s",
                    service: "ExecReload=/bin/true\nExecStartPre=/bin/echo web is here")
                try $0.unit(
                    "http.socket",
                    """
                    [Socket]
                    ListenStream=127.0.0.1:\($0.port)
                    FileDescriptorName=http
                    Backlog=4096
                    [Install]
                    WantedBy=sockets.target
                    """)
            } then: { world in
                let program = try Program.run(
                    "/usr/bin/env", ["python3", "Tests/Varlink/drive", world.controlSocket],
                    environment: ["PYTHONPATH": Self.library])
                #expect(program.errorText == "")
                #expect(try program.end() == 0, "\(program.outputText)")
                // The program has shut the supervisor down, which answers before it ends.
                #expect(try world.daemon.end() == 0)
            }
        }
    }
}
