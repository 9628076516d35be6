import ControlProtocol
import Linux
import StateCoding
import UnitFiles
import UnitStore

/// A `SavedState` in a descriptor, by which one process hands it to the next.
public enum StateFile {
    /// Environment variable that names the descriptor for the successor.
    public static let variable = "HOLDFAST_STATE"
    /// Bytes. The state of 10,000 services has 20 MB.
    private static let limit = 1 << 30

    public struct Unreadable: Error, CustomStringConvertible {
        public let description: String
    }

    static func write(_ state: SavedState, _ process: any HandoverPort) throws -> OwnedDescriptor {
        try process.makeMemoryFile(StateEncoder.encode(state), name: "holdfast-state")
    }

    /// - Parameter descriptor: number under which this process has inherited the file.
    static func read(_ descriptor: Int32, _ process: any HandoverPort) throws -> SavedState {
        try read(process.inherit(descriptor), process)
    }

    static func read(
        _ file: borrowing OwnedDescriptor, _ process: any HandoverPort
    ) throws(Unreadable) -> SavedState {
        struct Beginning: Codable { var head: SavedHead }
        do {
            let bytes = try process.contents(of: file, limit: limit)
            let head = try StateDecoder.decode(Beginning.self, from: bytes).head
            guard head.format <= SavedState.format else {
                throw Unreadable(
                    description: "the state is of format \(head.format), written by holdfastd \(head.version); "
                        + "holdfastd \(Holdfast.version) reads formats up to \(SavedState.format)")
            }
            return try StateDecoder.decode(SavedState.self, from: bytes)
        } catch let error as Unreadable {
            throw error
        } catch let error as SystemError {
            throw Unreadable(description: "\(error)")
        } catch {
            throw Unreadable(description: "the state cannot be read: \(Self.text(error))")
        }
    }

    private static func text(_ error: any Error) -> String {
        switch error as? DecodingError {
        case .dataCorrupted(let context)?, .valueNotFound(_, let context)?, .typeMismatch(_, let context)?,
            .keyNotFound(_, let context)?:
            context.debugDescription
        default: "\(error)"
        }
    }

    /// Reason why this version of Holdfast could not continue from the state; nil if it could.
    public static func problem(_ descriptor: Int32, _ configuration: Configuration, _ environment: [String: String])
        -> String?
    {
        do {
            let state = try read(descriptor, LinuxHandover())
            let specifiers = SpecifierEnvironment(configuration, environment: environment)
            let problems = RestoredUnits(state.units, specifiers, UnitsOnDisk()).problems
            return problems.isEmpty ? nil : problems.prefix(5).joined(separator: "; ")
        } catch {
            return "\(error)"
        }
    }
}
