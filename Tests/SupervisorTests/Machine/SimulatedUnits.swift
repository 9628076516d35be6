import Linux
import UnitFiles
import UnitStore

@testable import Supervisor

/// The unit files of a simulated world, as text.
final class WorldUnits {
    var files = InMemoryUnitFileSource()
    /// Raised by each change: the fingerprint of all unit directories.
    private(set) var version = 0

    func write(_ path: String, _ text: String) {
        files.files[path] = text
        version += 1
    }

    func remove(_ path: String) {
        files.files[path] = nil
        version += 1
    }
}

/// Unit files on a simulated machine. Every user may read them.
final class SimulatedUnits: UnitsPort {
    private unowned let machine: SimulatedMachine
    private var units: WorldUnits { machine.world.units }

    init(machine: SimulatedMachine) { self.machine = machine }

    func source(_ shortage: ReadingShortage?) -> any UnitFileSource { units.files }

    func fingerprint(of directories: [String]) throws(SystemError) -> UnitFingerprint {
        try machine.world.step(machine, "list unit files")
        return UnitFingerprint(units.version)
    }

    func specifiers(_ configuration: Configuration, environment: [String: String]) -> SpecifierEnvironment {
        SpecifierEnvironment()
    }

    func realPath(_ path: String) -> String? { units.files.realPath(path) }

    func readNamed(_ path: String) throws(UnitFileReadError) -> String { try units.files.read(path) }

    func isReadableByAll(_ path: String) -> Bool { true }
}
