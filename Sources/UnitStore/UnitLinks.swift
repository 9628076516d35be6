import Linux
import UnitFiles

/// Applies the decisions of `Installer`.
public enum UnitLinks {
    /// Applies the changes up to the first that fails; earlier ones stay in effect.
    /// - Returns: a text for each actual change; links that were already right have none.
    public static func apply(_ changes: [InstallChanges.Change]) throws(SystemError) -> [String] {
        var done: [String] = []
        for change in changes {
            switch change {
            case .link(let path, let target):
                if try SymbolicLink.make(path, to: target) { done.append("Created \(path) -> \(target)") }
            case .unlink(let path):
                let isRemoved = try SymbolicLink.remove(path, emptyDirectories: [".wants", ".requires", ".upholds"])
                if isRemoved { done.append("Removed \(path)") }
            }
        }
        return done
    }
}
