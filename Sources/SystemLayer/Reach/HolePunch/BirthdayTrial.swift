internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// One trial to meet by chance, from its first probe to its end: paces what ``BirthdayMachine`` says.
@NetworkActor
final class BirthdayTrial {
    /// The peer's proven address; its port may be any.
    let peer: IPAddress
    /// Sockets opened for it.
    let sockets: [SocketAddress]
    /// Those by which something of the peer's has come.
    private(set) var hit: [SocketAddress] = []
    private var machine: BirthdayMachine
    private var isSpent = false
    private let timer: WakeTimer
    private let clock: any NetworkClock
    private let patience: Duration
    private let isWorthIt: @NetworkActor () -> Bool
    private let send: @NetworkActor (BirthdayMachine.Shot) -> Void
    /// Resumed when a way is found, when nothing more will come of it, and when it is given up.
    let over = Waiter<Void>()
    /// Told when nothing waits for it any more.
    var onWorthless: (@NetworkActor () -> Void)?

    /// - Parameters:
    ///   - sockets: none for the side that guesses.
    ///   - roundTrip: what the last probes' answers may take, as far as is known.
    ///   - isWorthIt: asked before anything is sent; it ends when it isn't.
    init(
        at peer: SocketAddress, from sockets: [SocketAddress], roundTrip: Duration, random: RandomSource,
        clock: any NetworkClock,
        isWorthIt: @escaping @NetworkActor () -> Bool, send: @escaping @NetworkActor (BirthdayMachine.Shot) -> Void
    ) {
        (self.peer, self.sockets, self.clock) = (peer.ip, sockets, clock)
        (self.isWorthIt, self.send) = (isWorthIt, send)
        patience = BirthdayMachine.patience(roundTrip)
        var random = random
        let part = sockets.isEmpty ? BirthdayMachine.Part.guesses(peer: peer.ip) : .opens(sockets, peer: peer)
        machine = BirthdayMachine(part, random: &random, now: clock.now)
        timer = WakeTimer(clock)
        timer.onWake = { [weak self] in self?.fire() }
        fire()
    }

    /// Datagrams sent.
    var sent: Int { machine.sent }

    /// A probe of the peer's came from that address, by way of `socket`.
    func heard(_ remote: SocketAddress, at socket: SocketAddress?) {
        keep(socket, for: remote)
        machine.hit(socket, at: remote, now: clock.now)
        fire()
    }

    /// The peer has answered a probe, by way of `socket`: it works in both directions.
    func found(_ remote: SocketAddress, at socket: SocketAddress?) {
        guard remote.ip == peer else { return }
        keep(socket, for: remote)
        over.resume(returning: ())
    }

    private func keep(_ socket: SocketAddress?, for remote: SocketAddress) {
        // As many as are probed: a peer that answers them all has no more of them kept.
        guard let socket, remote.ip == peer, hit.count < BirthdayMachine.hitLimit, sockets.contains(socket),
            !hit.contains(socket)
        else { return }
        hit.append(socket)
    }

    /// Stops sending.
    func stop() {
        timer.set(nil)
        timer.onWake = nil
        over.resume(returning: ())
    }

    private func fire() {
        guard timer.onWake != nil else { return }
        guard isWorthIt() else {
            onWorthless?()
            return stop()
        }
        for shot in machine.timerFired(now: clock.now) { send(shot) }
        if let wake = machine.wake { return timer.set(wake) }
        guard !isSpent else { return }
        isSpent = true
        timer.set(nil)
        _ = clock.schedule(after: patience) { [weak self] in self?.stop() }
    }
}
