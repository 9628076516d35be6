/// A value that unit files write as one word, such as `control-group`.
///
/// Not a raw value, because an enum with raw values is coded by them, and the supervisor's journal has these enums coded
/// by the names of their cases.
public protocol Keyword: CaseIterable, Hashable, Sendable {
    /// The word in unit files.
    var keyword: String { get }
}

extension Keyword where Self: RawRepresentable<String> {
    public var keyword: String { rawValue }
}

extension Keyword {
    /// The value that a word of a unit file stands for; nil if there is none.
    public init?(keyword: String) {
        guard let value = Self.allCases.first(where: { $0.keyword == keyword }) else { return nil }
        self = value
    }
}
