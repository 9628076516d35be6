import Linux
import UnitFiles
import UnitStore

/// Unit files of this host.
final class LinuxUnits: UnitsPort {
    func source(_ shortage: ReadingShortage?) -> any UnitFileSource { UnitsOnDisk(shortage) }

    func fingerprint(of directories: [String]) throws(SystemError) -> UnitFingerprint {
        try UnitFingerprint(of: directories)
    }

    func specifiers(_ configuration: Configuration, environment: [String: String]) -> SpecifierEnvironment {
        SpecifierEnvironment(configuration, environment: environment)
    }

    func realPath(_ path: String) -> String? { UnitsOnDisk().realPath(path) }

    func readNamed(_ path: String) throws(UnitFileReadError) -> String { try UnitsOnDisk().readNamed(path) }

    func isReadableByAll(_ path: String) -> Bool { UnitDirectory.isReadableByAll(path) }
}
