/// The line of bodies, `V1V1V2V2…`, at a pace that a reader at a terminal can follow.
///
/// Pure: the caller passes the time. An answer is shown or dropped; dropped ones are missing from the line only, never
/// from the counts. A loss is never dropped: if it falls between two tokens, it is shown before the next one.
public struct Strip: Sendable {
    /// The token of a lost request.
    public static let lossToken: [UInt8] = Array("!".utf8)

    private let all: Bool
    /// The time that one token takes; microseconds.
    private let interval: Int64
    /// The time at which all tokens shown so far are used up; it may lie `burst` tokens ahead, so that a short run is
    /// shown completely.
    private var paidUntil: Int64 = 0
    private static let burst: Int64 = 40
    /// A loss that fell between two tokens and is shown with the next one.
    private var owedLoss = false
    private var output: [UInt8] = []

    /// The most bytes that wait for a slow terminal; the surplus is dropped.
    static let limit = 64 * 1024

    /// - Parameters:
    ///   - all: show every answer.
    ///   - tokensPerSecond: the most tokens a second otherwise.
    public init(all: Bool, tokensPerSecond: Int = 100) {
        self.all = all
        interval = 1_000_000 / Int64(max(1, tokensPerSecond))
    }

    /// Shows an answer with this body.
    ///
    /// - Parameter now: microseconds on a monotonic clock.
    public mutating func show(_ token: [UInt8], at now: Int64) {
        guard all || chargeWrite(now) else { return }
        if owedLoss { append(Self.lossToken) }
        owedLoss = false
        append(token)
    }

    /// Shows a lost request.
    public mutating func showLoss(at now: Int64) {
        guard all || chargeWrite(now) else {
            owedLoss = true
            return
        }
        owedLoss = false
        append(Self.lossToken)
    }

    /// Removes and returns at most `count` bytes to be written now.
    public mutating func take(_ count: Int) -> [UInt8] {
        let piece = Array(output.prefix(count))
        output.removeFirst(piece.count)
        return piece
    }

    public var hasOutput: Bool { !output.isEmpty }

    private mutating func chargeWrite(_ now: Int64) -> Bool {
        let from = max(paidUntil, now)
        guard from - now < Self.burst * interval else { return false }
        paidUntil = from + interval
        return true
    }

    private mutating func append(_ token: [UInt8]) {
        guard output.count + token.count <= Self.limit else { return }
        // A body is foreign text: its control characters must not reach a terminal.
        for byte in token { output.append(byte >= 32 && byte < 127 ? byte : UInt8(ascii: ".")) }
    }
}
