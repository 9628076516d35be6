// Linux: everything that touches the kernel for the daemon. Event loop, processes, sockets, notify messages, probes, control
// groups, captured output, files.
//
// The room's rules:
// - It decides nothing (Engine does) and logs nothing: calls throw `SystemError` or `SpawnError`, later results go to the
//   one callback that was given.
// - It never blocks. What may take long is non-blocking and answered through `EventLoop`.
// - It is used from one thread, the loop's. Classes here are not Sendable and take plain closures: the daemon's actor runs on
//   the loop's executor and hands in closures that are isolated to it.
// - An object owns what it opened: dropping a source, socket, pipe or probe ends it. Callbacks never come after `cancel()`.
// - Whatever comes from outside has a bound: bytes per read, datagrams per wake-up, depth of a directory tree.

#if canImport(Glibc)
    import Glibc
#endif
