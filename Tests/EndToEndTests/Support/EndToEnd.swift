// End to end: the real holdfastd with real programs, seen from outside. One test is one promise, and its name says it.
//
// Each test lays out a `World` (units, releases, ports, directories of its own), starts a supervisor in it, lets clients ask
// all the time where a promise is about requests, and watches processes through pidfds and /proc rather than asking the
// supervisor. When a world ends, the supervisor must have ended with 0 and left no process, zombie, file or cgroup behind.
//
// Everything blocks, in one thread, and waits for events; the limits on waiting only keep a broken promise from hanging
// the run. `HOLDFAST_E2E_USER=nobody` (as root) runs every supervisor as that user, without writable cgroups.

import Foundation
import Testing

/// One after another: each runs a supervisor, a proxy or two, backends and clients, and the machine may have two cores.
@Suite(.serialized, .tellsTheLog) struct EndToEnd {}

/// How long a test waits for an event before it says that the promise is broken. Not a measurement.
let patience = 30.0

/// What a test waited for did not come.
struct WaitedInVain: Error, CustomStringConvertible {
    let what: String
    var description: String { "waited in vain for \(what)" }
}

/// Polls for what sends no event: entries of /proc, files that a program writes.
func eventually(_ what: String, _ holds: () throws -> Bool) throws {
    let end = Date().addingTimeInterval(patience)
    while try !holds() {
        guard Date() < end else { throw WaitedInVain(what: what) }
        usleep(5000)
    }
}

extension Trait where Self == IssueHandlingTrait {
    /// With a failure, what the supervisor has logged so far.
    static var tellsTheLog: Self {
        .compactMapIssues { issue in
            guard let log = World.takeLog() else { return issue }
            var issue = issue
            issue.comments.append("the supervisor's log:\n\(log)")
            return issue
        }
    }
}

let isRoot = geteuid() == 0
/// The user that supervisors run as; nil is whoever runs the tests.
let otherUser = isRoot ? ProcessInfo.processInfo.environment["HOLDFAST_E2E_USER"] : nil
let supervisorIsRoot = isRoot && otherUser == nil
