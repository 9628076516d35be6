import Foundation
import Linux
import Testing
import UnitFiles
import UnitStore

/// `Condition…=` and `Assert…=` as they are on this host, each kind by a parameter that holds and one that does not.
@Suite("Conditions on this host")
struct ConditionTests {
    struct Row: CustomTestStringConvertible, Sendable {
        let kind: Condition.Kind
        let holds: String
        let fails: String
        /// systemd is told the same of this host; false where it depends on what each is told by its own environment.
        var isComparable = true
        var testDescription: String { kind.rawValue }
    }

    /// A directory with a file with text that may be executed, an empty one, a link that leads nowhere, an empty directory.
    static let files: String = {
        let root = FileManager.default.temporaryDirectory.appending(path: "holdfast-conditions-\(getpid())").path
        try? FileManager.default.removeItem(atPath: root)
        try? FileManager.default.createDirectory(atPath: root + "/empty", withIntermediateDirectories: true)
        for (name, text) in [("program", "#!/bin/sh\n"), ("blank", ""), ("told", ""), (".updated", "")] {
            try? text.write(toFile: root + "/" + name, atomically: false, encoding: .utf8)
        }
        chmod(root + "/program", 0o755)
        try? FileManager.default.createSymbolicLink(atPath: root + "/link", withDestinationPath: "nowhere")
        atexit { try? FileManager.default.removeItem(atPath: ConditionTests.files) }
        return root
    }()

    static let rows: [Row] = {
        let files = Self.files
        let cpus = HostFacts.cpus
        let release = HostFacts.kernelRelease
        let osID = (HostFacts.text("/etc/os-release") ?? "").split(separator: "\n").first { $0.hasPrefix("ID=") }
        let isV2 = HostFacts.exists("/sys/fs/cgroup/cgroup.controllers")
        let user = (try? Accounts.user("\(geteuid())"))?.name ?? "root"
        return [
            Row(kind: .pathExists, holds: files + "/blank", fails: files + "/none"),
            Row(kind: .pathExistsGlob, holds: files + "/pro*m", fails: files + "/pro*n"),
            Row(kind: .pathIsDirectory, holds: files, fails: files + "/blank"),
            Row(kind: .pathIsSymbolicLink, holds: files + "/link", fails: files + "/blank"),
            Row(kind: .pathIsMountPoint, holds: "/proc", fails: files),
            Row(kind: .pathIsReadWrite, holds: files, fails: files + "/none"),
            Row(kind: .directoryNotEmpty, holds: files, fails: files + "/empty"),
            Row(kind: .fileNotEmpty, holds: files + "/program", fails: files + "/blank"),
            Row(kind: .fileIsExecutable, holds: files + "/program", fails: files + "/blank"),
            Row(kind: .user, holds: user, fails: "daemon"),
            Row(kind: .user, holds: "\(geteuid())", fails: "4294967294"),
            Row(kind: .group, holds: "\(getegid())", fails: "daemon"),
            Row(kind: .host, holds: HostFacts.hostName, fails: "no-such-host-?"),
            Row(kind: .host, holds: "*", fails: "0123456789abcdef0123456789abcdef"),
            Row(kind: .environment, holds: "HOLDFAST_TOLD=yes", fails: "HOLDFAST_TOLD=no", isComparable: false),
            Row(kind: .environment, holds: "HOLDFAST_TOLD", fails: "HOLDFAST_UNTOLD", isComparable: false),
            Row(kind: .kernelCommandLine, holds: kernelWord, fails: "holdfast.no.such.word", isComparable: false),
            Row(kind: .kernelVersion, holds: ">=3", fails: "<3"),
            Row(kind: .kernelVersion, holds: "\(release.prefix(1))*", fails: "0.*"),
            Row(kind: .kernelVersion, holds: ">= 3 <999", fails: ">=3 <4"),
            Row(kind: .kernelVersion, holds: "=\(release)", fails: "!=\(release)", isComparable: false),
            Row(kind: .architecture, holds: HostFacts.architecture, fails: "s390"),
            Row(kind: .architecture, holds: "native", fails: "vax"),
            Row(
                kind: .virtualization, holds: HostFacts.virtualization == nil ? "no" : "yes",
                fails: HostFacts.virtualization == nil ? "yes" : "no"),
            Row(
                kind: .virtualization, holds: HostFacts.virtualization?.name ?? "false",
                fails: HostFacts.virtualization?.isContainer == true ? "vm" : "container"),
            Row(kind: .security, holds: HostFacts.hasSecurity("audit") ? "audit" : "", fails: "no-such-security"),
            Row(kind: .capability, holds: "CAP_CHOWN", fails: "CAP_NO_SUCH"),
            Row(kind: .acPower, holds: HostFacts.isOnACPower ? "yes" : "no", fails: HostFacts.isOnACPower ? "0" : "1"),
            Row(kind: .memory, holds: ">1M", fails: ">1000T"),
            Row(kind: .memory, holds: "1", fails: "<=1K"),
            Row(kind: .cpus, holds: "=\(cpus)", fails: ">\(cpus)"),
            Row(kind: .cpus, holds: "\(cpus)", fails: "!=\(cpus)"),
            Row(kind: .cpuFeature, holds: cpuFeature, fails: "3dnow"),
            Row(kind: .osRelease, holds: osID.map(String.init) ?? "ID=", fails: "ID=no-such-system"),
            Row(kind: .osRelease, holds: "NO_SUCH_FIELD!=x", fails: "NO_SUCH_FIELD=x"),
            Row(kind: .osRelease, holds: "VERSION_ID>=0 VERSION_ID<999", fails: "VERSION_ID>=0 VERSION_ID>999"),
            Row(kind: .osRelease, holds: "ID$=*", fails: "ID!$=*"),
            Row(kind: .controlGroupController, holds: isV2 ? "v2" : "v1", fails: isV2 ? "v1" : "v2"),
            Row(kind: .controlGroupController, holds: "unknown-to-systemd", fails: "memory io blkio cpu pids"),
            Row(kind: .firstBoot, holds: "no", fails: "yes"),
            Row(kind: .needsUpdate, holds: files + "/empty", fails: files),
            Row(kind: .pathIsEncrypted, holds: "", fails: "/proc"),
            Row(kind: .credential, holds: "told", fails: "untold", isComparable: false),
            Row(kind: .memoryPressure, holds: "100%", fails: "", isComparable: false),
            Row(kind: .cpuPressure, holds: "100%/10sec", fails: ""),
            Row(kind: .ioPressure, holds: "100.0%/1min", fails: ""),
        ]
    }()

    private static var kernelWord: String {
        let word = (HostFacts.text("/proc/cmdline") ?? "").split(whereSeparator: \.isWhitespace).first
        return word.map { String($0.prefix { $0 != "=" }) } ?? ""
    }

    private static var cpuFeature: String { HostFacts.hasCPUFeature("sse2") ? "sse2" : "" }

    /// The verdict about a service with these lines in its `[Unit]`: nil if all holds.
    private func failing(_ lines: [String], asserts: Bool = false) throws -> String? {
        let text = "[Unit]\n" + lines.joined(separator: "\n") + "\n[Service]\nExecStart=/bin/true\n"
        let loader = UnitLoader(
            source: InMemoryUnitFileSource(files: ["/u/app.service": text]), searchPath: ["/u"],
            specifiers: SpecifierEnvironment())
        let loaded = loader.load(try UnitName("app.service"))
        let section = try #require(loaded.unit?.definition.unit.conditions, "\(loaded.diagnostics)")
        let host = ConditionEvaluator(
            environment: ["HOLDFAST_TOLD": "yes", "CREDENTIALS_DIRECTORY": Self.files])
        let list = asserts ? section.asserts : section.conditions
        return Condition.firstFailing(list, holds: host.holds)?.text(isAssert: asserts)
    }

    @Test("each kind holds when it should, and ! turns it round; as a condition and as an assert", arguments: rows)
    func each(_ row: Row) throws {
        for (prefix, isAssert) in [("Condition", false), ("Assert", true)] {
            let name = prefix + row.kind.rawValue
            if !row.holds.isEmpty {
                #expect(try failing(["\(name)=\(row.holds)"], asserts: isAssert) == nil)
                #expect(try failing(["\(name)=!\(row.holds)"], asserts: isAssert) == "\(name)=!\(row.holds)")
            }
            if !row.fails.isEmpty {
                #expect(try failing(["\(name)=\(row.fails)"], asserts: isAssert) == "\(name)=\(row.fails)")
                #expect(try failing(["\(name)=!\(row.fails)"], asserts: isAssert) == nil)
            }
        }
    }

    @Test("of those with | one is enough, beside those without all must hold", arguments: rows.filter(\.isWhole))
    func triggers(_ row: Row) throws {
        let name = "Condition" + row.kind.rawValue
        let (yes, no) = ("\(name)=|\(row.holds)", "\(name)=|\(row.fails)")
        #expect(try failing([no, yes]) == nil && failing([yes, no]) == nil)
        #expect(try failing([no, "\(name)=|!\(row.holds)"]) == "\(name)=|!\(row.holds)")
        #expect(try failing([no, "\(name)=|!\(row.fails)"]) == nil)
        #expect(try failing([yes, "\(name)=\(row.fails)"]) == "\(name)=\(row.fails)")
        #expect(try failing([no, "\(name)=\(row.holds)"]) == no)
    }

    @Test("an empty one of any kind resets all conditions before it", arguments: Condition.Kind.allCases)
    func reset(_ kind: Condition.Kind) throws {
        let lines = ["ConditionPathExists=/no/such", "ConditionHost=|no-such-host", "Condition\(kind.rawValue)="]
        #expect(try failing(lines) == nil)
        #expect(try failing(lines + ["ConditionPathExists=/no/such"]) == "ConditionPathExists=/no/such")
        #expect(try failing(["AssertPathExists=/no/such"] + lines, asserts: true) == "AssertPathExists=/no/such")
    }

    @Test("every kind is in the table")
    func complete() {
        #expect(Set(Self.rows.map(\.kind)) == Set(Condition.Kind.allCases))
    }

    @Test(
        "systemd-analyze says the same of this host",
        .enabled(if: FileManager.default.isExecutableFile(atPath: analyze)))
    func asSystemd() throws {
        for row in Self.rows where row.isComparable {
            for (value, isMet) in [(row.holds, true), (row.fails, false)] where !value.isEmpty {
                let text = "Condition\(row.kind.rawValue)=\(value)"
                #expect(try systemd(text) == isMet, "\(text)")
            }
        }
        for name in ["selinux", "apparmor", "tomoyo", "ima", "smack", "audit", "uefi-secureboot", "tpm2"] {
            #expect(try systemd("ConditionSecurity=\(name)") == HostFacts.hasSecurity(name), "\(name)")
        }
        for name in ["sse2", "avx", "avx2", "aes", "pclmul", "fma3", "osxsave", "lm", "sha_ni", "rdrand", "movbe"] {
            #expect(try systemd("ConditionCPUFeature=\(name)") == HostFacts.hasCPUFeature(name), "\(name)")
        }
        let host = ConditionEvaluator(environment: [:])
        for name in ["cpu", "io", "memory", "pids", "cpuset", "devices"] {
            let isThere = host.holds(Condition(.controlGroupController, name))
            #expect(try systemd("ConditionControlGroupController=\(name)") == isThere, "\(name)")
        }
    }

    private static let analyze = "/usr/bin/systemd-analyze"

    private func systemd(_ condition: String) throws -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: Self.analyze)
        process.arguments = ["condition", condition]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }
}

extension ConditionTests.Row {
    /// Both of its values can be had on this host.
    fileprivate var isWhole: Bool { !holds.isEmpty && !fails.isEmpty }
}
