// UnitFiles: text -> typed units.
//
// This target turns unit files (systemd.unit(5) and its siblings, and our `[X-Swap]`) into values for the rest of
// Holdfast, and reports exactly what is wrong with them. It is pure: it opens no file and reads no clock and no user
// database. `UnitFileSource` is its only view of a disk, `SpecifierEnvironment` its only view of the host.
//
// The path of a unit through the target:
//   UnitFileParser   bytes -> assignments with file, line, column        (systemd.syntax(7); never fails, reports every problem)
//   Value parsers    one value -> one Swift value                        (TimeSpan, Signal, ListenAddress, ExecCommand, ...)
//   UnitBuilder      assignments of fragment and drop-ins -> typed unit  (ServiceUnit, SocketUnit, TargetUnit)
//   UnitLoader       name -> which files, in which order                 (search path, drop-ins, masks)
//   SwapUnitResolver name -> what is started and swapped together        (SwapUnitDefinition)
//   Verifier         everything -> all diagnostics at once
//
// Where the manual pages and systemd 252 disagree, the program is followed, and a comment at that place says so: a team
// must be able to move a unit between the two.

/// Bounds on everything that comes from outside.
public enum UnitFileLimits {
    /// Largest unit file and longest logical line in bytes (systemd.syntax(7): "currently 1 MB").
    public static let fileSize = 1 << 20
    /// Diagnostics kept per file; one last diagnostic counts the others.
    public static let diagnosticsPerFile = 1000
    /// Diagnostics kept per unit, over all its files.
    public static let diagnosticsPerUnit = 1000
    /// Longest unit name in bytes, with suffix (systemd.unit(5)).
    public static let nameLength = 255
    /// Longest result of expanding specifiers, in bytes.
    public static let expandedLength = 1 << 20
    /// Most data for standard input in one unit, in bytes. One file cannot hold more; several drop-ins together could.
    public static let inputData = 1 << 20
}
