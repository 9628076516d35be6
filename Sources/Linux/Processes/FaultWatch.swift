import CSpawn
import Glibc
import Vocabulary

/// Records that this process ended by a fault of its own: a trap, a bad memory access, abort(3), or more CPU time than
/// its work can need. Signals from other processes (SIGKILL by an operator or the OOM killer) leave no note.
///
/// A note is a symbolic link, made by the signal handler, with the signal and the stage of the work as its target.
public enum FaultWatch {
    public struct Note: Equatable, Sendable {
        public var signal: Signal
        public var stage: Int32
    }

    /// - Parameter limit: the CPU time in seconds that is permitted until `end`.
    public static func begin(note path: String, cpuTime limit: UInt32) throws(SystemError) {
        try check(holdfast_watch_faults(path, limit), "watch for faults")
    }

    /// Sets the stage of the work from now on.
    public static func enter(stage: Int32) { holdfast_fault_stage(stage) }

    public static func end() { holdfast_unwatch_faults() }

    /// The note of an earlier process; nil if there is none.
    public static func read(_ path: String) -> Note? {
        var buffer = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &buffer, buffer.count)
        guard count > 0 else { return nil }
        let words = String(decoding: buffer[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self).split(separator: " ")
        guard words.count == 2, let signal = Int32(words[0]), let stage = Int32(words[1]) else { return nil }
        return Note(signal: Signal(rawValue: signal), stage: stage)
    }
}
