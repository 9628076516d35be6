import CSpawn
import Glibc
import SystemPackage

/// The result of a probe.
public enum ProbeResult: Equatable, Sendable, CustomStringConvertible {
    /// The service answers; the text is for people: `200 OK`, `connected`.
    case passed(String)
    /// No answer, or a bad one: `503 Service Unavailable: starting`, `connect 127.0.0.1:80: Connection refused`.
    case failed(String)

    public var isPassed: Bool {
        switch self {
        case .passed: true
        case .failed: false
        }
    }

    public var description: String {
        switch self {
        case .passed(let text), .failed(let text): text
        }
    }
}

/// One probe of a service: opens a connection, may send a request, reads the answer. Calls back once, always from the
/// loop, never after `cancel()`; the deadline ends it at any stage.
public final class Probe {
    private enum Stage {
        case connecting
        case sending(offset: Int)
        case reading
        case done
    }

    private let address: SocketAddress
    /// The network of the address; nil: our own.
    private let network: NetworkNamespace?
    private let request: [UInt8]
    private let judge: ([UInt8]) -> ProbeResult?
    private let judgeAtEnd: ([UInt8]) -> ProbeResult
    private let timeoutText: String
    private var handler: ((ProbeResult) -> Void)?
    private var stage = Stage.connecting
    private var socket: OwnedDescriptor?
    private var source: IOSource?
    private var timer: TimerSource?
    private var deferred: DeferredSource?
    private var answer: [UInt8] = []

    /// The most bytes of an answer that are read.
    public static let maximumAnswer = 16 << 10

    /// Passes when the kernel accepts a connection. A held socket always accepts, so this is evidence only for an
    /// address that the service bound itself.
    public static func tcp(
        _ address: SocketAddress, in network: NetworkNamespace? = nil, timeout nanoseconds: Int64, loop: EventLoop,
        _ handler: @escaping (ProbeResult) -> Void
    ) -> Probe {
        let probe = Probe(
            address, network, request: [], judge: { _ in .passed("connected") }, atEnd: { _ in .passed("connected") },
            nanoseconds,
            handler)
        probe.start(loop, nanoseconds)
        return probe
    }

    /// Passes on a status of 200 to 399. `path` begins with `/`; `host` is the Host header.
    public static func http(
        _ address: SocketAddress, in network: NetworkNamespace? = nil, path: String, host: String = "localhost",
        timeout nanoseconds: Int64, loop: EventLoop,
        _ handler: @escaping (ProbeResult) -> Void
    ) -> Probe {
        // The author of a unit file must not be able to add a second header.
        let clean = { (text: String) in String(text.unicodeScalars.filter { $0.value > 0x20 && $0.value != 0x7f }) }
        let request =
            "GET \(clean(path)) HTTP/1.1\r\nHost: \(clean(host))\r\nUser-Agent: holdfast\r\nAccept: */*\r\n"
            + "Connection: close\r\n\r\n"
        let probe = Probe(
            address, network, request: Array(request.utf8), judge: HTTPAnswer.judgeEarly, atEnd: HTTPAnswer.judge,
            nanoseconds,
            handler)
        probe.start(loop, nanoseconds)
        return probe
    }

    private init(
        _ address: SocketAddress, _ network: NetworkNamespace?, request: [UInt8],
        judge: @escaping ([UInt8]) -> ProbeResult?,
        atEnd: @escaping ([UInt8]) -> ProbeResult, _ timeout: Int64, _ handler: @escaping (ProbeResult) -> Void
    ) {
        self.address = address
        self.network = network
        self.request = request
        self.judge = judge
        judgeAtEnd = atEnd
        self.handler = handler
        let milliseconds = timeout / 1_000_000
        timeoutText = milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    /// Ends the probe without a result.
    public func cancel() {
        stage = .done
        handler = nil
        source?.cancel()
        source = nil
        timer?.cancel()
        timer = nil
        deferred?.cancel()
        deferred = nil
        socket = nil
    }

    private func start(_ loop: EventLoop, _ timeout: Int64) {
        do throws(SystemError) {
            timer = try loop.addTimer { [unowned self] in
                finish(.failed("no answer from \(address) within \(timeoutText)"))
            }
            timer?.arm(after: timeout)
            try connect(loop)
        } catch {
            let text = error.description
            // A failure at once is also reported through the loop: the caller has its probe before the call.
            deferred = try? loop.addDeferred(priority: .probes) { [unowned self] in finish(.failed(text)) }
            // The caller must get an answer.
            if deferred == nil { timer = loop.addRetry { [unowned self] in finish(.failed(text)) } }
        }
    }

    private func connect(_ loop: EventLoop) throws(SystemError) {
        let opened = try OwnedDescriptor.socket(
            address.family, SocketType.stream | SocketType.nonBlocking, in: network)
        let raw = opened.raw
        let result = try address.withSockaddr { Glibc.connect(raw, $0, $1) }
        // EAGAIN is a Unix socket with a full queue: no process accepts.
        if result < 0 && errno != EINPROGRESS { throw SystemError("connect", "\(address)") }
        socket = consume opened
        source = try loop.addIO(raw, .writable, priority: .probes) { [unowned self] _ in advance(raw) }
    }

    private func advance(_ raw: Int32) {
        switch stage {
        case .connecting:
            var cause: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(raw, SOL_SOCKET, SO_ERROR, &cause, &length)
            guard cause == 0 else {
                finish(.failed("\(SystemError("connect", "\(address)", Errno(rawValue: cause)))"))
                return
            }
            if request.isEmpty {
                finish(judgeAtEnd([]))
            } else {
                stage = .sending(offset: 0)
                send(raw, 0)
            }
        case .sending(let offset): send(raw, offset)
        case .reading: receive(raw)
        case .done: break
        }
    }

    private func send(_ raw: Int32, _ offset: Int) {
        let count = request.withUnsafeBytes { bytes in
            Glibc.send(raw, bytes.baseAddress.map { $0 + offset }, bytes.count - offset, Int32(MSG_NOSIGNAL))
        }
        if count < 0 {
            if errno == EAGAIN || errno == EINTR { return }
            finish(.failed("\(SystemError("send to", "\(address)"))"))
            return
        }
        guard offset + count == request.count else {
            stage = .sending(offset: offset + count)
            return
        }
        stage = .reading
        try? source?.setEvents(.readable)
    }

    private func receive(_ raw: Int32) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = buffer.withUnsafeMutableBytes { ReceivedBytes.receive(raw, into: $0) }
        if count < 0 {
            if count == -Int(EAGAIN) || count == -Int(EINTR) { return }
            finish(.failed("\(SystemError("receive from", "\(address)", Errno(rawValue: Int32(-count))))"))
            return
        }
        answer += buffer[..<count]
        if count == 0 || answer.count >= Self.maximumAnswer {
            finish(judgeAtEnd(answer))
        } else if let result = judge(answer) {
            finish(result)
        }
    }

    private func finish(_ result: ProbeResult) {
        let handler = handler
        withExtendedLifetime(self) {
            cancel()
            handler?(result)
        }
    }
}

/// The part of HTTP/1 (RFC 9112) that a health check needs.
enum HTTPAnswer {
    /// Passes as soon as the status line does; a failure waits for the body, whose first line is the reason.
    static func judgeEarly(_ bytes: [UInt8]) -> ProbeResult? {
        guard bytes.contains(UInt8(ascii: "\n")) else { return bytes.count > 4096 ? judge(bytes) : nil }
        switch judge(bytes) {
        case .passed(let text): return .passed(text)
        case .failed: return isComplete(bytes) ? judge(bytes) : nil
        }
    }

    static func judge(_ bytes: [UInt8]) -> ProbeResult {
        guard !bytes.isEmpty else { return .failed("connection closed without an answer") }
        let (head, body) = split(bytes)
        let line = head.split(separator: "\r\n", maxSplits: 1, omittingEmptySubsequences: false).first ?? ""
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), parts[1].utf8.count == 3, let status = Int(parts[1])
        else {
            return .failed("not an HTTP answer: \(printable(line.prefix(80)))")
        }
        let text = parts.count > 2 ? "\(status) \(printable(parts[2].prefix(80)))" : "\(status)"
        if (200..<400).contains(status) { return .passed(text) }
        let reason =
            body.split(whereSeparator: { $0 == "\n" || $0 == "\r\n" }).first.map { printable($0.prefix(200)) } ?? ""
        return .failed(reason.isEmpty ? text : "\(text): \(reason)")
    }

    private static func isComplete(_ bytes: [UInt8]) -> Bool {
        let (head, body) = split(bytes)
        for line in head.split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2, parts[0].lowercased() == "content-length",
                let length = Int(parts[1].drop { $0 == " " })
            {
                return body.utf8.count >= length
            }
        }
        return false
    }

    private static func split(_ bytes: [UInt8]) -> (head: Substring, body: Substring) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.firstRange(of: "\r\n\r\n") else { return (text[...], "") }
        return (text[..<end.lowerBound], text[end.upperBound...])
    }

    private static func printable(_ text: Substring) -> String {
        String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? "\u{FFFD}" : Character($0) })
    }
}
