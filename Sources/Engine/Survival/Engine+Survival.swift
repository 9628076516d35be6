/// Outstanding work when the process that carries out decisions is replaced by another one (I7).
extension Engine {
    /// Effects that are under way and will be answered later: probes, searches for main processes, and waits for
    /// process trees to become empty. A process that has taken over the state of another one carries them out again,
    /// under the same tokens. All other effects are answered before anything else is done, so they are never
    /// outstanding in between.
    public var outstandingEffects: [Effect] {
        instances.values.sorted { $0.id < $1.id }.flatMap { instance -> [Effect] in
            var effects: [Effect] = []
            if let watch = instance.treeWatch { effects.append(.watchTree(watch, instance.id)) }
            if let watch = instance.wholeTreeWatch { effects.append(.watchTree(watch, instance.id)) }
            if let search = instance.search { effects.append(.seekMain(search, instance.id)) }
            if let probe = instance.probe { effects.append(.probe(probe, instance.id)) }
            return effects
        }
    }
}

extension Instance {
    /// The watch of the process tree, if the state has one.
    var treeWatch: Token? {
        switch state {
        case .terminating(let watch, _), .killing(let watch, _), .sweeping(let watch, _): watch
        case .waiting, .checking, .condition, .startPre, .starting, .oneshot, .forking, .awaitingMain, .probing,
            .startPost, .running, .exited, .reloading, .reloadSignalled, .reloadAnnounced, .draining, .stopping,
            .stopPost, .restartWait, .inactive:
            nil
        }
    }
}
