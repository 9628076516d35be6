import Glibc
import Linux
import UnitFiles

/// The seam of `UnitFiles`, implemented with system calls.
public struct UnitsOnDisk: UnitFileSource {
    public init() {}

    public func entries(of directory: String) -> [String] { (try? UnitDirectory.list(directory)) ?? [] }

    public func links(of directory: String) -> [String: String] { UnitDirectory.links(directory) }

    public func directories(of directory: String) -> Set<String> { UnitDirectory.directories(directory) }

    public func isMask(_ path: String) -> Bool { UnitDirectory.isMask(path) }

    public func realPath(_ path: String) -> String? { UnitDirectory.realPath(path) }

    public func read(_ path: String) throws(UnitFileReadError) -> String {
        try read(path, checkOwner: true)
    }

    /// Reads a file that a unit names (`EnvironmentFile=`). Its owner is not checked: the unit's author has chosen it.
    public func readNamed(_ path: String) throws(UnitFileReadError) -> String {
        do throws(UnitFileReadError) {
            return try read(path, checkOwner: false)
        } catch {
            // A link to /dev/null masks a unit; as a named file it is an empty file.
            if error == .masked { return "" }
            throw error
        }
    }

    private func read(_ path: String, checkOwner: Bool) throws(UnitFileReadError) -> String {
        let content: UnitDirectory.Content
        do throws(UnitDirectory.ReadError) {
            content = try UnitDirectory.read(path, checkOwner: checkOwner)
        } catch {
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
