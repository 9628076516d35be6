import ControlProtocol
import Linux

/// One parsed line of captured output: `TIME UNIT#GENERATION STREAM: TEXT`.
struct LogLine {
    /// The time as written in the file; the texts sort in the order of the times.
    var time: String
    var unit: String
    /// Nil in the daemon's own messages.
    var generation: Int?
    /// `out`, `err`; `log` for Holdfast's own remarks about the log; in the daemon's own log the level.
    var stream: String
    var text: String

    /// Nil for a line of another form, which Holdfast has not written.
    init?(_ bytes: UnsafeRawBufferPointer) {
        let length = LogTime.length
        guard bytes.count > length + 1, bytes[length] == UInt8(ascii: " "), bytes[length - 1] == UInt8(ascii: "Z")
        else {
            return nil
        }
        let rest = bytes[(length + 1)...]
        guard let space = rest.firstIndex(of: UInt8(ascii: " ")) else { return nil }
        let words = rest[(space + 1)...]
        guard let colon = words.firstIndex(of: UInt8(ascii: ":")), colon + 1 < bytes.count || colon + 1 == bytes.count
        else { return nil }
        let label = String(decoding: rest[rest.startIndex..<space], as: UTF8.self)
        time = String(decoding: bytes[..<length], as: UTF8.self)
        stream = String(decoding: words[words.startIndex..<colon], as: UTF8.self)
        text = String(decoding: bytes[min(colon + 2, bytes.count)...], as: UTF8.self)
        if let hash = label.lastIndex(of: "#"), let number = Int(label[label.index(after: hash)...]) {
            unit = String(label[..<hash])
            generation = number
        } else {
            unit = label
        }
    }

    /// The line as JSON with stable keys, documented in holdfastctl(1).
    var json: String {
        "{\"time\":\(JSONText.quoted(time)),\"unit\":\(JSONText.quoted(unit)),"
            + (generation.map { "\"generation\":\($0)," } ?? "")
            + "\"stream\":\(JSONText.quoted(stream)),\"text\":\(JSONText.quoted(text))}"
    }
}
