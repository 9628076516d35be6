import Glibc
import Linux
import Synchronization
import UnitFiles

/// The first shortage of descriptors or memory that kept a reader from reading existing unit files. The units read are
/// then not a complete picture of the disk.
public final class ReadingShortage: Sendable {
    private let first = Mutex<SystemError?>(nil)

    public init() {}

    public var error: SystemError? { first.withLock { $0 } }

    func record(_ error: SystemError) {
        if error.isTransient { first.withLock { $0 = $0 ?? error } }
    }
}

/// The seam of `UnitFiles`, implemented with system calls.
public struct UnitsOnDisk: UnitFileSource {
    private let shortage: ReadingShortage?

    /// - Parameter shortage: records directories and files that could not be read; `UnitFiles` sees them as missing.
    public init(_ shortage: ReadingShortage? = nil) { self.shortage = shortage }

    public func entries(of directory: String) -> [String] {
        do throws(SystemError) {
            return try UnitDirectory.list(directory) ?? []
        } catch {
            shortage?.record(error)
            return []
        }
    }

    public func links(of directory: String) -> [String: String] {
        do throws(SystemError) {
            return try UnitDirectory.links(directory)
        } catch {
            shortage?.record(error)
            return [:]
        }
    }

    public func directories(of directory: String) -> Set<String> {
        do throws(SystemError) {
            return try UnitDirectory.directories(directory)
        } catch {
            shortage?.record(error)
            return []
        }
    }

    public func isMask(_ path: String) -> Bool { UnitDirectory.isMask(path) }

    public func realPath(_ path: String) -> String? { UnitDirectory.realPath(path) }

    public func read(_ path: String) throws(UnitFileReadError) -> String {
        try read(path, checkOwner: true)
    }

    /// Reads a file named by a unit (`EnvironmentFile=`). Its owner is not checked, because the unit's author chose the
    /// file.
    public func readNamed(_ path: String) throws(UnitFileReadError) -> String {
        do throws(UnitFileReadError) {
            return try read(path, checkOwner: false)
        } catch {
            // A link to /dev/null masks a unit, but as a named file it is an empty file.
            if error == .masked { return "" }
            throw error
        }
    }

    private func read(_ path: String, checkOwner: Bool) throws(UnitFileReadError) -> String {
        let content: UnitDirectory.Content
        do throws(UnitDirectory.ReadError) {
            content = try UnitDirectory.read(path, checkOwner: checkOwner)
        } catch {
            if case .system(let cause) = error { shortage?.record(cause) }
            throw UnitFileReadError(error)
        }
        switch content {
        case .masked: throw .masked
        case .text(let bytes): return FileText.decode(bytes)
        }
    }
}

extension UnitFileReadError {
    fileprivate init(_ error: UnitDirectory.ReadError) {
        switch error {
        case .insecure: self = .insecure("\(error)")
        case .tooLarge(path: _, let limit): self = .tooLarge(limit + 1)
        case .notAFile: self = .unreadable("not a regular file")
        case .system(let error):
            let isMissing = error.errno == .noSuchFileOrDirectory || error.errno == .notDirectory
            self = isMissing ? .missing : .unreadable(error.errno.text)
        }
    }
}
