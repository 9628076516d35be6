// [Socket]

extension UnitBuilder {
    mutating func apply(_ directive: SocketDirective, _ assignment: Assignment) {
        switch directive {
        case .listenStream:
            if assignment.value.isEmpty {
                socket.listenStream = []
            } else if let address = expanded(assignment, .fatal, ListenAddress.parse) {
                socket.listenStream.append(ListenEntry(address, at: assignment.valueLocation))
            }
        case .backlog:
            if let backlog = number(assignment, .ignored, in: UInt32.min...UInt32.max) { socket.backlog = backlog }
        case .fileDescriptorName:
            if assignment.value.isEmpty {
                socket.explicitFileDescriptorName = nil
            } else if let name = expanded(assignment, .ignored, Self.descriptorName) {
                socket.explicitFileDescriptorName = name
            }
        case .socketMode: if let mode = value(assignment, .fatal, Value.mode) { socket.socketMode = mode }
        case .socketUser: socket.socketUser = account(assignment, socket.socketUser)
        case .socketGroup: socket.socketGroup = account(assignment, socket.socketGroup)
        case .service:
            let names = names(assignment, kinds: [.service], instantiate: true, .fatal)
            if names.count > 1 {
                reject(assignment, ValueError("expected the name of one service"), .fatal)
            } else {
                socket.service = names.first
            }
        case .removeOnStop:
            if let remove = value(assignment, .ignored, Value.boolean) { socket.removeOnStop = remove }
        case .accept:
            if value(assignment, .fatal, Value.boolean) == true {
                let error = ValueError("\"yes\" is not supported yet", code: .unsupportedValue)
                reject(assignment, error, .fatal)
            }
        case .scope:
            if assignment.value.isEmpty {
                socket.explicitScope = nil
            } else if let scope = choice(assignment, .fatal, of: SocketScope.self) {
                socket.explicitScope = scope
            }
        }
    }

    /// What only shows once all files are applied.
    mutating func finishSocket() {
        if socket.listenStream.isEmpty {
            missing("ListenStream", "the socket has no ListenStream=, it would listen nowhere")
        }
    }
}
