import DeP2PReactor
import Glibc
import Testing

@testable import DeP2PCLI

@Suite(.serialized) struct ServiceNotifierTests {
    /// A service manager's socket.
    private final class Manager {
        let descriptor: Int32

        init(_ name: String) throws {
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { path in
                path.copyBytes(from: name.utf8)
                if name.hasPrefix("@") { path[0] = 0 }
            }
            let length = socklen_t(MemoryLayout<sa_family_t>.size + name.utf8.count)
            let bound = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            guard bound == 0 else { throw Sandbox.Failure(message: "bind: \(errno)") }
        }

        deinit { close(descriptor) }

        /// The next message, when it has come.
        func receive() -> String? { receive(flags: Int32(MSG_DONTWAIT)) }

        /// The next message.
        func wait() -> String? { receive(flags: 0) }

        private func receive(flags: Int32) -> String? {
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = recv(descriptor, &buffer, buffer.count, flags)
            return count < 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
        }
    }

    private func notifier(_ socket: String) -> ServiceNotifier {
        ServiceNotifier(Environment(["NOTIFY_SOCKET": socket]))
    }

    @Test func aManagerOnAPathIsTold() throws {
        let sandbox = try Sandbox()
        let manager = try Manager(sandbox.path + "/notify")
        #expect(notifier(sandbox.path + "/notify").send(.ready, .status("listening on 2\naddresses")))
        #expect(manager.receive() == "READY=1\nSTATUS=listening on 2\\naddresses")
        #expect(notifier(sandbox.path + "/notify").send(.reloading(monotonicMicroseconds: 42)))
        #expect(manager.receive() == "RELOADING=1\nMONOTONIC_USEC=42")
        #expect(notifier(sandbox.path + "/notify").send(.stopping))
        #expect(manager.receive() == "STOPPING=1")
    }

    @Test func aManagerOnAnAbstractNameIsTold() throws {
        let name = "@dep2p-test-\(getpid())"
        let manager = try Manager(name)
        #expect(notifier(name).send(.watchdog))
        #expect(manager.receive() == "WATCHDOG=1")
    }

    @Test func nobodyIsToldWhenThereIsNobody() {
        #expect(!ServiceNotifier(Environment([String: String]())).send(.ready))
        #expect(!notifier("/nonexistent/notify").send(.ready))
        #expect(!notifier("relative").send(.ready))
        #expect(!notifier("@").send(.ready))
        #expect(!notifier("/" + String(repeating: "x", count: 200)).send(.ready))
    }

    /// A manager that does not read keeps nobody waiting, and hears the rest in order once it does.
    @Test func aManagerThatReadsLateHearsEverything() throws {
        let name = "@dep2p-late-\(getpid())"
        let manager = try Manager(name)
        var told = 0
        while ServiceNotifier.waitingCount == 0 {
            #expect(notifier(name).send(.status("\(told)")))
            told += 1
        }
        #expect(!notifier(name).send(.watchdog))
        #expect(notifier(name).send(.ready))
        for number in 0..<told { #expect(manager.wait() == "STATUS=\(number)") }
        #expect(manager.wait() == "READY=1")
    }

    @Test func noMoreThanSomeWait() throws {
        let name = "@dep2p-silent-\(getpid())"
        let manager = try Manager(name)
        var told = 0
        while notifier(name).send(.status("\(told)")) { told += 1 }
        #expect(ServiceNotifier.waitingCount == ServiceNotifier.queueLimit)
        for number in 0..<told { #expect(manager.wait() == "STATUS=\(number)") }
    }

    @Test func theWatchdogIsFedTwiceAnInterval() {
        #expect(ServiceNotifier.watchdogInterval(Environment(["WATCHDOG_USEC": "3000000"])) == .microseconds(1_500_000))
        for text in ["", "x", "-5", "1"] {
            #expect(ServiceNotifier.watchdogInterval(Environment(["WATCHDOG_USEC": text])) == nil)
        }
        for (process, expected) in [("\(getpid())", Duration.milliseconds(1)), ("1", nil)] {
            let environment = Environment(["WATCHDOG_USEC": "2000", "WATCHDOG_PID": process])
            #expect(ServiceNotifier.watchdogInterval(environment) == expected)
        }
    }

    @Test @NetworkActor func theWatchdogIsFedUntilTheEnd() async throws {
        let name = "@dep2p-watchdog-\(getpid())"
        let manager = try Manager(name)
        let environment = Environment(["NOTIFY_SOCKET": name, "WATCHDOG_USEC": "2000"])
        let feeding = try #require(ServiceNotifier(environment).feedWatchdog(on: SystemNetworkClock.shared))
        var heard = 0
        while heard < 3 {
            await Task.yield()
            if let message = manager.receive() {
                #expect(message == "WATCHDOG=1")
                heard += 1
            }
        }
        feeding.cancel()
        await feeding.value
        #expect(notifier(name).feedWatchdog(on: SystemNetworkClock.shared) == nil)
    }
}
