import Linux
import Testing
import UnitFiles

@testable import Supervisor

@Suite("Addresses of unit files as addresses of the kernel")
struct AddressTests {
    @Test(
        "each form of ListenStream= keeps its meaning, and its text names the same address again",
        arguments: [
            ("127.0.0.1:80", SocketAddress.inet(host: "127.0.0.1", port: 80)),
            ("[::1]:0", .inet6(host: "::1", port: 0)), ("[2001:DB8:0::7]:80", .inet6(host: "2001:db8::7", port: 80)),
            ("[fe80::1]:80%nosuch0", .inet6(host: "fe80::1%nosuch0", port: 80)), ("80", .inet6(host: "::", port: 80)),
            ("/run/a.sock", .unix(path: "/run/a.sock")), ("@a", .abstract(name: "a")),
            ("vsock:2:80", .vsock(cid: 2, port: 80)), ("vsock::80", .vsock(cid: .max, port: 80)),
        ])
    func forms(text: String, expected: SocketAddress) throws {
        let address = SocketAddress(try ListenAddress.parse(text))
        #expect(address == expected)
        #expect(SocketAddress(address.description) == expected)
    }
}
