/// One line of a notify datagram (sd_notify(3)).
public enum NotifyAssignment: Equatable, Sendable {
    case ready
    case reloading
    case stopping
    /// At most 1024 bytes, control characters replaced, because terminals show it.
    case status(String)
    case mainPid(Int32)
    /// The errno with which the service failed.
    case errno(Int32)
    case busError(String)
    case extendTimeout(microseconds: UInt64)
    /// `WATCHDOG=1`
    case watchdog
    /// `WATCHDOG=trigger`
    case watchdogTrigger
    /// `WATCHDOG_USEC=`: the new interval for keep-alives.
    case watchdogInterval(microseconds: UInt64)
    /// The time of the event on CLOCK_MONOTONIC; notify-reload services send it with `RELOADING=1`.
    case monotonic(microseconds: UInt64)
    /// Resets the count of restarts.
    case restartReset
    /// Stores the descriptors of this datagram under the name of `descriptorName`.
    case storeDescriptors
    /// Drops the stored descriptors of that name.
    case removeDescriptors
    case descriptorName(String)
    /// `FDPOLL=0`: keeps the descriptor also after its other end has gone.
    case keepHungUp
    /// `MAINPIDFDID=`: the inode of the pidfd of `MAINPID=`.
    case mainPidInode(UInt64)
    case barrier
    /// A well-formed line with an unknown name.
    case unknown(name: String, value: String)

    /// The lines of a datagram. Lines that are not assignments, or have an invalid value, are left out and counted.
    public static func parse(_ bytes: some Collection<UInt8>) -> (messages: [NotifyAssignment], garbage: Int) {
        var messages: [NotifyAssignment] = []
        var garbage = 0
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            if let message = NotifyAssignment(line: String(decoding: line, as: UTF8.self)) {
                messages.append(message)
            } else {
                garbage += 1
            }
        }
        return (messages, garbage)
    }

    private init?(line: String) {
        guard let equals = line.firstIndex(of: "="), equals > line.startIndex else { return nil }
        let name = line[..<equals]
        let value = line[line.index(after: equals)...]
        guard name.utf8.allSatisfy(Self.isNameByte) else { return nil }
        switch name {
        case "READY", "RELOADING", "STOPPING", "BARRIER", "RESTART_RESET", "FDSTORE", "FDSTOREREMOVE":
            // Only "1" is defined as a value of these.
            guard value == "1", let flag = Self.flags[String(name)] else { return nil }
            self = flag
        case "STATUS":
            self = .status(Self.printable(value))
        case "MAINPID":
            guard let pid = Int32(value), pid > 0 else { return nil }
            self = .mainPid(pid)
        case "ERRNO":
            guard let number = Int32(value), number >= 0, number < 4096 else { return nil }
            self = .errno(number)
        case "BUSERROR":
            self = .busError(Self.printable(value))
        case "EXTEND_TIMEOUT_USEC":
            guard let time = UInt64(value) else { return nil }
            self = .extendTimeout(microseconds: time)
        case "WATCHDOG":
            guard value == "1" || value == "trigger" else { return nil }
            self = value == "1" ? .watchdog : .watchdogTrigger
        default:
            guard let other = Self.other(name, value) else { return nil }
            self = other
        }
    }

    private static let flags: [String: NotifyAssignment] = [
        "READY": .ready, "RELOADING": .reloading, "STOPPING": .stopping, "BARRIER": .barrier,
        "RESTART_RESET": .restartReset, "FDSTORE": .storeDescriptors, "FDSTOREREMOVE": .removeDescriptors,
    ]

    /// Messages about the watchdog, the descriptor store and the like; nil for an invalid value.
    private static func other(_ name: Substring, _ value: Substring) -> NotifyAssignment? {
        switch name {
        case "WATCHDOG_USEC": UInt64(value).map { .watchdogInterval(microseconds: $0) }
        case "MONOTONIC_USEC": UInt64(value).map { .monotonic(microseconds: $0) }
        case "MAINPIDFDID": UInt64(value).map { .mainPidInode($0) }
        case "FDNAME": isDescriptorName(value) ? .descriptorName(String(value)) : nil
        case "FDPOLL": value == "0" ? .keepHungUp : value == "1" ? .unknown(name: "FDPOLL", value: "1") : nil
        default: .unknown(name: String(name), value: String(value))
        }
    }

    /// The rule of sd_notify(3): ASCII without control characters and ":", at most 255 characters.
    private static func isDescriptorName(_ name: Substring) -> Bool {
        !name.isEmpty && name.utf8.count <= 255
            && name.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7F && $0 != UInt8(ascii: ":") }
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }

    private static func printable(_ text: Substring) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            guard result.utf8.count < 1024 else { break }
            let isControl = scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value)
            result.unicodeScalars.append(isControl ? "\u{FFFD}" : scalar)
        }
        return result
    }
}
