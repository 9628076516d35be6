import ArgumentParser
import ControlProtocol
import Glibc
import Linux
import UnitFiles
import UnitStore

/// The directory option of commands that work on unit files.
struct DirectoryOptions: ParsableArguments {
    @Option(
        name: .customLong("units"),
        help: ArgumentHelp("A unit directory instead of the standard ones; may be repeated.", valueName: "directory"))
    var named: [String] = []
}

/// The unit directories, for commands that work on unit files without the daemon.
struct UnitDirectories {
    private(set) var configuration: UnitStore.Configuration

    /// The directories from the command line, else those of the running daemon, else the standard ones.
    /// - Throws: if a daemon runs and does not answer: its units may be elsewhere than in the standard directories.
    init(_ global: GlobalOptions, _ session: Session, named: [String] = []) throws(CommandFailure) {
        configuration = global.user ? .user(environment: Self.environment()) : .system
        if !named.isEmpty {
            configuration.unitDirectories = named.map(Self.absolute)
        } else if let running = try session.quiet.askIfRunning(.describe, DescribeReply.self) {
            configuration.unitDirectories = running.unitDirectories
            configuration.runtimeDirectory = running.runtimeDirectory
        }
    }

    /// Searches the directories of these files first, as if the files were installed.
    mutating func prefer(directoriesOf files: [String]) {
        let parents = files.compactMap { FileTree.parent(of: Self.absolute($0)) }
        configuration.unitDirectories =
            parents.filter { !configuration.unitDirectories.contains($0) } + configuration.unitDirectories
    }

    var loader: UnitLoader { loader(of: UnitsOnDisk()) }

    /// - Parameter source: the source of the unit files.
    func loader(of source: some UnitFileSource) -> UnitLoader {
        UnitLoader(
            source: source, searchPath: configuration.unitDirectories,
            specifiers: SpecifierEnvironment(configuration, environment: Self.environment()))
    }

    /// The unit with this name.
    func unit(_ name: String) throws(CommandFailure) -> UnitName {
        switch loader.resolve(shortName: name) {
        case .success(let found): return found
        case .failure(let error): throw .local("\(error)")
        }
    }

    /// The present files of a unit; of a unit that cannot be loaded, only the unit file.
    func texts(of unit: UnitName) -> [UnitSource] {
        if let found = loader.load(unit).unit { return found.definition.sources }
        guard let path = loader.fragmentPath(of: unit), let text = try? UnitsOnDisk().read(path) else { return [] }
        return [UnitSource(path: path, text: text)]
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
