import Glibc
import Linux
import Testing
import UnitFiles
import UnitStore

@Suite("Specifiers on this host")
struct HostSpecifierTests {
    @Test("those of os-release(5) come from there")
    func osRelease() throws {
        let host = SpecifierEnvironment(.system, environment: [:])
        let text = try #require(HostFacts.text("/etc/os-release") ?? HostFacts.text("/usr/lib/os-release"))
        let fields = try EnvironmentFile.parse(text, path: "os-release").assignments
        func field(_ name: String) -> String { fields.last { $0.name == name }?.value ?? "" }
        let expander = SpecifierExpander(environment: host, unit: try UnitName("a.service"), fragmentPath: nil)
        let expected = [
            ("%o", "ID"), ("%w", "VERSION_ID"), ("%W", "VARIANT_ID"), ("%A", "IMAGE_VERSION"), ("%B", "BUILD_ID"),
            ("%M", "IMAGE_ID"),
        ].map { ($0, field($1)) }
        for (specifier, value) in expected { #expect(try expander.expand(specifier) == value, "\(specifier)") }
        #expect(!field("ID").isEmpty)
    }

    @Test("the system's do not depend on who started the supervisor; a user's are those of a user's systemd 252")
    func users() {
        let environment = [
            "HOME": "/home//x/", "SHELL": "/bin/other", "XDG_CONFIG_HOME": "/conf", "XDG_STATE_HOME": "/state",
            "TMPDIR": "relative", "TEMP": "/nosuch-directory", "TMP": "/usr",
        ]
        let system = SpecifierEnvironment(.system, environment: environment)
        #expect(system.homeDirectory != "/home/x" && system.stateDirectory == "/var/lib")
        let user = SpecifierEnvironment(.user(environment: environment), environment: environment)
        #expect(user.homeDirectory == "/home/x" && user.shell == "/bin/other")
        #expect(user.stateDirectory == "/conf" && user.logsDirectory == "/conf/log")
        #expect(user.configurationDirectory == "/conf" && user.cacheDirectory == "/home/x/.cache")
        for host in [system, user] {
            #expect(host.temporaryDirectory == "/usr" && host.persistentTemporaryDirectory == "/usr")
        }
    }
}
