import Engine
import UnitFiles

/// Wording for the conditions that services wait for: the same in `status`, in progress, in failures and in `why`.
extension Wording {
    /// Noun phrase after "waits for".
    static func awaited(_ awaited: Awaited, of unit: ServiceUnit?) -> String {
        switch awaited {
        case .units(let names): names.isEmpty ? "units that it is ordered after" : names.joined(separator: ", ")
        case .conditions: "its conditions to be checked"
        case .command(let command): "\(line(command, unit)) to end"
        case .execution: "its program to be executed"
        case .readyMessage(let refused): "READY=1" + (refused.map { " (\($0) sent it, which \(access(unit)))" } ?? "")
        case .mainProcess(let note): note.map(finding) ?? "its main process to be known"
        case .probe(let answer): answer.map { "its probe: \($0)" } ?? "its probe to answer"
        case .reloadingMessage: "RELOADING=1, the answer to ReloadSignal="
        case .reloadedMessage: "READY=1 after RELOADING=1"
        case .mainExit: "its main process to end"
        case .lastProcess: "its processes to end"
        case .announcedEnd: "its end, which it announced by STOPPING=1"
        }
    }

    /// Sentence on the missing condition after "timed out after 30 s".
    static func missing(_ awaited: Awaited, of unit: ServiceUnit?) -> String? {
        switch awaited {
        case .units(let names): names.isEmpty ? nil : "\(names.joined(separator: ", ")) was not ready"
        case .conditions, .execution, .mainExit, .lastProcess, .announcedEnd: nil
        case .command(let command): "\(line(command, unit)) has not ended"
        case .readyMessage(let refused):
            refused.map { "READY=1 came only from \($0), which \(access(unit))" } ?? "it has not sent READY=1"
        case .mainProcess(let note): note.map(finding) ?? "its main process is not known"
        case .probe(let answer): answer == nil ? "its probe has not answered" : nil
        case .reloadingMessage: "it has not sent RELOADING=1 after ReloadSignal="
        case .reloadedMessage: "it has not sent READY=1 after RELOADING=1"
        }
    }

    private static func finding(_ note: SearchNote) -> String { "PIDFile=\(note.pidFile): \(note.finding)" }

    private static func access(_ unit: ServiceUnit?) -> String {
        "NotifyAccess=\(unit?.notifyAccess.keyword ?? "") does not permit"
    }

    /// `ExecStartPre=/usr/bin/sleep`
    static func line(_ command: ServiceCommand, _ unit: ServiceUnit?) -> String {
        let directive =
            switch command {
            case .condition: "ExecCondition="
            case .startPre: "ExecStartPre="
            case .start: "ExecStart="
            case .startPost: "ExecStartPost="
            case .reload: "ExecReload="
            case .stop: "ExecStop="
            case .stopPost: "ExecStopPost="
            }
        return directive + (unit.flatMap { Launcher.command(command, of: $0)?.path } ?? "")
    }
}
