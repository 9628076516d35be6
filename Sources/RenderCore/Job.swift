import Foundation

/// The supervisor's request, as JSON on standard input: `{"files": [{"template": PATH, "descriptor": "3", "output": PATH,
/// "uid": "0", "gid": "0", "context": {…}}]}`. The supervisor has opened the templates under these numbers, because it
/// decides which links may be followed. Without a number a template is opened by its path.
public enum Job {
    /// The largest template and the largest rendered file, in bytes.
    public static let largest = 1 << 20

    /// Renders every file; stops at the first failure.
    public static func run(_ input: Data) throws(RenderError) {
        guard let object = try? JSONSerialization.jsonObject(with: input) as? [String: Any],
            let files = object["files"] as? [[String: Any]]
        else { throw RenderError("standard input", "not a list of files to render") }
        for file in files {
            guard let template = file["template"] as? String, let output = file["output"] as? String,
                let uid = (file["uid"] as? String).flatMap(UInt32.init),
                let gid = (file["gid"] as? String).flatMap(UInt32.init), let context = file["context"] as? [String: Any]
            else { throw RenderError("standard input", "a file without template, output, owner or context") }
            let descriptor = (file["descriptor"] as? String).flatMap(Int32.init)
            let text = try Rendering.render(try read(template, descriptor), context, file: template)
            try write(text, to: output, uid, gid)
        }
    }

    private static func read(_ path: String, _ opened: Int32?) throws(RenderError) -> String {
        let descriptor = opened ?? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw RenderError(path, system(errno)) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw RenderError(path, "not a regular file")
        }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
        guard let bytes = try? file.read(upToCount: largest + 1) else {
            // An empty file needs no decoding.
            return ""
        }
        guard bytes.count <= largest else { throw RenderError(path, "larger than \(largest) bytes") }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw RenderError(path, "not UTF-8") }
        return text
    }

    private static func write(_ text: String, to path: String, _ uid: UInt32, _ gid: UInt32) throws(RenderError) {
        guard text.utf8.count <= largest else { throw RenderError(path, "larger than \(largest) bytes") }
        // The file may be left over from a supervisor that was replaced while it waited for this program.
        unlink(path)
        // The directory may belong to the service's user, who must not make root write elsewhere.
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw RenderError(path, system(errno)) }
        defer { close(descriptor) }
        if geteuid() == 0, fchown(descriptor, uid, gid) != 0 { throw RenderError(path, system(errno)) }
        do {
            try FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).write(contentsOf: Data(text.utf8))
        } catch {
            throw RenderError(path, system(errno))
        }
    }

    private static func system(_ code: Int32) -> String { String(cString: strerror(code)) }
}
