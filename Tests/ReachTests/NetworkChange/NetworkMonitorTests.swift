import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct NetworkMonitorTests {
    static let home = NetworkSnapshot(addresses: [v4(192, 168, 1, 10, 0).ip], gateways: [])
    static let away = NetworkSnapshot(addresses: [v4(10, 0, 0, 7, 0).ip], gateways: [])

    @NetworkActor
    private final class Source: NetworkChangeSource {
        var onChange: (@NetworkActor () -> Void)?
        var isClosed = false
        func close() { isClosed = true }
    }

    @NetworkActor
    private final class Machine {
        var snapshot = NetworkMonitorTests.home
        var looks = 0
    }

    @Test("many signs in a row are one change, told when it is quiet")
    func debounced() async throws {
        let network = await SimulatedWorld(seed: 1).network
        try await network.run {
            let source = Source()
            let machine = Machine()
            let monitor = NetworkMonitor(source, clock: network) {
                machine.looks += 1
                return machine.snapshot
            }
            var changes: [NetworkInstant] = []
            monitor.onChange = { changes.append(network.now) }
            machine.snapshot = Self.away
            let start = network.now
            for _ in 0..<4 {
                source.onChange?()
                try await network.sleep(for: .milliseconds(100))
            }
            try await network.sleep(for: .seconds(5))
            #expect(changes.map { $0.duration(since: start) } == [.milliseconds(300) + NetworkMonitorMachine.quiet])
            #expect(machine.looks == 2)
            monitor.stop()
            #expect(source.isClosed)
        }
    }

    @Test("signs without end are looked at all the same")
    func endless() {
        var machine = NetworkMonitorMachine(Self.home)
        var now = NetworkInstant.milliseconds(0)
        for _ in 0..<100 {
            machine.changed(now: now)
            if let wake = machine.wake, wake <= now { break }
            now = now.advanced(by: .milliseconds(100))
        }
        #expect(now == NetworkInstant.milliseconds(0).advanced(by: NetworkMonitorMachine.patience))
        let look = machine.timerFired(now: now)
        #expect(look == [.look] && machine.wake == nil)
        let change = machine.looked(Self.away)
        #expect(change == [.changed])
    }

    @Test("a sign after which everything is as before is no change; nor is a timer without a sign")
    func unchanged() {
        var machine = NetworkMonitorMachine(Self.home)
        let now = NetworkInstant.milliseconds(0)
        let early = machine.timerFired(now: now)
        #expect(early.isEmpty)
        machine.changed(now: now)
        let look = machine.timerFired(now: now.advanced(by: NetworkMonitorMachine.quiet))
        let same = machine.looked(Self.home)
        #expect(look == [.look] && same.isEmpty)
        // Away and back again within the quiet is where it was.
        machine.changed(now: now.advanced(by: .seconds(10)))
        machine.changed(now: now.advanced(by: .seconds(10)))
        let again = machine.timerFired(now: now.advanced(by: .seconds(11)))
        let back = machine.looked(Self.home)
        #expect(again == [.look] && back.isEmpty)
    }

    @Test("the kernel's socket opens and closes as often as one likes")
    func routeSocket() async throws {
        try await networkTask {
            for _ in 0..<50 {
                let socket = try #require(RouteSocket())
                socket.onChange = {}
                socket.close()
                socket.close()
            }
        }.value
    }
}
