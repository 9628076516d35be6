import Glibc
import Linux

/// How often in a row a supervisor process has begun to go on from the journal and has not come through.
///
/// What a journal says may bring down whoever reads it: a fault of ours in reading, in taking over, in what follows first. A
/// process that is started again and again by systemd would then die for ever, and with it whatever could be done about it. So
/// before the journal is opened it is noted that it will be, and the note is removed once everything that followed from it is
/// done; when too many have come to nothing, the journal is put aside.
///
/// The note is the name of an empty file, which needs no room on a full file system.
struct JournalAttempts {
    /// An operator's own kill -9, or the kernel's for want of memory, may come at a bad moment too, and more than once.
    static let limit = 3

    private let path: String

    init(journal: String) { path = journal + ".attempt-" }

    /// Notes one more.
    /// - Returns: how many have failed before.
    func begin() -> Int {
        let failed = (1...Self.limit).last { access(path + "\($0)", F_OK) == 0 } ?? 0
        let next = min(failed + 1, Self.limit)
        if failed == 0 {
            // Without it nothing is counted, which is how it would be without this.
            _ = try? OwnedDescriptor.open(path + "1", O_WRONLY | O_CREAT | O_NOFOLLOW, mode: 0o600)
        } else if next != failed {
            rename(path + "\(failed)", path + "\(next)")
        }
        return failed
    }

    /// It has come through.
    func succeed() {
        for number in 1...Self.limit { unlink(path + "\(number)") }
    }
}
