import Engine
import Linux

/// Awaited PID files, each with the search for a main process that waits for it.
final class PidFiles {
    private let machine: any Machine
    private var watcher: (any MachinePathWatcher)?
    private var retry: (any LoopTimer)?
    private var awaited: [Token: (path: String, check: () -> Void)] = [:]

    init(_ machine: any Machine) { self.machine = machine }

    /// Calls `check` whenever the file at the path may have changed, until `forget`.
    func expect(_ path: String, for token: Token, _ check: @escaping () -> Void) {
        awaited[token] = (path, check)
        if watcher == nil { watcher = try? machine.serviceFiles.watchPaths() }
        if let watcher { watch(path, watcher) } else { retryLater() }
    }

    private func watch(_ path: String, _ watcher: any MachinePathWatcher) {
        watcher.watch(path) { [unowned self] in didChange(path) }
    }

    /// Retries later: the host has no inotify instance left.
    private func retryLater() {
        guard retry == nil else { return }
        retry = machine.loop.retry { [unowned self] in
            retry = nil
            let paths = Set(awaited.values.map(\.path)).sorted()
            guard !paths.isEmpty else { return }
            watcher = try? machine.serviceFiles.watchPaths()
            if let watcher { for path in paths { watch(path, watcher) } } else { retryLater() }
            for path in paths { didChange(path) }
        }
    }

    private func didChange(_ path: String) {
        for (token, entry) in awaited.sorted(by: { $0.key.number < $1.key.number }) where entry.path == path {
            // One check may end the other searches, or their services.
            if awaited[token] != nil { entry.check() }
        }
    }

    func forget(_ token: Token) {
        guard let entry = awaited.removeValue(forKey: token) else { return }
        if !awaited.values.contains(where: { $0.path == entry.path }) { watcher?.unwatch(entry.path) }
    }
}
