import ControlProtocol
import Foundation
import Glibc

/// A scripted daemon: answers each call with the test's replies for the method, in a thread for each connection.
final class FakeDaemon: Sendable {
    /// The reaction to a call.
    enum Script: Sendable {
        case replies([Reply])
        /// Sends these replies, and then closes the stream.
        case hangUpAfter([Reply])
        /// Sends one of them for each call of a connection.
        case inTurn([Reply])
        /// Sends raw bytes.
        case garbage([UInt8])
    }

    let path: String
    private let directory: String
    private let listener: CInt
    private let script: [String: Script]
    /// The file of the received calls, one per line.
    private let journal: String

    init(_ script: [String: Script]) throws {
        directory = FileManager.default.temporaryDirectory.path + "/holdfastctl-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        path = directory + "/io.holdfast"
        journal = directory + "/calls"
        self.script = script
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        listener = descriptor
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(descriptor, 16) == 0 else { throw POSIXError(.EADDRINUSE) }
        Thread.detachNewThread { [self] in serve() }
    }

    /// The calls of holdfastctl, in order.
    var calls: [Call] {
        let text = (try? String(contentsOfFile: journal, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { try? Call(message: Array($0.utf8)) }
    }

    func stop() {
        shutdown(listener, CInt(SHUT_RDWR))
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func serve() {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { break }
            // A program started by another test would keep it open.
            _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
            // A stream stays open during other calls.
            Thread.detachNewThread { [self] in
                answer(connection)
                close(connection)
            }
        }
        close(listener)
    }

    private func answer(_ connection: CInt) {
        var framer = MessageFramer(limit: MessageLimit.request)
        var buffer = [UInt8](repeating: 0, count: 4096)
        var turn = 0
        while true {
            let count = recv(connection, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            framer.append(buffer[..<count])
            while let message = try? framer.next() {
                record(message)
                guard let call = try? Call(message: message) else { return }
                switch script[call.method] {
                case nil: post(Reply(ControlError.methodNotFound(method: call.method)).encoded(), connection)
                case .replies(let replies): for reply in replies { post(reply.encoded(), connection) }
                case .hangUpAfter(let replies):
                    for reply in replies { post(reply.encoded(), connection) }
                    return
                case .inTurn(let replies):
                    post(replies[min(turn, replies.count - 1)].encoded(), connection)
                    turn += 1
                case .garbage(let bytes): post(bytes, connection)
                }
            }
        }
    }

    private func post(_ bytes: [UInt8], _ connection: CInt) {
        _ = bytes.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
    }

    private func record(_ message: [UInt8]) {
        let descriptor = open(journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        _ = (message + [UInt8(ascii: "\n")]).withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }
}

/// One finished run of the real holdfastctl.
struct Run {
    var status: Int32
    var output: String
    var errors: String
}

/// The program built for this test run.
enum Program {
    static let path: String = {
        let runner = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(fileURLWithPath: runner).deletingLastPathComponent().path + "/holdfastctl"
    }()

    static func process(_ arguments: [String], environment: [String: String] = [:]) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        process.environment = ["PATH": "/usr/bin:/bin", "TZ": "UTC", "TERM": "xterm"].merging(environment) { $1 }
        return process
    }

    static func run(
        _ arguments: [String], environment: [String: String] = [:], interruptAfter marker: String? = nil
    ) throws -> Run {
        let process = process(arguments, environment: environment)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        var text = Data()
        while true {
            let chunk = output.fileHandleForReading.availableData
            if chunk.isEmpty { break }
            text += chunk
            // The expected text was printed: the program is certainly in its loop now.
            if let marker, String(decoding: text, as: UTF8.self).contains(marker) { process.interrupt() }
        }
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Run(
            status: process.terminationReason == .exit ? process.terminationStatus : -process.terminationStatus,
            output: String(decoding: text, as: UTF8.self), errors: String(decoding: complaint, as: UTF8.self))
    }
}
