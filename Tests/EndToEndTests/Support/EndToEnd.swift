// End to end: the real holdfastd with real programs, observed from outside. Each test checks one promise, which is its
// name.
//
// Each test lays out a `World` (units, releases, ports, directories of its own), starts a supervisor in it, keeps
// clients sending requests where the promise concerns requests, and observes processes through pidfds and /proc rather
// than through the supervisor. At the end of a world the supervisor must have exited with 0 and left no process,
// zombie, file or cgroup.
//
// All code blocks, in one thread, and waits for events; the time limits only keep a broken promise from hanging the
// run. `HOLDFAST_E2E_USER=nobody` (as root) runs every supervisor as that user, without writable cgroups.

import Foundation
import Testing

/// Serialized: each test runs a supervisor, a proxy or two, backends and clients, and the machine may have two cores.
@Suite(.serialized, .tellsTheLog) struct EndToEnd {}

/// The time limit for an event, in seconds. Not a measurement.
let patience = 30.0

/// An awaited event that did not occur in time.
struct WaitedInVain: Error, CustomStringConvertible {
    let what: String
    var description: String { "waited in vain for \(what)" }
}

/// Polls for a condition that sends no event: entries of /proc, files that a program writes.
func eventually(_ what: String, _ holds: () throws -> Bool) throws {
    let end = Date().addingTimeInterval(patience)
    while try !holds() {
        guard Date() < end else { throw WaitedInVain(what: what) }
        usleep(5000)
    }
}

extension Trait where Self == IssueHandlingTrait {
    /// Adds the supervisor's log so far to a failure.
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
/// The user that supervisors run as; nil is the user that runs the tests.
let otherUser = isRoot ? ProcessInfo.processInfo.environment["HOLDFAST_E2E_USER"] : nil
let supervisorIsRoot = isRoot && otherUser == nil
