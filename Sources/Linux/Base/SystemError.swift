import CSpawn
import Glibc
import SystemPackage

/// A system call that failed: which, on what, and why.
///
/// Its description is one line for a person: `open /srv/x: No such file or directory`.
public struct SystemError: Error, Equatable, Hashable, Sendable, CustomStringConvertible {
    /// What was done, in the field's words: `open`, `listening on`, `bind`.
    public var call: String
    /// What it was done to: a path, an address, a process. Empty subjects are left out.
    public var subject: String?
    /// Why it failed (errno(3)).
    public var errno: Errno

    public init(_ call: String, _ subject: String? = nil, _ errno: Errno) {
        self.call = call
        self.subject = subject
        self.errno = errno
    }

    /// The error of the call that just failed, from the thread's errno.
    init(_ call: String, _ subject: String? = nil) {
        self.init(call, subject, Errno(rawValue: Glibc.errno))
    }

    /// What a failed step was part of. A step that names what it was about (an option, an interface) is kept beside it.
    init(_ call: String, _ subject: String, _ step: SystemError) {
        guard step.call.hasSuffix("=") else {
            self.init(call, subject, step.errno)
            return
        }
        self.init(call, "\(subject): \(step.call)\(step.subject ?? "")", step.errno)
    }

    /// The error in a negated errno, as sd-event and CSpawn return it.
    init(_ call: String, _ subject: String? = nil, negated: Int32) {
        self.init(call, subject, Errno(rawValue: -negated))
    }

    /// Want of something that may be there again a moment later: it says nothing about the subject.
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
        // strerror_r's GNU form may return a static string instead of the buffer; this text is always static, and
        // nil for numbers that it does not know.
        guard let text = holdfast_error_text(rawValue) else { return "error \(rawValue)" }
        return String(cString: text)
    }
}

/// Passes a result of 0 or more on; throws for a negated errno.
@discardableResult
func check(_ result: Int32, _ call: String, _ subject: @autoclosure () -> String? = nil) throws(SystemError) -> Int32 {
    guard result >= 0 else { throw SystemError(call, subject(), negated: result) }
    return result
}

/// Passes a result of 0 or more on; throws the thread's errno for -1.
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
