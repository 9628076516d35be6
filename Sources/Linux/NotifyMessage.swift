/// One line of a notify datagram (sd_notify(3)).
public enum NotifyMessage: Equatable, Sendable {
    case ready
    case reloading
    case stopping
    /// At most 1024 bytes, control characters replaced: it is shown on terminals.
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
    case barrier
    /// A well-formed line with a name that we do not know.
    case unknown(name: String, value: String)

    /// The lines of a datagram. Lines that are no assignment, or whose value is none for their name, are left out and counted.
    public static func parse(_ bytes: some Collection<UInt8>) -> (messages: [NotifyMessage], garbage: Int) {
        var messages: [NotifyMessage] = []
        var garbage = 0
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            if let message = NotifyMessage(line: String(decoding: line, as: UTF8.self)) {
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
        case "READY", "RELOADING", "STOPPING", "BARRIER":
            // Only "1" is defined for these four.
            guard value == "1" else { return nil }
            self =
                name == "READY" ? .ready : name == "RELOADING" ? .reloading : name == "STOPPING" ? .stopping : .barrier
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
            self = .unknown(name: String(name), value: String(value))
        }
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
