// Status as JSON without Codable, byte for byte as `JSONEncoder` would write it (a test compares them): with a thousand
// services it is a frequent and large reply, and the daemon has one thread.

extension JSONObject {
    /// Encodes the reply of `Status`.
    public init(_ reply: StatusReply) {
        // A service of a plain unit takes some 250 bytes.
        var writer = JSONWriter(capacity: 64 + 300 * reply.units.count)
        writer.object { writer in
            if let notes = reply.notes { writer.array("notes", notes) { $1.string($0) } }
            writer.array("units", reply.units) { $0.write(to: &$1) }
        }
        self.init(trusted: writer.bytes)
    }

    /// Decodes the reply of `Status`.
    /// - Throws: ``MessageError/badMember(_:)`` with the innermost member that is missing or has another type.
    public func decodeStatus() throws(MessageError) -> StatusReply {
        var reader = JSONReader(bytes)
        var units: [UnitStatus]?
        var notes: [String]?
        do throws(JSONReader.Mismatch) {
            try reader.object { (name, reader) throws(JSONReader.Mismatch) in
                switch name {
                case "units": units = try reader.array(UnitStatus.init)
                case "notes": notes = try reader.array { (reader) throws(JSONReader.Mismatch) in try reader.string() }
                default: reader.skip()
                }
            }
        } catch {
            throw .badMember(error.name)
        }
        guard let units else { throw .badMember("units") }
        return StatusReply(units: units, notes: notes)
    }
}

extension UnitStatus {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("description", description)
            writer.array("generations", generations) { $0.write(to: &$1) }
            writer.member("outdated", outdated)
            writer.member("reason", reason)
            writer.member("release", release)
            writer.member("servingGeneration", servingGeneration)
            writer.member("since", since)
            writer.member("state", state)
            writer.member("swappable", swappable)
            writer.member("unit", unit)
            writer.member("unitFileState", unitFileState)
        }
    }

    fileprivate init(_ reader: inout JSONReader) throws(JSONReader.Mismatch) {
        var found: (unit: String?, state: UnitState?, swappable: Bool?)
        var value = UnitStatus(unit: "", description: "", state: .stopped, swappable: false)
        try reader.object { (name, reader) throws(JSONReader.Mismatch) in
            switch name {
            case "description": value.description = try reader.string()
            case "generations": value.generations = try reader.array(GenerationStatus.init)
            case "outdated": value.outdated = try reader.bool()
            case "reason": value.reason = try reader.string()
            case "release": value.release = try reader.string()
            case "servingGeneration": value.servingGeneration = try reader.integer()
            case "since": value.since = try reader.string()
            case "state": found.state = try reader.value(UnitState.self)
            case "swappable": found.swappable = try reader.bool()
            case "unit": found.unit = try reader.string()
            case "unitFileState": value.unitFileState = try reader.string()
            default: reader.skip()
            }
        }
        self = value
        unit = try required(found.unit, "unit")
        state = try required(found.state, "state")
        swappable = try required(found.swappable, "swappable")
    }
}

extension GenerationStatus {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("age", age)
            writer.member("connections", connections)
            writer.member("deadline", deadline)
            writer.member("number", number)
            writer.member("oldestPeer", oldestPeer)
            writer.member("oldestPeerIdle", oldestPeerIdle)
            writer.member("phase", phase)
            writer.member("release", release)
            writer.member("role", role)
            writer.array("services", services) { $0.write(to: &$1) }
            writer.member("waitingFor", waitingFor)
        }
    }

    fileprivate init(_ reader: inout JSONReader) throws(JSONReader.Mismatch) {
        var found: (number: Int?, role: GenerationRole?)
        var value = GenerationStatus(number: 0, role: .serving)
        try reader.object { (name, reader) throws(JSONReader.Mismatch) in
            switch name {
            case "age": value.age = try reader.double()
            case "connections": value.connections = try reader.integer()
            case "deadline": value.deadline = try reader.double()
            case "number": found.number = try reader.integer()
            case "oldestPeer": value.oldestPeer = try reader.string()
            case "oldestPeerIdle": value.oldestPeerIdle = try reader.double()
            case "phase": value.phase = try reader.value(SwapPhase.self)
            case "release": value.release = try reader.string()
            case "role": found.role = try reader.value(GenerationRole.self)
            case "services": value.services = try reader.array(ServiceStatus.init)
            case "waitingFor": value.waitingFor = try reader.string()
            default: reader.skip()
            }
        }
        self = value
        number = try required(found.number, "number")
        role = try required(found.role, "role")
    }
}

extension ServiceStatus {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("age", age)
            writer.member("connections", connections)
            writer.member("linesLost", linesLost)
            writer.member("linesSuppressed", linesSuppressed)
            writer.member("mainPid", mainPid)
            writer.member("memory", memory)
            writer.member("ready", ready)
            writer.member("restarts", restarts)
            writer.member("result", result)
            writer.member("state", state)
            writer.member("statusText", statusText)
            writer.member("unit", unit)
            writer.member("waitingFor", waitingFor)
        }
    }

    fileprivate init(_ reader: inout JSONReader) throws(JSONReader.Mismatch) {
        var found: (unit: String?, state: ServiceState?, restarts: Int?, ready: Bool?)
        var value = ServiceStatus(unit: "", state: .stopped)
        try reader.object { (name, reader) throws(JSONReader.Mismatch) in
            switch name {
            case "age": value.age = try reader.double()
            case "connections": value.connections = try reader.integer()
            case "linesLost": value.linesLost = try reader.integer()
            case "linesSuppressed": value.linesSuppressed = try reader.integer()
            case "mainPid": value.mainPid = try reader.integer()
            case "memory": value.memory = try reader.integer()
            case "ready": found.ready = try reader.bool()
            case "restarts": found.restarts = try reader.integer()
            case "result": value.result = try reader.string()
            case "state": found.state = try reader.value(ServiceState.self)
            case "statusText": value.statusText = try reader.string()
            case "unit": found.unit = try reader.string()
            case "waitingFor": value.waitingFor = try reader.string()
            default: reader.skip()
            }
        }
        self = value
        unit = try required(found.unit, "unit")
        state = try required(found.state, "state")
        restarts = try required(found.restarts, "restarts")
        ready = try required(found.ready, "ready")
    }
}

private func required<Value>(_ value: Value?, _ name: String) throws(JSONReader.Mismatch) -> Value {
    guard let value else { throw JSONReader.Mismatch(name: name) }
    return value
}
