import Glibc
import Linux

@testable import Supervisor

/// Pipes and FIFOs of the world. Real files in memory stand for them, so that descriptors can be passed on; the bytes
/// are kept here, by the inode of the file.
final class WorldPipes {
    final class Channel {
        let token: WorldDescriptor
        fileprivate(set) var bytes: [UInt8] = []
        /// Whether the supervisor's writing end of a pipe is open.
        var isOpenHere = true
        /// Called when bytes have arrived, or when the last writer has gone.
        var onChange: (() -> Void)?

        init(_ token: WorldDescriptor) { self.token = token }

        func takeAll() -> [UInt8] {
            defer { bytes = [] }
            return bytes
        }
    }

    private unowned let world: World
    private var channels: [UInt64: Channel] = [:]
    /// FIFOs by path: they last until nothing has them open and they are removed.
    private var fifos: [String: Channel] = [:]

    init(world: World) { self.world = world }

    static func inode(of descriptor: Int32) -> UInt64 {
        var status = stat()
        return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    func make(_ name: String) throws(SystemError) -> Channel {
        let token = WorldDescriptor(try OwnedDescriptor.inMemory([], name: name))
        let channel = Channel(token)
        channels[Self.inode(of: token.raw)] = channel
        return channel
    }

    func fifo(_ path: String) throws(SystemError) -> Channel {
        if let present = fifos[path] { return present }
        let made = try make("fifo")
        fifos[path] = made
        return made
    }

    func existingFIFO(_ path: String) -> Channel? { fifos[path] }

    func removeFIFO(_ path: String) { fifos[path] = nil }

    func write(_ bytes: [UInt8], to descriptor: Int32) {
        guard let channel = channels[Self.inode(of: descriptor)] else { return }
        channel.bytes += bytes
        channel.onChange?()
    }

    /// Whether a process of the world can still write to the channel.
    func hasWriters(_ channel: Channel) -> Bool {
        let inode = Self.inode(of: channel.token.raw)
        return world.processes.running.contains { process in
            process.openDescriptors.contains { Self.inode(of: $0.raw) == inode }
        }
    }

    /// A process has closed descriptors: readers may have reached the end.
    func writersChanged() { for channel in channels.values { channel.onChange?() } }

    /// The supervisor's process has ended.
    func supervisorEnded() {
        for channel in channels.values { (channel.onChange, channel.isOpenHere) = (nil, false) }
    }
}
