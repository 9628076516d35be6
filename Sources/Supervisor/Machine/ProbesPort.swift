import Linux

/// Readiness probes over the network.
protocol ProbesPort: AnyObject {
    /// Passes when the kernel accepts a connection. Calls `answered` once, from the loop, never after `cancel`.
    func tcp(
        _ address: SocketAddress, in network: NetworkNamespace?, timeout nanoseconds: Int64,
        _ answered: @escaping (ProbeResult) -> Void
    ) -> any MachineProbe

    /// Passes on a status of 200 to 399. Calls `answered` once, from the loop, never after `cancel`.
    func http(
        _ address: SocketAddress, in network: NetworkNamespace?, path: String, timeout nanoseconds: Int64,
        _ answered: @escaping (ProbeResult) -> Void
    ) -> any MachineProbe
}

/// A running probe.
protocol MachineProbe: AnyObject {
    /// Ends the probe without an answer.
    func cancel()
}
