/// A stored property that did not exist in an earlier version of Holdfast.
///
/// The state of `Engine` survives the re-exec and the crash of the supervisor, and the process that reads it may be a
/// newer version than the one that wrote it. So every type here is `Codable` (synthesised wherever possible), and a
/// stored property that is added later must be readable where it is missing:
///
///     @Added var pausedSockets: Set<String> = []    // absent: `Set()`
///     var watchdog: Duration?                       // absent: nil, without further ado
///
/// A new case of an enum needs nothing: old state never contains it. A property that is removed is ignored. A property
/// whose meaning changes gets a new name.
@propertyWrapper
public struct Added<Value: DefaultInitializable> {
    public var wrappedValue: Value
    public init(wrappedValue: Value) { self.wrappedValue = wrappedValue }
}

/// A type with a default value that means "as before this property existed".
public protocol DefaultInitializable {
    init()
}

extension Added: Sendable where Value: Sendable {}
extension Added: Equatable where Value: Equatable {}
extension Added: Hashable where Value: Hashable {}

extension Added: Codable where Value: Codable {
    public init(from decoder: any Decoder) throws { wrappedValue = try Value(from: decoder) }
    public func encode(to encoder: any Encoder) throws { try wrappedValue.encode(to: encoder) }
}

extension KeyedDecodingContainer {
    /// The overload that a synthesised `init(from:)` calls for a property with this wrapper, instead of the one that
    /// throws.
    public func decode<Value: DefaultInitializable & Decodable>(
        _ type: Added<Value>.Type, forKey key: Key
    ) throws -> Added<Value> where Value: Encodable {
        try decodeIfPresent(type, forKey: key) ?? Added(wrappedValue: Value())
    }
}

extension Bool: DefaultInitializable {}
extension Int: DefaultInitializable {}
extension Int32: DefaultInitializable {}
extension UInt64: DefaultInitializable {}
extension String: DefaultInitializable {}
extension Array: DefaultInitializable {}
extension Set: DefaultInitializable {}
extension Dictionary: DefaultInitializable {}
