import CEpoll
import Glibc

/// Runs the probe: begins requests, waits, counts results, until it is stopped; then waits for those in flight.
public final class Loop {
    /// The pause of a client after a request that could not even connect, in microseconds. It limits the load on a dead
    /// server to a hundred attempts a second for each client.
    static let restAfterFailure: Int64 = 10_000
    /// The pause before the next attempt at a full Unix queue; microseconds.
    static let restForQueue: Int64 = 500
    /// The interval of the periodic work (deadlines, the strip, the windows); microseconds.
    static let tickLength: Int64 = 50_000

    let epoll: Int32
    let request: [UInt8]
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 * 1024, alignment: 16)

    private static let signalIndex = UInt32.max

    private let configuration: ProbeConfiguration
    private let signals: Int32
    private var dialer: Dialer
    private var clients: [Client] = []
    private var free: Ring
    private var resting: [(until: Int64, client: Int)] = []
    private var inFlight = 0
    private var begun = 0
    private var stopping = false
    private var abandoned = false
    private var startedAt: Int64 = 0
    private var stopAt: Int64 = .max
    private var nextTick: Int64 = 0
    private var tally = Tally()
    private var strip: Strip
    private var windows: Windows?

    /// - Throws: if the host cannot be resolved, the file for windows cannot be written, or no descriptors are left.
    public init(_ configuration: ProbeConfiguration) throws(ProbeError) {
        self.configuration = configuration
        request = configuration.target.request(keepAlive: configuration.keepAlive)
        dialer = Dialer(target: try configuration.target.endpoint.resolve())
        strip = Strip(all: configuration.stripAll)
        free = Ring(capacity: max(1, configuration.clients))
        Self.raiseDescriptorLimit()
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        signals = Self.watchSignals(epoll)
        guard epoll >= 0, signals >= 0 else { throw ProbeError("cannot watch signals: \(errorText(errno))") }
        if let path = configuration.windowsPath { windows = try Windows(path: path, now: microseconds()) }
        for index in 0..<max(1, configuration.clients) {
            clients.append(
                Client(index: UInt32(index), keepAlive: configuration.keepAlive, tokenLength: configuration.tokenLength)
            )
            free.append(index)
        }
    }

    deinit {
        close(epoll)
        close(signals)
        buffer.deallocate()
    }

    /// Runs until the end; SIGINT and SIGTERM stop it after the requests in flight, a second signal at once.
    ///
    /// - Returns: the counts, and the duration in seconds.
    public func run() -> (Tally, seconds: Double) {
        startedAt = microseconds()
        if let duration = configuration.duration { stopAt = startedAt + Int64(min(duration, 1e9) * 1e6) }
        nextTick = startedAt + Self.tickLength
        let capacity = 256
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: capacity)
        defer { events.deallocate() }
        while !abandoned {
            var now = microseconds()
            if now >= nextTick { tick(now) }
            beginRequests(now)
            if stopping, inFlight == 0 { break }
            var timeout = waitingTime(now)
            let count = epoll_pwait2(epoll, events, Int32(capacity), &timeout, nil)
            if count > 0 { now = microseconds() }
            for position in 0..<Int(max(0, count)) {
                let event = events[position]
                if event.data.u32 == Self.signalIndex {
                    takeSignal()
                } else {
                    let index = Int(event.data.u32)
                    if let ending = clients[index].ready(self, events: event.events) { recordEnd(index, ending, now) }
                }
            }
        }
        let end = microseconds()
        windows?.finish(end)
        writeStrip(isEnd: true)
        return (tally, Double(end - startedAt) / 1e6)
    }

    func dial() -> Dialer.Result {
        let result = dialer.connect()
        switch result {
        case .connected, .inProgress: tally.connections += 1
        case .queueFull, .failed: break
        }
        return result
    }

    // MARK: Requests

    private func beginRequests(_ now: Int64) {
        if now >= stopAt { stopping = true }
        resumeIdleClients(now)
        while !stopping, !free.isEmpty {
            if let limit = configuration.requests, begun >= limit {
                stopping = true
                return
            }
            let due = dueTime()
            guard due <= now else { return }
            guard let index = free.popFirst() else { return }
            begun += 1
            inFlight += 1
            // With a rate, latency counts from the time when the request was due: a stalled server must not be excused
            // from the requests that could not be sent meanwhile.
            let start = configuration.rate == nil ? microseconds() : due
            recordBegin(index, clients[index].beginRequest(self, at: start), now)
        }
    }

    /// The earliest time of the next request.
    private func dueTime() -> Int64 {
        guard let rate = configuration.rate else { return 0 }
        return startedAt + Int64(Double(begun) / rate * 1e6)
    }

    private func recordBegin(_ index: Int, _ ending: Client.Ending?, _ now: Int64) {
        if let ending {
            recordEnd(index, ending, now)
        } else if case .waitingForQueue = clients[index].state {
            resting.append((now + Self.restForQueue, index))
        }
    }

    private func resumeIdleClients(_ now: Int64) {
        guard !resting.isEmpty else { return }
        let rested = resting.filter { $0.until <= now }
        guard !rested.isEmpty else { return }
        resting.removeAll { $0.until <= now }
        for (_, index) in rested {
            switch clients[index].state {
            case .waitingForQueue: recordBegin(index, clients[index].continueRequest(self), now)
            case .idle, .sending, .receiving: free.append(index)
            }
        }
    }

    private func recordEnd(_ index: Int, _ ending: Client.Ending, _ now: Int64) {
        inFlight -= 1
        let client = clients[index]
        switch ending {
        case .answered:
            let latency = now - client.startedAt
            let status = client.parser.status
            let isOk = 200...399 ~= status
            tally.answered(status: status, body: client.parser.bodyStart, microseconds: latency)
            windows?.add(ok: isOk, latency: latency, at: now)
            if isOk { strip.show(client.parser.bodyStart, at: now) } else { strip.showLoss(at: now) }
            free.append(index)
        case .lost(let loss, let reason):
            tally.lost(loss, reason: reason)
            windows?.add(ok: false, latency: nil, at: now)
            strip.showLoss(at: now)
            resting.append((now + Self.restAfterFailure, index))
        case .local(let reason):
            tally.couldNotSend(reason)
            resting.append((now + Self.restAfterFailure, index))
        }
    }

    // MARK: Time

    private func waitingTime(_ now: Int64) -> timespec {
        var until = min(nextTick, stopping ? .max : stopAt)
        if !stopping, !free.isEmpty { until = min(until, dueTime()) }
        for rest in resting { until = min(until, rest.until) }
        let wait = max(0, until - now)
        return timespec(tv_sec: Int(wait / 1_000_000), tv_nsec: Int(wait % 1_000_000) * 1000)
    }

    private func tick(_ now: Int64) {
        nextTick = now + Self.tickLength
        let limit = now - Int64(min(configuration.timeout, 1e9) * 1e6)
        for index in clients.indices {
            switch clients[index].state {
            case .idle: continue
            case .waitingForQueue, .sending, .receiving:
                guard clients[index].startedAt < limit else { continue }
                resting.removeAll { $0.client == index }
                recordEnd(index, clients[index].abandonRequest(), now)
            }
        }
        windows?.closeWindows(now)
        writeStrip(isEnd: false)
    }

    /// Writes the strip without waiting for a slow terminal, which would show up as latency of the server.
    private func writeStrip(isEnd: Bool) {
        guard let descriptor = configuration.stripDescriptor else { return }
        while strip.hasOutput {
            var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
            guard poll(&waiting, 1, isEnd ? 1000 : 0) == 1, waiting.revents & Int16(POLLOUT) != 0 else { return }
            // A pipe that is ready takes at least PIPE_BUF bytes at once.
            let piece = strip.take(4096)
            guard piece.withUnsafeBytes({ write(descriptor, $0.baseAddress, $0.count) }) == piece.count else { return }
        }
    }

    // MARK: Process

    private func takeSignal() {
        var information = signalfd_siginfo()
        _ = read(signals, &information, MemoryLayout<signalfd_siginfo>.size)
        if stopping { abandoned = true }
        stopping = true
    }

    private static func watchSignals(_ epoll: Int32) -> Int32 {
        signal(SIGPIPE, SIG_IGN)
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let descriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
        var event = epoll_event(events: EPOLLIN.rawValue, data: epoll_data_t(u32: signalIndex))
        guard descriptor >= 0, epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { return -1 }
        return descriptor
    }

    private static func raiseDescriptorLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue)), &limit)
    }
}

/// Idle clients, longest idle first: with a rate all clients take turns, and no connection is idle for so long that its
/// server closes it.
struct Ring {
    private var slots: [Int]
    private var first = 0
    private var count = 0

    init(capacity: Int) {
        slots = Array(repeating: 0, count: capacity)
    }

    var isEmpty: Bool { count == 0 }

    /// Adds a client. There are as many slots as clients, and each client is here at most once.
    mutating func append(_ client: Int) {
        slots[(first + count) % slots.count] = client
        count += 1
    }

    mutating func popFirst() -> Int? {
        guard count > 0 else { return nil }
        defer {
            first = (first + 1) % slots.count
            count -= 1
        }
        return slots[first]
    }
}
