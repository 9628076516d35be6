import Glibc
import Linux

/// Record files on disk, and the fault watch of this process.
final class LinuxRecords: RecordsPort {
    func writer(of path: String) -> any MachineRecordFile { RecordFile(path: path) }

    func read(_ path: String) throws(SystemError) -> RecordFile.Contents { try RecordFile.read(path) }

    func isStale(_ path: String) -> Bool { RecordFile.isStale(path) }

    func age(of path: String) -> Double? { RecordFile.age(path) }

    func rename(_ path: String, to target: String) { _ = Glibc.rename(path, target) }

    func watchFaults(note path: String, cpuTime: UInt32) throws(SystemError) {
        try FaultWatch.begin(note: path, cpuTime: cpuTime)
    }

    func enterStage(_ stage: Int32) { FaultWatch.enter(stage: stage) }

    func endFaultWatch() { FaultWatch.end() }

    func faultNote(_ path: String) -> FaultWatch.Note? { FaultWatch.read(path) }

    func removeFaultNote(_ path: String) { _ = Glibc.unlink(path) }
}

extension RecordFile: MachineRecordFile {}
