import CSpawn
import Glibc
import SystemPackage

/// Replaces the program of this process (execve(2)): the pid and the children stay, and of the descriptors exactly the
/// named ones.
public enum Reexecution {
    /// The path of the file that this process was started from. After an upgrade that path is the new file, while
    /// /proc/self/exe still leads to the old one: so it is read once, at start.
    public static func ownProgram() throws(SystemError) -> String {
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        let count = try checkErrno(readlink("/proc/self/exe", &buffer, buffer.count - 1), "read link", "/proc/self/exe")
        let path = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
        // The file was replaced between our execve and this line.
        let deleted = " (deleted)"
        return path.hasSuffix(deleted) ? String(path.dropLast(deleted.count)) : path
    }

    /// Returns only on failure; then nothing has changed.
    public static func execute(
        _ program: String, arguments: [String], environment: [String: String], keeping descriptors: [Int32]
    ) -> SystemError {
        let environment = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        defer { for descriptor in descriptors { _ = holdfast_set_cloexec(descriptor, 1) } }
        for descriptor in descriptors {
            let result = holdfast_set_cloexec(descriptor, 0)
            guard result >= 0 else { return SystemError("keep descriptor", "\(descriptor)", negated: result) }
        }
        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) }
        defer { for text in argv + envp { free(text) } }
        argv.append(nil)
        envp.append(nil)
        execve(program, argv, envp)
        return SystemError("executing", program)
    }
}
