import CSystemd
import Glibc

/// The descriptor store of systemd, if that is our parent (FDSTORE=1 in sd_notify(3), `FileManagerStoreMax=`): what lies there
/// outlives us, and is given to the process that is started in our place.
public struct ManagerStore: Sendable {
    /// systemd is our parent. Others may speak its notify protocol and have no store, and need not read what they do not expect.
    public let isThere: Bool

    public init(environment: [String: String]) {
        let isOurs = environment["SYSTEMD_EXEC_PID"] == "\(getpid())" || environment["FDSTORE"] != nil
        isThere = isOurs && environment["NOTIFY_SOCKET"] != nil
    }

    /// What lay in store when we were started, by name; numbers of open descriptors that are the caller's from now on, for
    /// `OwnedDescriptor.inherited`. Once: the variables that tell of them are removed. Of one name the first counts.
    public static func take() -> [String: Int32] {
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        let count = sd_listen_fds_with_names(1, &names)
        guard count > 0 else { return [:] }
        var found: [String: Int32] = [:]
        for index in 0..<Int(count) {
            let number = Int32(3 + index)
            let name = names?[index].map { String(cString: $0) } ?? ""
            if found[name] == nil { found[name] = number } else { close(number) }
            free(names?[index])
        }
        free(names)
        return found
    }

    /// Puts a duplicate there. Without `FDPOLL=0` systemd would drop a socket on which an error is pending.
    public func put(_ descriptor: Int32, name: String) {
        guard isThere else { return }
        var number = descriptor
        sd_pid_notify_with_fds(0, 0, "FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", &number, 1)
    }

    public func remove(name: String) {
        guard isThere else { return }
        sd_notify(0, "FDSTOREREMOVE=1\nFDNAME=\(name)")
    }
}
