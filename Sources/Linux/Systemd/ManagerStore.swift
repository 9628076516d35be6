import CSystemd
import Glibc

/// The descriptor store of systemd, if systemd is our parent (FDSTORE=1 in sd_notify(3), `FileDescriptorStoreMax=`):
/// stored descriptors outlive us and are passed to the process that is started in our place.
public struct ManagerStore: Sendable {
    /// Whether systemd is our parent. Another one may have its notify protocol without a store, and gets no such
    /// messages.
    public let isThere: Bool

    public init(environment: [String: String]) {
        let isOurs = environment["SYSTEMD_EXEC_PID"] == "\(getpid())" || environment["FDSTORE"] != nil
        isThere = isOurs && environment["NOTIFY_SOCKET"] != nil
    }

    /// The stored descriptors at our start, by name: numbers that the caller owns from now on, for
    /// `OwnedDescriptor.inherited`. Works once: the variables that announce them are removed. Of several with one name
    /// the first counts.
    public static func takeStored() -> [String: Int32] {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &names)
        guard count > 0 else { return [:] }
        var found: [String: Int32] = [:]
        for index in 0..<Int(count) {
            let number = Int32(3 + index)
            let name = names?[index].map { String(cString: $0) } ?? ""
            if found[name] == nil { found[name] = number } else { _ = OwnedDescriptor(owning: number) }
            free(names?[index])
        }
        free(names)
        return found
    }

    /// Stores a duplicate. Without `FDPOLL=0` systemd would drop a socket with a pending error.
    public func store(_ descriptor: Int32, name: String) {
        guard isThere else { return }
        var number = descriptor
        sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", &number, 1)
    }

    public func remove(name: String) {
        guard isThere else { return }
        sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=\(name)")
    }
}
