import Linux
import UnitFiles
import UnitStore

/// Unit files and the environment files that they name, as this host has them.
protocol UnitsPort: AnyObject {
    /// The unit files. What cannot be read for lack of descriptors or memory looks as if it did not exist, and is
    /// recorded in `shortage`.
    func source(_ shortage: ReadingShortage?) -> any UnitFileSource

    /// Fingerprint of all that `source` would read in these directories; throws only shortages.
    func fingerprint(of directories: [String]) throws(SystemError) -> UnitFingerprint

    /// Values of specifiers (`%H`, `%t`, …) for unit files of this configuration.
    func specifiers(_ configuration: Configuration, environment: [String: String]) -> SpecifierEnvironment

    /// Path of a file without symbolic links; nil if there is none.
    func realPath(_ path: String) -> String?

    /// Text of a file that a unit names (`EnvironmentFile=`).
    func readNamed(_ path: String) throws(UnitFileReadError) -> String

    /// Whether every user may read the file at the path.
    func isReadableByAll(_ path: String) -> Bool
}
