/// Translates HAProxy's configuration, as read by multibinder's wrapper (`haproxy.cfg.erb`, `*.mb`), to a service and
/// its sockets: each `<%= bind_tcp('0.0.0.0', '80') %>` becomes a socket unit, and a descriptor named in the
/// configuration.
enum MultibinderImport {
    /// - Parameters:
    ///   - path: the path of the file, for comments.
    ///   - application: the name for the units.
    static func translate(_ text: String, path: String, application: String) throws(ImportError) -> ImportResult {
        var result = ImportResult()
        var binds: [Bind] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let origin = "\(path):\(index + 1)"
            for tag in tags(in: line) {
                if let bind = Bind(tag, origin: origin, line: line) {
                    binds.append(bind)
                } else {
                    result.general.append(
                        ImportOmission(
                            setting: .init(key: "", value: "<%\(tag)%>", origin: origin),
                            reason: "it is Ruby code; X-Template= offers sections and variables instead"))
                }
            }
            if line.split(whereSeparator: \.isWhitespace) == ["daemon"] {
                result.general.append(
                    ImportOmission(
                        setting: .init(key: "", value: "daemon", origin: origin),
                        reason: "remove it: HAProxy must stay in the foreground (-Ws)"))
            }
        }
        guard !binds.isEmpty else { throw ImportError(text: "\(path): there is no bind_tcp(address, port)") }
        var sockets: [Bind] = []
        for bind in binds where !sockets.contains(where: { $0.address == bind.address }) { sockets.append(bind) }
        let name = UnitSyntax.unitName(application)
        let configuration = configurationPath(path)
        result.units = sockets.map { socket($0, name) } + [service(name, sockets, configuration, path)]
        for bind in binds {
            result.general.append(
                ImportOmission(
                    setting: .init(key: "", value: bind.text, origin: bind.origin),
                    reason: "in \(configuration), write \"fd@${\(bind.variable)}\" instead"))
        }
        result.omitUnsupported()
        return result
    }

    /// One call of `bind_tcp`.
    private struct Bind {
        var text: String
        /// The address in the form of `ListenStream=`.
        var address: String
        var port: UInt16
        var descriptorName: String
        var origin: String

        /// Fails if the tag is not a call of `bind_tcp`.
        init?(_ tag: Substring, origin: String, line: Substring) {
            let words = tag.drop { $0 == "=" || $0.isWhitespace }
            guard words.hasPrefix("bind_tcp") else { return nil }
            let arguments = words.dropFirst("bind_tcp".count).split { "(), \t'\"".contains($0) }.map(String.init)
            guard arguments.count == 2, let port = UInt16(arguments[1]), port > 0 else { return nil }
            let host = arguments[0]
            self.port = port
            self.origin = origin
            text = "<%\(tag)%>"
            switch host {
            case "localhost": address = "127.0.0.1:\(port)"
            case _ where host.contains(":"): address = "[\(host)]:\(port)"
            default: address = "\(host):\(port)"
            }
            // Two addresses may have the same port, so the name must distinguish them.
            let isWild = host == "0.0.0.0"
            descriptorName =
                isWild ? "tcp-\(port)" : "tcp-\(String(host.map { $0.isLetter || $0.isNumber ? $0 : "-" }))-\(port)"
        }

        var variable: String {
            "LISTEN_FD_" + String(descriptorName.uppercased().map { $0 == "-" ? "_" : $0 })
        }
    }

    /// The texts between `<%` and `%>`.
    private static func tags(in line: Substring) -> [Substring] {
        var tags: [Substring] = []
        var rest = line
        while let open = rest.firstRange(of: "<%"), let close = rest[open.upperBound...].firstRange(of: "%>") {
            tags.append(rest[open.upperBound..<close.lowerBound])
            rest = rest[close.upperBound...]
        }
        return tags
    }

    /// A path beside the file, without the suffix of a template.
    private static func configurationPath(_ path: String) -> String {
        for ending in [".erb", ".mb"] where path.hasSuffix(ending) { return String(path.dropLast(ending.count)) }
        return path
    }

    private static func socket(_ bind: Bind, _ name: String) -> ImportedUnit {
        var unit = ImportedUnit(
            name: "\(name)-\(bind.descriptorName).socket", about: "Made from \(bind.origin) by holdfastctl import.")
        unit.section("Socket")
        unit.set("ListenStream", bind.address, from: bind.origin)
        unit.set("FileDescriptorName", bind.descriptorName, from: bind.origin)
        unit.set("Service", "\(name).service", from: bind.origin)
        return unit
    }

    private static func service(
        _ name: String, _ sockets: [Bind], _ configuration: String, _ path: String
    ) -> ImportedUnit {
        var unit = ImportedUnit(name: "\(name).service", about: "Made from \(path) by holdfastctl import.")
        unit.section("Service")
        unit.set("Type", "notify", because: "HAProxy's master process sends READY=1.")
        unit.set("Sockets", sockets.map { "\(name)-\($0.descriptorName).socket" }.joined(separator: " "))
        let command = ["/usr/sbin/haproxy"]
        unit.set(
            "ExecStartPre", UnitSyntax.commandLine(command + ["-c", "-f", configuration]),
            because:
                "The configuration file without template code; instead of bind_tcp(...) it names descriptors: "
                + sockets.map { "\($0.address) is \"fd@${\($0.variable)}\"" }.joined(separator: ", ") + ".")
        unit.set("ExecStart", UnitSyntax.commandLine(command + ["-Ws", "-f", configuration]))
        unit.section("X-Swap")
        unit.set("DrainSignal", "SIGUSR1", because: "HAProxy's soft stop, which multibinder's wrapper sends, too.")
        return unit
    }
}
