import Linux

/// State and descriptors that one program of this process hands to the next (re-execution), and that a parent hands to
/// its child.
protocol HandoverPort: AnyObject {
    /// Identifier of the present boot, in which state is valid; nil if the host does not report it.
    var bootID: String? { get }

    /// Takes a descriptor that an earlier program of this process, or its parent, left open under this number. EBADF:
    /// there is none.
    func inherit(_ number: Int32) throws(SystemError) -> OwnedDescriptor

    /// Makes a file without a name that holds these bytes, open for reading.
    func makeMemoryFile(_ bytes: [UInt8], name: String) throws(SystemError) -> OwnedDescriptor

    /// Contents of a file from its start, at most `limit` bytes; EFBIG if there are more.
    func contents(of file: borrowing OwnedDescriptor, limit: Int) throws(SystemError) -> [UInt8]

    /// Replaces the program of this process. Returns only on failure; then nothing has changed.
    func execute(
        _ program: String, arguments: [String], environment: [String: String], keeping descriptors: [Int32]
    ) -> SystemError
}
