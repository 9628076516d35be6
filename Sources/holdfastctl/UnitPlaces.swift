import ControlProtocol
import Glibc
import Linux
import UnitFiles
import UnitStore

/// Where unit files are, for commands that work on them without the daemon.
struct UnitPlaces {
    private(set) var configuration: UnitStore.Configuration

    /// The directories of the command line, else those of the daemon if one runs, else the standard ones.
    init(_ global: GlobalOptions, _ session: Session, named: [String]) {
        let quiet = Session(path: session.path, json: false, output: session.output, errors: session.errors)
        configuration = global.user ? .user(environment: Self.environment()) : .system
        if !named.isEmpty {
            configuration.unitDirectories = named.map(Self.absolute)
        } else if let running = try? quiet.ask(.describe, DescribeReply.self) {
            configuration.unitDirectories = running.unitDirectories
            configuration.runtimeDirectory = running.runtimeDirectory
        }
    }

    var loader: UnitLoader {
        UnitLoader(
            source: UnitsOnDisk(), searchPath: configuration.unitDirectories,
            specifiers: SpecifierEnvironment(configuration, environment: Self.environment()))
    }

    static func absolute(_ path: String) -> String {
        guard !path.hasPrefix("/") else { return path }
        guard let directory = getcwd(nil, 0) else { return path }
        defer { free(directory) }
        let trimmed = path.hasPrefix("./") ? String(path.dropFirst(2)) : path
        return String(cString: directory) + "/" + trimmed
    }

    static func environment() -> [String: String] {
        var result: [String: String] = [:]
        for name in [
            "HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
        ] {
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
        return result
    }
}
