import ControlProtocol
import Linux

/// One line of captured output, taken apart: `TIME UNIT#GENERATION STREAM: TEXT`.
struct LogLine {
    /// As it stands in the file; texts of times sort as the times do.
    var time: String
    var unit: String
    /// nil in what the daemon says itself.
    var generation: Int?
    /// `out`, `err`; `log` is what Holdfast says about the log; in the daemon's own log the level.
    var stream: String
    var text: String

    /// nil if it is no line of that form, which somebody else must have written.
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

    /// Stable keys: holdfastctl(1) documents them.
    var json: String {
        "{\"time\":\(JSONText.quoted(time)),\"unit\":\(JSONText.quoted(unit)),"
            + (generation.map { "\"generation\":\($0)," } ?? "")
            + "\"stream\":\(JSONText.quoted(stream)),\"text\":\(JSONText.quoted(text))}"
    }
}
