internal import DeP2PIdentity
internal import DeP2PReactor

/// One family's machine with its sockets.
@NetworkActor
final class NATCheckRun {
    private let driver: MachineDriver<NATCheckStateMachine>
    private let sockets: [NATCheckStateMachine.Socket: any DatagramChannel]
    private let clock: any NetworkClock
    private let finished = Waiter<NATFamilyReport>()

    init(
        _ machine: NATCheckStateMachine, sockets: [NATCheckStateMachine.Socket: any DatagramChannel],
        clock: any NetworkClock
    ) {
        (self.sockets, self.clock) = (sockets, clock)
        driver = MachineDriver(machine, clock: clock)
        driver.carryOut = { [weak self] in self?.carryOut($0) }
    }

    private var machine: NATCheckStateMachine { driver.machine }

    func result(within limit: Duration?) async throws -> NATFamilyReport {
        let end = limit.map { limit in
            clock.schedule(after: limit) { [weak self] in
                guard let self else { return }
                finished.resume(returning: machine.report)
            }
        }
        defer { end.map(clock.cancel) }
        for (name, socket) in sockets {
            socket.onDatagram = { [driver] datagram in
                driver.handle { $0.handle(datagram.bytes, on: name, from: datagram.remote, now: $1) }
            }
        }
        for socket in sockets.values {
            socket.onUnreachable = { [driver] destination in
                driver.handle { $0.unreachable(destination, now: $1) }
            }
        }
        driver.handle { $0.start(now: $1) }
        return try await finished.value()
    }

    func close() {
        driver.stop()
        for socket in sockets.values { socket.close() }
    }

    private func carryOut(_ transmissions: [NATCheckStateMachine.Transmission]) {
        for item in transmissions { sockets[item.socket]?.send(item.bytes, to: item.destination) }
        if machine.isFinished { finished.resume(returning: machine.report) }
    }
}
