import ControlProtocol
import Glibc
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

    static func write(_ state: SavedState) throws -> OwnedDescriptor {
        try OwnedDescriptor.inMemory(StateEncoder.encode(state), name: "holdfast-state")
    }

    static func read(_ file: borrowing OwnedDescriptor) throws(Unreadable) -> SavedState {
        struct Beginning: Codable { var head: SavedHead }
        do {
            // An earlier reader may have moved the offset.
            lseek(file.raw, 0, SEEK_SET)
            let bytes = try file.readAll(limit: limit, subject: "state")
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
            let state = try read(try OwnedDescriptor.inherited(descriptor))
            let specifiers = SpecifierEnvironment(configuration, environment: environment)
            let problems = RestoredUnits(state.units, specifiers).problems
            return problems.isEmpty ? nil : problems.prefix(5).joined(separator: "; ")
        } catch {
            return "\(error)"
        }
    }
}
