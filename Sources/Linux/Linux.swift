// Linux: all system calls of the daemon. Event loop, processes, sockets, notify messages, probes, control groups,
// captured output, files.
//
// The rules of this target:
// - It makes no decisions (Engine does) and logs nothing: calls throw `SystemError` or `SpawnError`, later results are
//   passed to one callback.
// - It never blocks. Calls that may take long are non-blocking and report through `EventLoop`.
// - It is used from one thread, the loop's. Classes here are not Sendable and take plain closures: the daemon's actor
//   runs on the loop's executor and passes closures that are isolated to it.
// - An object owns its resources: dropping a source, socket, pipe or probe ends it. No callback runs after `cancel()`.
// - All input from outside is bounded: bytes per read, datagrams per wake-up, depth of a directory tree.

#if canImport(Glibc)
    import Glibc
#endif
