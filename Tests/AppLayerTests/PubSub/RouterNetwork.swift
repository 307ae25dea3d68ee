import DeP2PIdentity
import DeP2PReactor

@testable import DeP2PApp

/// Routers that are connected with each other, on time of their own: what one sends arrives after a while, encoded and read
/// again. Verification takes a while too.
struct RouterNetwork {
    struct Node {
        let identity: IdentityKey
        var router: PubSubRouter
        var peers: [PubSubRouter.PeerKey: Int] = [:]
        var keys: [Int: PubSubRouter.PeerKey] = [:]
        var delivered: [PubSubMessage] = []
        var verifications = 0
        var judgements = 0
        var withheld: [PubSubMessage] = []
        /// Whom others have named.
        var named: [ExchangedPeer] = []
        var isDown = false
    }

    private enum Event {
        case rpc([UInt8], from: Int, to: Int)
        case verified(PubSubMessage, Bool, at: Int)
        case judged(PubSubMessage, PubSubRouter.Verdict, from: PubSubRouter.PeerKey, at: Int)
    }

    private(set) var now = NetworkInstant(nanoseconds: 1_000_000_000_000)
    var nodes: [Node] = []
    private var events: [(due: NetworkInstant, order: UInt64, event: Event)] = []
    private var order: UInt64 = 0
    var latency = Duration.milliseconds(1)
    /// Payload copies that arrived.
    private(set) var copies = 0
    /// RPCs and their bytes.
    private(set) var frames = 0
    private(set) var bytes = 0
    private let authors = AuthorKeys()
    /// What those say who judge.
    var verdict: (_ index: Int, _ message: PubSubMessage) -> PubSubRouter.Verdict = { _, _ in .accept }
    /// What is lost on its way.
    var loses: (_ from: Int, _ to: Int, _ frame: [UInt8]) -> Bool = { _, _, _ in false }

    init(_ count: Int) {
        for index in 0..<count {
            let identity = IdentityKey.generate()
            nodes.append(
                Node(
                    identity: identity,
                    router: PubSubRouter(ownID: identity.nodeID, seed: UInt64(index), now: now)))
        }
    }

    mutating func connect(_ left: Int, _ right: Int) {
        order += 1
        for (own, other, isOutbound) in [(left, right, true), (right, left, false)] {
            nodes[own].peers[order] = other
            nodes[own].keys[other] = order
            let introduction = PubSubRouter.Introduction(
                nodeID: nodes[other].identity.nodeID, isOutbound: isOutbound, subject: nil)
            let actions = nodes[own].router.addPeer(order, introduction, now: now)
            carryOut(actions, at: own)
        }
        let key = order
        for (own, other) in [(left, right), (right, left)] {
            send(nodes[own].router.greeting.frames, from: own, to: other)
            _ = key
        }
    }

    mutating func connectAll() {
        for left in nodes.indices { for right in nodes.indices where right > left { connect(left, right) } }
    }

    mutating func disconnect(_ left: Int, _ right: Int, isLost: Bool = true) {
        for (own, other) in [(left, right), (right, left)] {
            guard let key = nodes[own].keys.removeValue(forKey: other) else { continue }
            nodes[own].peers[key] = nil
            let actions = nodes[own].router.removePeer(key, isLost: isLost, now: now)
            carryOut(actions, at: own)
        }
    }

    mutating func stop(_ index: Int) {
        for other in Array(nodes[index].keys.keys) { disconnect(index, other) }
        nodes[index].isDown = true
    }

    mutating func act(_ index: Int, _ body: (inout PubSubRouter, NetworkInstant) -> [PubSubRouter.Action]) {
        let actions = body(&nodes[index].router, now)
        carryOut(actions, at: index)
    }

    mutating func subscribeAll(_ topic: Topic) {
        for index in nodes.indices { act(index) { $0.subscribe(topic, now: $1) } }
    }

    @discardableResult
    mutating func publish(_ data: [UInt8], _ topic: Topic, _ number: UInt64, by index: Int) -> PubSubMessage {
        let message = PubSubMessage(data, to: topic, sequence: number, by: nodes[index].identity)
        act(index) { $0.publish(message, now: $1).actions }
        return message
    }

    /// As if it had been sent by `index`: whatever it is.
    mutating func inject(_ rpc: [UInt8], from index: Int, to other: Int) { arrive(rpc, from: index, to: other) }

    mutating func run(for duration: Duration) {
        let end = now.advanced(by: duration)
        while true {
            let due = nodes.indices.filter { !nodes[$0].isDown }.compactMap { nodes[$0].router.wake }.min() ?? end
            let next = events.first.map { min($0.due, due) } ?? due
            guard next <= end else { break }
            now = max(now, next)
            if let first = events.first, first.due <= now {
                events.removeFirst()
                handle(first.event)
            } else {
                for index in nodes.indices where !nodes[index].isDown {
                    if let wake = nodes[index].router.wake, wake <= now {
                        act(index) { $0.timerFired(now: $1) }
                    }
                }
            }
        }
        now = end
    }

    // MARK: Carrying out

    private mutating func carryOut(_ actions: [PubSubRouter.Action], at index: Int) {
        for action in actions {
            switch action {
            case .send(let message, let targets):
                for key in targets {
                    if let other = nodes[index].peers[key] {
                        send([PubSubRPC.frame(of: message)], from: index, to: other)
                    }
                }
            case .sendRPC(let output, let key):
                if let other = nodes[index].peers[key] { send(output.frames, from: index, to: other) }
            case .deliver(let message): nodes[index].delivered.append(message)
            case .judge(let message, let source):
                nodes[index].judgements += 1
                post(.judged(message, verdict(index, message), from: source, at: index), after: .milliseconds(1))
            case .withhold(let message): nodes[index].withheld.append(message)
            case .meet(let named, _): nodes[index].named += named
            case .verify(let message, _):
                nodes[index].verifications += 1
                post(.verified(message, message.isSigned(knowing: authors), at: index), after: .milliseconds(1))
            }
        }
    }

    private mutating func send(_ frames: [[UInt8]], from: Int, to: Int) {
        for frame in frames where !loses(from, to, frame) {
            self.frames += 1
            bytes += frame.count
            post(.rpc(frame, from: from, to: to), after: latency)
        }
    }

    private mutating func post(_ event: Event, after delay: Duration) {
        order += 1
        let due = now.advanced(by: delay)
        let place = events.lastIndex { $0.due <= due }.map { $0 + 1 } ?? 0
        events.insert((due, order, event), at: place)
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .rpc(let frame, let from, let to):
            guard case .value(let length, let prefix) = Varint.decode(frame), Int(length) == frame.count - prefix
            else { return }
            arrive(Array(frame[prefix...]), from: from, to: to)
        case .verified(let message, let isSigned, let index):
            act(index) { $0.verified(message, isSigned: isSigned, now: $1) }
        case .judged(let message, let verdict, let source, let index):
            act(index) { $0.judged(message, verdict, from: source, now: $1) }
        }
    }

    private mutating func arrive(_ frame: [UInt8], from: Int, to: Int) {
        guard !nodes[to].isDown, let key = nodes[to].keys[from] else { return }
        do {
            let rpc = try PubSubRPC(frame, from: nodes[from].identity.nodeID)
            copies += rpc.messages.count
            act(to) { $0.receive(PubSubInput(rpc), from: key, now: $1) }
        } catch {
            nodes[to].router.violated(key)
        }
    }
}
