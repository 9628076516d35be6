import Foundation
import Testing

extension EndToEnd {
    /// Any Varlink client can do what holdfastctl can.
    @Suite struct OtherClients {
        /// Where packaging/setup puts the client; tests run in the package's directory.
        static let library = FileManager.default.currentDirectoryPath + "/.build/python"

        @Test(
            "a Varlink client that is not ours introspects the daemon and drives every method",
            .enabled(if: FileManager.default.fileExists(atPath: library + "/varlink")))
        func everyMethod() throws {
            try withWorld {
                try $0.web(swap: "SoakSec=100ms\nReadyTimeoutSec=20s", service: "ExecReload=/bin/true")
            } then: { world in
                let program = try Program.run(
                    "/usr/bin/env", ["python3", "Tests/Varlink/drive", world.controlSocket],
                    environment: ["PYTHONPATH": Self.library])
                #expect(program.errorText == "")
                #expect(try program.end() == 0, "\(program.outputText)")
            }
        }
    }
}
