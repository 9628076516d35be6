import CSpawn
import Glibc
import SystemPackage

/// A failed system call: the call, its subject, and the cause.
///
/// Its description is one line for people: `open /srv/x: No such file or directory`.
public struct SystemError: Error, Equatable, Hashable, Sendable, CustomStringConvertible {
    /// The operation, as it appears in the message: `open`, `listening on`, `bind`.
    public var call: String
    /// The subject of the operation: a path, an address, a process. Empty subjects are left out.
    public var subject: String?
    /// The cause (errno(3)).
    public var errno: Errno

    public init(_ call: String, _ subject: String? = nil, _ errno: Errno) {
        self.call = call
        self.subject = subject
        self.errno = errno
    }

    /// The error of the call that has just failed, from the thread's errno.
    init(_ call: String, _ subject: String? = nil) {
        self.init(call, subject, Errno(rawValue: Glibc.errno))
    }

    /// The error of a step of an operation. A step that names its own subject (an option, an interface) is appended.
    init(_ call: String, _ subject: String, _ step: SystemError) {
        guard step.call.hasSuffix("=") else {
            self.init(call, subject, step.errno)
            return
        }
        self.init(call, "\(subject): \(step.call)\(step.subject ?? "")", step.errno)
    }

    /// The error for a negated errno, as sd-event and CSpawn return it.
    init(_ call: String, _ subject: String? = nil, negated: Int32) {
        self.init(call, subject, Errno(rawValue: -negated))
    }

    /// Whether the cause is a shortage that may end in a moment, and so does not concern the subject.
    public var isTransient: Bool {
        let wants: [Errno] = [
            .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace, .interrupted, .wouldBlock,
            .resourceTemporarilyUnavailable,
        ]
        return wants.contains(errno)
    }

    public var description: String {
        guard let subject, !subject.isEmpty else { return "\(call): \(errno.text)" }
        return "\(call) \(subject): \(errno.text)"
    }
}

extension Errno {
    /// The message of strerror(3), untranslated: the daemon sets no locale.
    public var text: String {
        // strerror_r's GNU form may return a static string; this text is always static, and nil for unknown numbers.
        guard let text = holdfast_error_text(rawValue) else { return "error \(rawValue)" }
        return String(cString: text)
    }
}

/// Returns a result of 0 or more; throws for a negated errno.
@discardableResult
func check(_ result: Int32, _ call: String, _ subject: @autoclosure () -> String? = nil) throws(SystemError) -> Int32 {
    guard result >= 0 else { throw SystemError(call, subject(), negated: result) }
    return result
}

/// Returns a result of 0 or more; throws the thread's errno for -1.
@discardableResult
func checkErrno<Number: SignedInteger>(
    _ result: Number, _ call: String, _ subject: @autoclosure () -> String? = nil
) throws(SystemError) -> Number {
    guard result >= 0 else {
        let cause = Errno(rawValue: errno)
        throw SystemError(call, subject(), cause)
    }
    return result
}
