import Glibc

/// Microseconds on a clock.
func microseconds(_ clock: clockid_t = CLOCK_MONOTONIC) -> Int64 {
    var time = timespec()
    clock_gettime(clock, &time)
    return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
}

/// The text of an errno.
func errorText(_ code: Int32) -> String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(code, &buffer, buffer.count) == 0 else { return "error \(code)" }
    return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
}

/// An address in the form of the system calls.
struct Address {
    let family: Int32
    private let storage: sockaddr_storage
    private let length: socklen_t

    init(_ pointer: UnsafeRawPointer, length: Int, family: Int32) {
        var storage = sockaddr_storage()
        let length = min(length, MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: pointer, count: length))
        }
        self.storage = storage
        self.length = socklen_t(length)
        self.family = family
    }

    func with<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// Whether the address is in 127.0.0.0/8.
    var isLoopback4: Bool {
        guard family == AF_INET else { return false }
        return withUnsafeBytes(of: storage) { $0.load(as: sockaddr_in.self) }.sin_addr.s_addr & 0xff == 127
    }
}

extension Target.Endpoint {
    /// The address to connect to: the first IPv4 address, else the first one.
    ///
    /// IPv4 is first, because servers in tests listen on 127.0.0.1, and `localhost` often resolves to `::1` before it.
    func resolve() throws(ProbeError) -> Address {
        switch self {
        case .unix(let path):
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            let bytes = Array(path.utf8) + [0]
            guard bytes.count <= MemoryLayout.size(ofValue: address.sun_path) else {
                throw ProbeError("cannot connect to \(path): the path is too long for a socket")
            }
            withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
            let length = MemoryLayout<sa_family_t>.size + bytes.count
            return withUnsafePointer(to: &address) { Address($0, length: length, family: AF_UNIX) }
        case .tcp(let host, let port):
            var hints = addrinfo()
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            var list: UnsafeMutablePointer<addrinfo>?
            let result = getaddrinfo(host, String(port), &hints, &list)
            guard result == 0 else {
                throw ProbeError("cannot resolve \(host): \(String(cString: gai_strerror(result)))")
            }
            defer { freeaddrinfo(list) }
            var found: Address?
            var next = list
            while let entry = next?.pointee {
                next = entry.ai_next
                guard let pointer = entry.ai_addr else { continue }
                let address = Address(pointer, length: Int(entry.ai_addrlen), family: entry.ai_family)
                if found == nil || (found?.family != AF_INET && address.family == AF_INET) { found = address }
            }
            guard let found else { throw ProbeError("cannot resolve \(host): no address") }
            return found
        }
    }
}

/// Opens connections; on loopback from changing source addresses.
///
/// A connection that this side closes first keeps its port for a minute (TIME_WAIT). At 10,000 connections per second
/// the 28,000 ports of one address are used up in three seconds; SO_LINGER would free them by resets, which the server
/// would see. All of 127.0.0.0/8 is this machine, so the ports of some hundred addresses can be used.
struct Dialer {
    private let target: Address
    private var counter: UInt32 = 0

    init(target: Address) {
        self.target = target
    }

    enum Result {
        case connected(Int32)
        case inProgress(Int32)
        /// The queue of the Unix socket is full; the call must be repeated later.
        case queueFull
        case failed(Int32)
    }

    mutating func connect() -> Result {
        let descriptor = socket(
            target.family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        guard descriptor >= 0 else { return .failed(errno) }
        if target.isLoopback4 { bindSource(descriptor) }
        let result = target.with { Glibc.connect(descriptor, $0, $1) }
        if result == 0 { return .connected(descriptor) }
        let code = errno
        if code == EINPROGRESS { return .inProgress(descriptor) }
        close(descriptor)
        return code == EAGAIN && target.family == AF_UNIX ? .queueFull : .failed(code)
    }

    /// Binds to 127.0.0.1 … 127.0.0.250 in turn; after a failure the kernel chooses, as without a bind.
    private mutating func bindSource(_ descriptor: Int32) {
        var on: Int32 = 1
        // The port is chosen at connect(), where only the pair of addresses must be unique.
        setsockopt(descriptor, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, &on, socklen_t(MemoryLayout<Int32>.size))
        var source = sockaddr_in()
        source.sin_family = sa_family_t(AF_INET)
        source.sin_addr.s_addr = (0x7f00_0001 + counter).bigEndian
        counter = (counter + 1) % 250
        _ = withUnsafePointer(to: source) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

/// The meaning of an errno for a request.
enum Verdict {
    case lost(Loss)
    /// A shortage on this machine.
    case local

    init(_ code: Int32) {
        switch code {
        case ECONNREFUSED: self = .lost(.refused)
        case ECONNRESET, EPIPE, ECONNABORTED: self = .lost(.reset)
        case ETIMEDOUT: self = .lost(.timedOut)
        case EADDRNOTAVAIL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EAGAIN: self = .local
        default: self = .lost(.other)
        }
    }
}
