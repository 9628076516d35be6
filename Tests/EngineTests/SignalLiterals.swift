import Vocabulary

/// Signals by number: plans and expectations of these tests have them beside each other.
extension Signal: ExpressibleByIntegerLiteral {
    public init(integerLiteral value: Int32) { self.init(rawValue: value) }
}
