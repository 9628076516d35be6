import Linux

/// Network probes from this host.
final class LinuxProbes: ProbesPort {
    private let loop: EventLoop

    init(loop: EventLoop) { self.loop = loop }

    func tcp(
        _ address: SocketAddress, in network: NetworkNamespace?, timeout nanoseconds: Int64,
        _ answered: @escaping (ProbeResult) -> Void
    ) -> any MachineProbe {
        Probe.tcp(address, in: network, timeout: nanoseconds, loop: loop, answered)
    }

    func http(
        _ address: SocketAddress, in network: NetworkNamespace?, path: String, timeout nanoseconds: Int64,
        _ answered: @escaping (ProbeResult) -> Void
    ) -> any MachineProbe {
        Probe.http(address, in: network, path: path, timeout: nanoseconds, loop: loop, answered)
    }
}

extension Probe: MachineProbe {}
