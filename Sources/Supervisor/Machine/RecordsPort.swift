import Linux

/// Record files, which hold the journal, and the notes of processes that crashed while they continued from one.
protocol RecordsPort: AnyObject {
    /// The writer of a file, which is opened at the first write.
    func writer(of path: String) -> any MachineRecordFile

    /// Contents of a file; empty if there is none.
    func read(_ path: String) throws(SystemError) -> RecordFile.Contents

    /// Whether the file lacks the latest records (`MachineRecordFile.markStale`).
    func isStale(_ path: String) -> Bool

    /// Seconds since the last write to a file; nil if there is none.
    func age(of path: String) -> Double?

    /// Gives a file another name, without an error if that is impossible.
    func rename(_ path: String, to target: String)

    // MARK: - Faults of this process

    /// Has a note written at `path` if this process ends by a fault of its own, or after `cpuTime` seconds of work.
    func watchFaults(note path: String, cpuTime: UInt32) throws(SystemError)

    /// Sets the stage of the work that a note names.
    func enterStage(_ stage: Int32)

    /// Ends the watch.
    func endFaultWatch()

    /// Note of an earlier process; nil if there is none.
    func faultNote(_ path: String) -> FaultWatch.Note?

    /// Removes the note of an earlier process.
    func removeFaultNote(_ path: String)
}

/// Writer of a file of appended records, each with a key (`RecordFile`).
protocol MachineRecordFile: AnyObject {
    /// Size of the file in bytes.
    var size: Int { get }

    /// Present size of the file in bytes, also if it is not open.
    var existingSize: Int { get }

    /// Whether there are collected records that are not written.
    var hasCollected: Bool { get }

    /// Bytes that can still be written, even if the file system becomes full.
    var room: Int { get }

    /// Bytes that `replace` can write, even if the file system becomes full.
    var roomForReplacement: Int { get }

    /// Collects a record for the next `flush`; nil removes the key.
    func put(_ key: String, _ value: [UInt8]?)

    /// Drops the collected records.
    func discard()

    /// Writes the collected records, all or none.
    func flush() throws(SystemError)

    /// Replaces the file with one that has the records collected now, atomically.
    func replace() throws(SystemError)

    /// Marks the file as incomplete, because later records cannot be written.
    func markStale()

    /// Reserves space for `more` bytes after the contents of the file, and for a replacement.
    func keepRoom(more: Int, replacement: Int) throws(SystemError)

    /// Removes the file.
    func remove()
}
