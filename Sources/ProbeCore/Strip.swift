/// The line of bodies, `V1V1V2V2…`, at a pace that a terminal and an eye can follow.
///
/// Pure: it is told the time. An answer is shown or dropped; dropped ones are only missing from the line, never from the
/// counts. A loss is never dropped: if it falls between two tokens, it goes before the next one.
public struct Strip: Sendable {
    /// What is shown for a lost request.
    public static let lossToken: [UInt8] = Array("!".utf8)

    private let all: Bool
    /// Microseconds that a token costs.
    private let interval: Int64
    /// When all tokens shown so far will have been paid for; it may lie `burst` tokens ahead, so that a short run is shown
    /// whole.
    private var paidUntil: Int64 = 0
    private static let burst: Int64 = 40
    /// A loss that fell between two tokens is shown with the next one.
    private var owedLoss = false
    private var output: [UInt8] = []

    /// The most that waits for a terminal that does not keep up, in bytes; what does not fit is dropped.
    static let limit = 64 * 1024

    /// - Parameters:
    ///   - all: show every answer.
    ///   - tokensPerSecond: otherwise at most this many.
    public init(all: Bool, tokensPerSecond: Int = 100) {
        self.all = all
        interval = 1_000_000 / Int64(max(1, tokensPerSecond))
    }

    /// An answer with this body came in.
    ///
    /// - Parameter now: microseconds on a clock that never goes back.
    public mutating func show(_ token: [UInt8], at now: Int64) {
        guard all || pay(now) else { return }
        if owedLoss { append(Self.lossToken) }
        owedLoss = false
        append(token)
    }

    /// A request was lost.
    public mutating func showLoss(at now: Int64) {
        guard all || pay(now) else {
            owedLoss = true
            return
        }
        owedLoss = false
        append(Self.lossToken)
    }

    /// At most `count` bytes that are to be written now; the caller has taken them.
    public mutating func take(_ count: Int) -> [UInt8] {
        let piece = Array(output.prefix(count))
        output.removeFirst(piece.count)
        return piece
    }

    public var hasOutput: Bool { !output.isEmpty }

    private mutating func pay(_ now: Int64) -> Bool {
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
