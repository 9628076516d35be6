import Glibc
import Linux

/// Handover between programs of this process (execve(2)).
final class LinuxHandover: HandoverPort {
    var bootID: String? { BootID.current }

    func inherit(_ number: Int32) throws(SystemError) -> OwnedDescriptor { try OwnedDescriptor.inherited(number) }

    func makeMemoryFile(_ bytes: [UInt8], name: String) throws(SystemError) -> OwnedDescriptor {
        try OwnedDescriptor.inMemory(bytes, name: name)
    }

    func contents(of file: borrowing OwnedDescriptor, limit: Int) throws(SystemError) -> [UInt8] {
        // An earlier reader may have moved the offset.
        lseek(file.raw, 0, SEEK_SET)
        return try file.readAll(limit: limit, subject: "state")
    }

    func execute(
        _ program: String, arguments: [String], environment: [String: String], keeping descriptors: [Int32]
    ) -> SystemError {
        Reexecution.execute(program, arguments: arguments, environment: environment, keeping: descriptors)
    }
}
