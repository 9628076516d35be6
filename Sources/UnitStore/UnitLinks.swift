import Linux
import UnitFiles

/// Carries out what `Installer` has decided.
public enum UnitLinks {
    /// Stops at the first that fails; those before it stay.
    /// - Returns: what was really changed, in words: what is as it should be is not mentioned.
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
