import Linux
import UnitFiles

/// `LoadCredential=` and `SetCredential=` (systemd.exec(5), "Credentials").
extension Launcher {
    /// Directories searched for credentials that are named without a path, after the supervisor's own credentials.
    private static let stores = ["/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore"]

    /// Path for `$CREDENTIALS_DIRECTORY`; nil if the service has no credentials. Generations of a unit share it.
    func credentialsDirectory(of unit: ServiceUnit) -> String? {
        unit.credentials.isEmpty ? nil : configuration.credentialsDirectory + "/" + unit.name.description
    }

    /// Reads the credentials and writes them to the service's directory.
    /// - Returns: the path of an earlier run's directory, which is to be thrown away; nil if there was none.
    func makeCredentials(of unit: ServiceUnit) throws(LaunchError) -> String? {
        guard let directory = credentialsDirectory(of: unit) else { return nil }
        let account = try credentials(of: unit.execution)
        do throws(SystemError) {
            let owner = configuration.isUser ? nil : (uid: account?.uid ?? 0, gid: account?.gid ?? 0)
            return try machine.serviceFiles.writeCredentials(
                try load(unit.credentials), to: directory, owner: owner)
        } catch {
            throw LaunchError(text: "setting credentials: \(error)", status: 243, isTransient: error.isTransient)
        }
    }

    private func load(_ settings: ServiceCredentials) throws(SystemError) -> [CredentialFiles.Entry] {
        var found: [CredentialFiles.Entry] = []
        func room() -> Int { CredentialFiles.sizeLimit - found.reduce(0) { $0 + $1.bytes.count } }
        for loaded in settings.loaded {
            do throws(SystemError) {
                let path = try self.path(of: loaded)
                let entries = try machine.serviceFiles.readCredentials(path, as: loaded.id, limit: room())
                found += entries.filter { entry in !found.contains { $0.name == entry.name } }
            } catch {
                // "the latter will act as default if the former cannot be retrieved"; a credential that has only a name
                // may be missing.
                let hasDefault = settings.literals.contains { $0.id == loaded.id }
                let isMissing = error.errno == .noSuchFileOrDirectory && loaded.source == .named(loaded.name)
                if !hasDefault && !isMissing { throw error }
            }
        }
        for literal in settings.literals where !found.contains(where: { $0.name == literal.id }) {
            guard literal.data.count <= room() else {
                throw SystemError("SetCredential=", literal.id, .fileTooLarge)
            }
            found.append(.init(literal.id, literal.data))
        }
        guard found.count <= CredentialFiles.countLimit else {
            throw SystemError("more than \(CredentialFiles.countLimit) files", nil, .fileTooLarge)
        }
        return found
    }

    private func path(of loaded: ServiceCredentials.Loaded) throws(SystemError) -> String {
        switch loaded.source {
        case .path(let path): return path
        case .named(let name):
            let own = environment["CREDENTIALS_DIRECTORY"].map { [$0] } ?? []
            for directory in own + Self.stores where machine.serviceFiles.isThere(directory + "/" + name) {
                return directory + "/" + name
            }
            throw SystemError("find credential", name, .noSuchFileOrDirectory)
        }
    }
}

extension ServiceCredentials.Loaded {
    /// Name by which a credential without a path is searched for.
    fileprivate var name: String {
        switch source {
        case .path: ""
        case .named(let name): name
        }
    }
}
