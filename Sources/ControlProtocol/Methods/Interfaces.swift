// The interface text that `GetInterfaceDescription` serves. The text of `io.holdfast.Manager` is the file
// `io.holdfast.Manager.varlink` (beside this file through a link), compiled in: the packaged text, from which clients
// in other languages are generated without a running daemon, is the text that the daemon serves.

/// A Varlink interface: its name and its description in Varlink's interface definition language.
public struct Interface: Equatable, Sendable {
    public let name: String
    /// The answer to `GetInterfaceDescription`.
    public let text: String

    /// The interface that every Varlink service has (https://varlink.org/Service).
    public static let service = Interface(name: "org.varlink.service", text: serviceText)

    /// Holdfast's own interface.
    public static let manager = Interface(
        name: "io.holdfast.Manager",
        text: String(decoding: PackageResources.io_holdfast_Manager_varlink, as: UTF8.self))
}

/// The interfaces that holdfastd serves.
public enum Interfaces {
    /// All interfaces, in the order in which `GetInfo` lists them.
    public static let all: [Interface] = [.service, .manager]

    /// The description of the interface `name`.
    /// - Throws: ``ControlError/interfaceNotFound(interface:)`` for any other name.
    public static func description(of name: String) throws(ControlError) -> InterfaceDescription {
        guard let interface = all.first(where: { $0.name == name }) else { throw .interfaceNotFound(interface: name) }
        return InterfaceDescription(description: interface.text)
    }
}

extension Interface {
    private static let serviceText = """
        # What every Varlink service offers: who it is, and what it can do.
        interface org.varlink.service

        # Who the service is, and the interfaces that it has.
        method GetInfo() -> (
          vendor: string,
          product: string,
          version: string,
          url: string,
          interfaces: []string
        )

        # The definition of one interface, in this language.
        method GetInterfaceDescription(interface: string) -> (description: string)

        error InterfaceNotFound (interface: string)

        error MethodNotFound (method: string)

        # The method exists, but not in the form that was asked for.
        error MethodNotImplemented (method: string)

        # The parameter is missing, unknown or of the wrong type.
        error InvalidParameter (parameter: string)

        # The method streams, and the caller takes one reply only.
        error ExpectedMore ()

        """
}
