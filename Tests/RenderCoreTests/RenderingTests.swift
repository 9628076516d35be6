import Foundation
import RenderCore
import Testing

@Suite struct RenderingTests {
    private let context: [String: Any] = [
        "release": "v2", "generation": "7",
        "socket": ["http": ["fd": "3", "address": "0.0.0.0:80"]],
        "sockets": [["name": "http", "fd": "3"], ["name": "https", "fd": "4"]],
        "upstream": ["app": ["address": "/run/app.sock.7"]], "environment": ["COLOUR": "<blue> & \"green\""],
    ]

    private func render(_ text: String) throws -> String {
        try Rendering.render(text, context, file: "/etc/x.mustache")
    }

    private func error(_ text: String) -> RenderError? {
        do {
            let result = try render(text)
            Issue.record("rendered: \(result)")
            return nil
        } catch { return error as? RenderError }
    }

    @Test("Sockets, upstreams, release, generation and environment are there by name")
    func names() throws {
        let text = """
            # {{release}} as generation {{generation}}
            bind fd@{{socket.http.fd}}
            server app {{upstream.app.address}}
            {{#sockets}}
            {{name}} is {{fd}}
            {{/sockets}}

            """
        #expect(
            try render(text)
                == "# v2 as generation 7\nbind fd@3\nserver app /run/app.sock.7\nhttp is 3\nhttps is 4\n")
    }

    @Test("Configuration files are not HTML: nothing is escaped")
    func escaping() throws {
        #expect(try render("{{environment.COLOUR}}") == "<blue> & \"green\"")
        #expect(try render("{{{environment.COLOUR}}}") == "<blue> & \"green\"")
    }

    @Test("A name that does not exist is an error with line and column that says what there is")
    func unknown() {
        #expect(
            error("a\n  b {{socket.htpp.fd}}")?.description
                == "/etc/x.mustache:2:5: there is no socket.htpp.fd (there is: http)")
        #expect(error("{{{upstream.web.address}}}")?.line == 1)
        #expect(error("{{relaese}}")?.message.hasPrefix("there is no relaese") == true)
        #expect(error("{{#sockets}}{{name}}{{/sockets}}\n{{name}}")?.line == 2)
    }

    @Test("What a section leaves out may be missing; a section asks for it")
    func optional() throws {
        #expect(try render("{{#environment.DEBUG}}debug {{environment.DEBUG}}{{/environment.DEBUG}}ok") == "ok")
        #expect(try render("{{^environment.DEBUG}}quiet{{/environment.DEBUG}}") == "quiet")
        #expect(try render("{{#environment.COLOUR}}c={{environment.COLOUR}}{{/environment.COLOUR}}").hasPrefix("c=<"))
    }

    @Test(
        "A damaged template is an error with its line",
        arguments: [
            ("one\n{{#sockets}}\nthree", 3), ("one\ntwo {{release", 2), ("{{#sockets}}\n{{/other}}", 2),
        ])
    func damaged(_ text: String, _ line: Int) {
        #expect(error(text)?.line == line, "\(error(text)?.description ?? "")")
    }

    @Test("A job writes files that nobody else may read, and never through a link")
    func job() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("render-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let template = directory.appendingPathComponent("t.mustache").path
        try "r={{release}}".write(toFile: template, atomically: false, encoding: .utf8)
        let output = directory.appendingPathComponent("out").path
        let job = try JSONSerialization.data(withJSONObject: [
            "files": [
                [
                    "template": template, "output": output, "uid": "\(getuid())", "gid": "\(getgid())",
                    "context": context,
                ]
            ]
        ])
        try Job.run(job)
        #expect(try String(contentsOfFile: output, encoding: .utf8) == "r=v2")
        var status = stat()
        #expect(stat(output, &status) == 0 && status.st_mode & 0o777 == 0o600)
        try FileManager.default.removeItem(atPath: output)
        try FileManager.default.createSymbolicLink(atPath: output, withDestinationPath: template)
        try Job.run(job)
        #expect(try String(contentsOfFile: output, encoding: .utf8) == "r=v2")
        #expect(try String(contentsOfFile: template, encoding: .utf8) == "r={{release}}")
    }
}
