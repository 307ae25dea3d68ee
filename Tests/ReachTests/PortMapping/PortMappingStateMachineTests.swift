import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// A gateway that speaks what it is told to, and a machine that runs against it on virtual time.
private struct GatewayWorld {
    var machine = PortMappingStateMachine(
        client: v4(192, 168, 1, 10, 0).ip, internalPort: 4001, nonce: [UInt8](1...12))
    var speaks: Set<PortMappingProtocol>
    /// Answers NAT-PMP's error to PCP (RFC 6887 appendix A), or nothing at all.
    var refusesVersion = true
    var isUnreachable = false
    var externalPort: UInt16 = 40_000
    var lifetime: UInt32 = 1200
    var result: UInt8 = 0
    var started = NetworkInstant.milliseconds(0)
    var now = NetworkInstant.milliseconds(0)

    private(set) var changes: [PortMapping?] = []
    private(set) var requests: [(time: UInt64, kind: PortMappingProtocol)] = []
    private(set) var removals: [PortMappingProtocol] = []

    init(_ speaks: Set<PortMappingProtocol>) { self.speaks = speaks }

    mutating func start() { perform(machine.start(now: now)) }
    mutating func stop() { perform(machine.stop(now: now)) }
    mutating func networkChanged() { perform(machine.handleNetworkChange(now: now)) }

    /// Lets `duration` pass.
    mutating func run(_ duration: Duration) {
        let end = now.advanced(by: duration)
        while let wake = machine.wake, wake <= end {
            now = wake
            perform(machine.timerFired(now: now))
        }
        now = end
    }

    mutating func reboot() { started = now }

    private var epoch: UInt32 { UInt32(now.duration(since: started).seconds) }

    private mutating func perform(_ actions: [PortMappingStateMachine.Action]) {
        for action in actions {
            switch action {
            case .changed(let mapping): changes.append(mapping)
            case .send(let bytes): answer(bytes)
            case .addByUPnP:
                record(.upnp)
                let mapped = PortMappingStateMachine.UPnPResult.mapped(externalPort: externalPort, address: nil)
                perform(machine.handleUPnP(speaks.contains(.upnp) ? mapped : .noGateway, now: now))
            case .removeByUPnP:
                removals.append(.upnp)
                perform(machine.handleUPnP(.mapped(externalPort: 0, address: nil), now: now))
            }
        }
    }

    private mutating func record(_ kind: PortMappingProtocol) {
        requests.append((UInt64(now.duration(since: .milliseconds(0)).milliseconds), kind))
    }

    private mutating func answer(_ bytes: [UInt8]) {
        if isUnreachable { return perform(machine.handleUnreachable(now: now)) }
        if bytes[0] == PCP.version { answerPCP(bytes) } else { answerNATPMP(bytes) }
    }

    private mutating func answerPCP(_ bytes: [UInt8]) {
        let isRemoval = Array(bytes[4..<8]) == [0, 0, 0, 0]
        if isRemoval { removals.append(.pcp) } else { record(.pcp) }
        guard speaks.contains(.pcp) else {
            guard refusesVersion, speaks.contains(.natPMP) else { return }
            return perform(machine.handle([0, 0x81, 0, 1] + epoch.bigEndianBytes, now: now))
        }
        var response: [UInt8] = [2, 0x81, 0, result] + (isRemoval ? 0 : lifetime).bigEndianBytes + epoch.bigEndianBytes
        response += [UInt8](repeating: 0, count: 12) + Array(bytes[24..<42]) + externalPort.bigEndianBytes
        response += [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 203, 0, 113, 50]
        perform(machine.handle(response, now: now))
    }

    private mutating func answerNATPMP(_ bytes: [UInt8]) {
        guard speaks.contains(.natPMP) else { return }
        if bytes[1] == 0 {
            return perform(machine.handle([0, 128, 0, 0] + epoch.bigEndianBytes + [203, 0, 113, 50], now: now))
        }
        let isRemoval = Array(bytes[8..<12]) == [0, 0, 0, 0]
        if isRemoval { removals.append(.natPMP) } else { record(.natPMP) }
        let port: UInt16 = isRemoval ? 0 : externalPort
        let response = [0, 129, 0, 0] + epoch.bigEndianBytes + Array(bytes[4..<6]) + port.bigEndianBytes
        perform(machine.handle(response + (isRemoval ? 0 : lifetime).bigEndianBytes, now: now))
    }
}

@Suite struct PortMappingStateMachineTests {
    func mapping(_ kind: PortMappingProtocol, port: UInt16 = 40_000, address: Bool = true) -> PortMapping {
        PortMapping(
            kind: kind, internalPort: 4001, externalPort: port,
            externalAddress: address ? v4(203, 0, 113, 50, 0).ip : nil)
    }

    @Test("the best protocol that the gateway speaks is used, and the mapping removed by it at the end")
    func preference() {
        for kind in PortMappingProtocol.allCases {
            var world = GatewayWorld([kind])
            world.start()
            world.run(.seconds(5))
            #expect(world.changes == [mapping(kind, address: kind != .upnp)])
            world.stop()
            #expect(world.removals == [kind])
            #expect(world.machine.isStopped)
            #expect(world.changes.last == .some(nil))
        }
    }

    @Test("a gateway that speaks NAT-PMP only says so, and no time is lost")
    func versionFallback() {
        var world = GatewayWorld([.natPMP, .upnp])
        world.start()
        #expect(world.changes == [mapping(.natPMP)])
        #expect(world.requests.map(\.time) == [0, 0])
    }

    @Test("silence: three tries each, 250 ms doubling, then UPnP")
    func silence() {
        var world = GatewayWorld([.upnp])
        world.start()
        world.run(.seconds(5))
        #expect(world.requests.filter { $0.kind == .pcp }.map(\.time) == [0, 250, 750])
        #expect(world.requests.first { $0.kind == .upnp }?.time == 3500)
        #expect(world.changes == [mapping(.upnp, address: false)])
    }

    @Test("a closed port goes to UPnP at once")
    func unreachable() {
        var world = GatewayWorld([.upnp])
        world.isUnreachable = true
        world.start()
        #expect(world.requests.first?.kind == .upnp)
        #expect(world.requests.first?.time == 0)
    }

    @Test("renewed at half the lifetime the gateway gave, without a report when nothing changed")
    func renewal() {
        var world = GatewayWorld([.pcp])
        world.lifetime = 100
        world.start()
        world.run(.seconds(170))
        #expect(world.requests.map(\.time) == [0, 50_000, 100_000, 150_000])
        #expect(world.changes == [mapping(.pcp)])
        world.externalPort = 40_001
        world.run(.seconds(50))
        #expect(world.changes.last == mapping(.pcp, port: 40_001))
    }

    @Test("unanswered renewals are tried again and again; then the mapping is gone and everything is tried anew")
    func lostGateway() {
        var world = GatewayWorld([.pcp])
        world.lifetime = 100
        world.start()
        world.speaks = []
        world.run(.seconds(99))
        #expect(world.changes == [mapping(.pcp)])
        #expect(world.requests.count > 6)
        #expect(world.requests.count < 60)
        world.run(.seconds(30))
        #expect(world.changes == [mapping(.pcp), nil])
        world.speaks = [.pcp]
        world.run(.seconds(120))
        #expect(world.changes == [mapping(.pcp), nil, mapping(.pcp)])
    }

    @Test("a gateway that lost its state is asked again at once")
    func reboot() throws {
        var world = GatewayWorld([.pcp])
        world.start()
        world.run(.seconds(200))
        world.reboot()
        world.run(.seconds(1))
        // The gateway announces itself after a restart (RFC 6887 section 14.1).
        let announce = [2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] + [UInt8](repeating: 0, count: 12)
        let actions = world.machine.handle(announce, now: world.now)
        #expect(actions.count == 1)
        guard case .send(let bytes)? = actions.first else {
            Issue.record("nothing was sent")
            return
        }
        #expect(bytes[1] == PCP.Opcode.map.rawValue)
        #expect(world.machine.handle(announce, now: world.now).isEmpty)
    }

    @Test("nobody maps: ever longer rests, an hour at most")
    func rests() {
        var world = GatewayWorld([])
        world.start()
        world.run(.seconds(6 * 3600))
        let tries = world.requests.filter { $0.kind == .upnp }.map(\.time)
        let gaps = zip(tries.dropFirst(), tries).map { ($0 - $1) / 1000 }
        #expect(gaps.prefix(3).elementsEqual([63, 123, 243]))
        #expect(gaps.last == 3603)
        #expect(world.changes.isEmpty)
    }

    @Test("a refusal by PCP passes to the next protocol")
    func refusal() {
        var world = GatewayWorld([.pcp, .natPMP])
        world.result = 8
        world.start()
        #expect(world.changes == [mapping(.natPMP)])
    }

    @Test("answers for another nonce, port or state change nothing")
    func foreign() {
        var world = GatewayWorld([.pcp])
        world.speaks = []
        world.start()
        var other = GatewayWorld([.pcp])
        other.machine = PortMappingStateMachine(
            client: v4(192, 168, 1, 11, 0).ip, internalPort: 4001, nonce: [UInt8](2...13))
        other.start()
        let foreign =
            [2, 0x81, 0, 0] + UInt32(1200).bigEndianBytes + UInt32(0).bigEndianBytes
            + [UInt8](repeating: 0, count: 12) + [UInt8](2...13) + [17, 0, 0, 0, 0x0f, 0xa1, 0x9c, 0x40]
            + [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 6, 6, 6, 6]
        #expect(world.machine.handle(foreign, now: world.now).isEmpty)
        for datagram in mutations(of: foreign, rounds: 2000, seed: 2) {
            for case .changed in world.machine.handle(datagram, now: world.now) {
                Issue.record("a foreign answer was taken: \(datagram)")
            }
        }
    }

    @Test("stopping without an answer ends too; stopping before anything is mapped ends at once")
    func stop() {
        var idle = GatewayWorld([])
        idle.start()
        idle.stop()
        #expect(idle.machine.isStopped)

        var world = GatewayWorld([.pcp])
        world.start()
        world.speaks = []
        world.stop()
        #expect(!world.machine.isStopped)
        world.run(.seconds(3))
        #expect(world.machine.isStopped)
        #expect(world.removals.count == 3)
        #expect(world.machine.wake == nil)
    }

    @Test("a change of the network renews what is held and asks those again who had refused")
    func networkChange() {
        var world = GatewayWorld([.pcp])
        world.start()
        world.run(.seconds(100))
        #expect(world.requests.map(\.time) == [0])
        world.networkChanged()
        #expect(world.requests.map(\.time) == [0, 100_000])
        #expect(world.changes == [mapping(.pcp)])

        var silent = GatewayWorld([])
        silent.isUnreachable = true
        silent.start()
        silent.run(.seconds(100))
        let before = silent.requests.count
        silent.isUnreachable = false
        silent.speaks = [.pcp]
        silent.run(.seconds(1))
        #expect(silent.requests.count == before)
        silent.networkChanged()
        #expect(silent.changes == [mapping(.pcp)])
    }

    @Test("an end while the gateway has not answered takes back what it may still grant")
    func earlyEnd() {
        var machine = PortMappingStateMachine(
            client: v4(192, 168, 1, 10, 0).ip, internalPort: 4001, nonce: [UInt8](1...12))
        let start = machine.start(now: .milliseconds(0))
        guard case .send(let request)? = start.first,
            case .send(let removal)? = machine.stop(now: .milliseconds(1)).first
        else { return #expect(Bool(false), "nothing was sent") as Void }
        #expect(machine.isStopped)
        #expect(Array(removal[4..<8]) == [0, 0, 0, 0])
        #expect(Array(removal[24..<42]) == Array(request[24..<42]))
    }
}
