import ArgumentParser
import ControlProtocol
import Glibc
import Linux

/// `fg`, as in supervisorctl: shows the output of a service and sends typed text as its input.
struct ForegroundCommand: ControlCommand {
    static let configuration = CommandConfiguration(
        commandName: "fg", abstract: "Attach to a service: show its output, and send it typed lines.",
        discussion: """
            Ends at ^C, ^D or the end of the input; the service keeps running. Typing requires a service whose standard \
            input is a FIFO: StandardInput=fd:NAME and a socket unit with ListenFIFO= and FileDescriptorName=NAME. For any \
            other service, only the output is shown.

            Example: echo "save-all" | holdfastctl fg game
            """)
    @OptionGroup var global: GlobalOptions
    @OptionGroup var options: LogOptions
    @Argument(help: oneName, completion: .units) var name: String

    func execute(_ session: Session) throws(CommandFailure) -> CommandStatus {
        var target = name
        var words: [String] = []
        do throws(CommandFailure) {
            target = try session.quiet.ask(.input(name: name, text: ""), InputReply.self).unit
            if isatty(STDIN_FILENO) == 1, !session.json {
                words = ["\(target): typed lines are sent to it; ^C or ^D detaches"]
            }
        } catch {
            switch error {
            case .refused(.noInput(let unit, let reason)):
                target = unit
                words = [
                    "\(unit) takes no input: \(reason)",
                    "showing its output only; to send it input, see fg in holdfastctl(1): StandardInput=fd:NAME",
                ]
            case .refused(.permissionDenied(let required)):
                words = ["showing its output only: sending input requires \(required)"]
            case .refused, .connection, .failed, .unexpected, .interrupted, .local, .uncertain: throw error
            }
        }
        var view = try view(of: target, session)
        var input = InputForwarding(name: name, session: session.quiet)
        return try reading { () throws(SystemError) in
            let status = try view.follow(
                0, onStart: { for word in words { printError(Text.harmless(word)) } },
                waitingFor: { input.awaited }, { input.forward(readable: $0) })
            // ^C is the normal end here, and no operation was in progress.
            return status == .interrupted ? .ok : status
        }
    }

    private func view(of unit: String, _ session: Session) throws(CommandFailure) -> LogView {
        let directory = options.directory(session, global)
        let status = try session.quiet.askStatus([]).units
        let files = try reading { () throws(SystemError) in try directory.units() }
        var selection = try LogSelection([name], status: status, files: files)
        if unit != name { selection.restrict(to: unit) }
        return LogView(
            directory: directory, selection: selection, filter: LogFilter(),
            text: LogText(session.json ? .json : .cat, session.output, showsUnit: false))
    }
}

/// Standard input to be sent to a service.
private struct InputForwarding {
    let name: String
    let session: Session
    private var pieces = InputPieces()
    private var isAtEnd = false
    private var status = CommandStatus.ok
    /// The reason for which sending waits; printed once.
    private var reasonForWaiting: String?
    /// The retry interval in seconds. No event reports that a service reads its input again.
    private static let retryInterval = 0.2
    private var retry = 0.0
    private let isTerminal = isatty(STDIN_FILENO) == 1

    init(name: String, session: Session) {
        self.name = name
        self.session = session
    }

    /// The descriptor and timeout to wait for: more input, or a pause if input cannot be sent now.
    var awaited: (descriptor: CInt, timeout: CInt) {
        guard reasonForWaiting != nil else { return (STDIN_FILENO, -1) }
        return (-1, CInt(max(0, ((retry - Clock.now()) * 1000).rounded(.up))))
    }

    /// Sends the input read so far. Returns the exit status at the end of the input.
    mutating func forward(readable: Bool) -> CommandStatus? {
        if readable { read() }
        do throws(InputPieces.NotText) {
            while let piece = try pieces.first(isAtEnd: isAtEnd) {
                guard send(piece) else { return nil }
                pieces.removeFirst(piece.utf8.count)
                if !isTerminal, status != .ok { return status }
            }
        } catch {
            printError("the input is not UTF-8")
            return .failure
        }
        return isAtEnd ? status : nil
    }

    private mutating func read() {
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        var count = -1
        repeat { count = Glibc.read(STDIN_FILENO, &buffer, buffer.count) } while count < 0 && errno == EINTR
        if count > 0 { pieces.append(buffer[..<count]) } else { isAtEnd = true }
    }

    /// Sends one piece. False: it must be sent again later.
    private mutating func send(_ piece: String) -> Bool {
        do throws(CommandFailure) {
            let reply = try session.ask(.input(name: name, text: piece), InputReply.self)
            guard reply.accepted else { return startWaiting("\(reply.unit) does not read its input; waiting") }
        } catch {
            switch error {
            case .connection(let reason): return startWaiting("\(reason.message); waiting")
            // The piece was not passed on.
            case .uncertain(let uncertainty) where uncertainty.exitStatus == .notBegun:
                return startWaiting("the supervisor ended; waiting")
            case .interrupted: return startWaiting("interrupted")
            case .refused(.shuttingDown): return startWaiting("the supervisor is shutting down; waiting")
            // The piece may have been passed on, and a second attempt would duplicate it.
            case .refused, .failed, .unexpected, .local, .uncertain:
                let said = session.report(error) { _ in .failure }
                if status == .ok { status = said }
            }
        }
        reasonForWaiting = nil
        return true
    }

    private mutating func startWaiting(_ reason: String) -> Bool {
        if reasonForWaiting == nil { printError(Text.harmless(reason)) }
        reasonForWaiting = reason
        retry = Clock.now() + Self.retryInterval
        return false
    }
}

/// Bytes from a terminal or pipe, cut into texts that are sent whole: at line ends, or at least between characters.
struct InputPieces {
    struct NotText: Error {}

    private var bytes: ArraySlice<UInt8> = []

    mutating func append(_ more: ArraySlice<UInt8>) { bytes += more }

    mutating func removeFirst(_ count: Int) { bytes = ArraySlice(bytes.dropFirst(count)) }

    /// The first piece; nil if there is none, or only the beginning of a character.
    func first(isAtEnd: Bool) throws(NotText) -> String? {
        var piece = bytes.prefix(Request.inputLimit)
        if bytes.count > piece.count, let end = piece.lastIndex(of: UInt8(ascii: "\n")) { piece = piece[...end] }
        let whole = isAtEnd && piece.count == bytes.count ? piece : piece.dropLast(Self.unfinished(piece))
        guard !whole.isEmpty else { return nil }
        guard let text = String(validating: whole, as: UTF8.self) else { throw NotText() }
        return text
    }

    /// The number of bytes at the end that begin an incomplete character.
    private static func unfinished(_ bytes: ArraySlice<UInt8>) -> Int {
        for (index, byte) in bytes.suffix(3).reversed().enumerated() where byte >= 0xC0 {
            let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2
            return index + 1 < length ? index + 1 : 0
        }
        return 0
    }
}
