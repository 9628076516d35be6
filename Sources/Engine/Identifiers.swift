/// Identifies a swap unit (`site@.target`, `app.service`) or a plain service by itself. A template is identified by its
/// own name, so its releases are generations of one group.
public struct GroupID: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    public let name: String
    public init(_ name: String) { self.name = name }
    public var description: String { name }
    public static func < (left: GroupID, right: GroupID) -> Bool { left.name < right.name }
}

/// Identifies one generation of one group.
public struct GenerationID: Hashable, Sendable, Codable, CustomStringConvertible {
    public let group: GroupID
    /// 1, 2, … per group; never used twice.
    public let number: Int
    public init(group: GroupID, number: Int) {
        self.group = group
        self.number = number
    }
    public var description: String { "\(group) generation \(number)" }
}

/// Identifies one service of one generation, through all its restarts. Never used twice.
public struct InstanceID: Hashable, Comparable, Sendable, Codable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
    public static func < (left: InstanceID, right: InstanceID) -> Bool { left.number < right.number }
}

/// Identifies one process, one probe or one watch of a process tree. Never used twice, so an event that arrives late
/// matches nothing (I6), however often the kernel reuses a pid.
public struct Token: Hashable, Sendable, Codable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
}

/// Identifies one request of an operator, chosen by the supervisor.
public struct RequestID: Hashable, Sendable, Codable {
    public let number: UInt64
    public init(number: UInt64) { self.number = number }
}
