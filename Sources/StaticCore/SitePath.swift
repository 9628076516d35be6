/// A request target, split into names beneath the root.
///
/// Pure text: `Site` looks the names up on disk. Everything that could mean another place than it seems to (`..`, NUL,
/// an encoded slash inside a name, a hidden name) is refused here, after decoding, exactly once.
public struct SitePath: Equatable, Sendable {
    /// The longest target in bytes; longer ones are refused before any other check.
    static let limit = 4096

    /// File and directory names, outermost first; empty for `/`.
    public let names: [String]
    /// Whether the target ends in `/`, and so means a directory's index.
    public let isDirectory: Bool

    /// Nil if the target cannot name a file of a site.
    ///
    /// - Parameter target: origin form (`/a/b?query`) or absolute form (`http://host/a/b`), RFC 9112 section 3.2.
    public init?(target: String) {
        var bytes = Array(target.utf8)[...]
        guard bytes.count <= Self.limit else { return nil }
        if bytes.first != UInt8(ascii: "/") {
            guard let path = Self.pathOfAbsoluteForm(bytes) else { return nil }
            bytes = path
        }
        if let end = bytes.firstIndex(where: { $0 == UInt8(ascii: "?") || $0 == UInt8(ascii: "#") }) {
            bytes = bytes[..<end]
        }
        var names: [String] = []
        let pieces = bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: true)
        for piece in pieces {
            guard let name = Self.decode(piece) else { return nil }
            if name == "." { continue }
            names.append(name)
        }
        self.names = names
        isDirectory =
            bytes.last == UInt8(ascii: "/") || pieces.last?.elementsEqual("%2e".utf8) == true
            || pieces.last?.elementsEqual(".".utf8) == true || bytes.isEmpty
    }

    private static func pathOfAbsoluteForm(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        for scheme in ["http://", "https://"] where bytes.starts(with: scheme.utf8) {
            let rest = bytes.dropFirst(scheme.utf8.count)
            return rest.firstIndex(of: UInt8(ascii: "/")).map { rest[$0...] } ?? rest.suffix(0)
        }
        return nil
    }

    /// One name with its `%XX` decoded; nil if it is not permitted.
    private static func decode(_ piece: ArraySlice<UInt8>) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(piece.count)
        var index = piece.startIndex
        while index < piece.endIndex {
            var byte = piece[index]
            if byte == UInt8(ascii: "%") {
                guard piece.endIndex - index > 2, let high = hex(piece[index + 1]), let low = hex(piece[index + 2])
                else { return nil }
                byte = high << 4 | low
                index += 2
            }
            // An encoded slash would split the name in two; NUL would end the path early in C.
            guard byte != 0, byte != UInt8(ascii: "/") else { return nil }
            bytes.append(byte)
            index += 1
        }
        guard bytes.count <= 255, let name = String(validating: bytes, as: UTF8.self) else { return nil }
        // Hidden files are not part of a site (`.git`, `.env`), except the one that RFC 8615 defines.
        guard !name.utf8.starts(with: ".".utf8) || name == "." || name == ".well-known" else { return nil }
        return name
    }

    private static func hex(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    /// The media type for a file name, by its extension.
    public static func mediaType(of name: String) -> String {
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return "application/octet-stream" }
        let ending = String(name[name.utf8.index(after: dot)...]).lowercased()
        return mediaTypes[ending] ?? "application/octet-stream"
    }

    private static let mediaTypes: [String: String] = [
        "html": "text/html; charset=utf-8", "htm": "text/html; charset=utf-8", "txt": "text/plain; charset=utf-8",
        "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
        "mjs": "text/javascript; charset=utf-8", "json": "application/json", "map": "application/json",
        "xml": "application/xml", "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg",
        "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "avif": "image/avif", "ico": "image/x-icon",
        "woff": "font/woff", "woff2": "font/woff2", "ttf": "font/ttf", "wasm": "application/wasm",
        "pdf": "application/pdf", "mp4": "video/mp4", "webm": "video/webm", "mp3": "audio/mpeg",
        "md": "text/markdown; charset=utf-8", "csv": "text/csv; charset=utf-8",
    ]
}
