import DeP2P

extension OptionEntry {
    static let relayCircuitBytes = OptionEntry(
        "circuit-bytes", value: .size, variable: "DEP2P_CIRCUIT_BYTES",
        summary: "bytes one circuit carries (default 16GiB; 0: no limit)",
        paragraphs: [
            "End a circuit when it has carried SIZE bytes, both directions together. Both sides are told, and connect "
                + "again when they go on. The default is `16GiB`; `0` is no limit."
        ])
    static let relayCircuitRate = OptionEntry(
        "circuit-rate", value: .size, variable: "DEP2P_CIRCUIT_RATE",
        summary: "bytes a second of one circuit (default 64MiB; 0: no limit)",
        paragraphs: [
            "Let one circuit carry at most SIZE bytes a second, both directions together; what is sent faster is dropped, "
                + "and the senders adapt. That is the mean: a quarter of a second's bytes, at least 256KiB, may pass at once. "
                + "The default is `64MiB`; `0` is no limit."
        ])
    static let relayCircuitTime = OptionEntry(
        "circuit-time", value: .duration, variable: "DEP2P_CIRCUIT_TIME",
        summary: "how long one circuit lives (default 24h; 0: for ever)",
        paragraphs: [
            "End a circuit after DURATION, at least `1s`; it is looked at every second. The default is `24h`; `0` is no "
                + "limit."
        ])
    static let relayMaxCircuits = OptionEntry(
        "max-circuits", value: .count, variable: "DEP2P_MAX_CIRCUITS", summary: "circuits at once (default 1024)",
        paragraphs: ["Carry at most N circuits at once, up to 65536. The default is 1024."])
    static let relayMaxCircuitsPerIP = OptionEntry(
        "max-circuits-per-ip", value: .count, variable: "DEP2P_MAX_CIRCUITS_PER_IP",
        summary: "circuits made from one IP address (default 128)",
        paragraphs: ["Carry at most N circuits made from one IP address. The default is 128."])
    static let relayMaxCircuitsPerNode = OptionEntry(
        "max-circuits-per-node", value: .count, variable: "DEP2P_MAX_CIRCUITS_PER_NODE",
        summary: "circuits of one node (default 32)",
        paragraphs: [
            "Carry at most N circuits that one node has made, and at most N that were made to it. Of those made to it, ones "
                + "that it has not confirmed give way to others, then ones that carry nothing. The default is 32."
        ])
    static let relayMaxCircuitsPerPair = OptionEntry(
        "max-circuits-per-pair", value: .count, variable: "DEP2P_MAX_CIRCUITS_PER_PAIR",
        summary: "circuits of one node to one other (default 8)",
        paragraphs: ["Carry at most N circuits that one node has made to one other. The default is 8."])
    static let relayMaxCircuitsPerSubnet = OptionEntry(
        "max-circuits-per-subnet", value: .count, variable: "DEP2P_MAX_CIRCUITS_PER_SUBNET",
        summary: "circuits made from one /24 or /48 (default 512)",
        paragraphs: ["Carry at most N circuits made from one /24 of IPv4 or one /48 of IPv6. The default is 512."])
    static let relayMaxRequests = OptionEntry(
        "max-requests", value: .count, variable: "DEP2P_MAX_REQUESTS",
        summary: "requests a minute of one node (default 120)",
        paragraphs: [
            "Answer at most N requests of one node in any minute, for reservations and circuits. Strangers without a "
                + "reservation share four times as many with all others of their IP address. The default is 120."
        ])
    static let relayMaxReservations = OptionEntry(
        "max-reservations", value: .count, variable: "DEP2P_MAX_RESERVATIONS",
        summary: "reservations at once (default 1024)",
        paragraphs: ["Grant at most N reservations, one to a node. The default is 1024."])
    static let relayMaxReservationsPerIP = OptionEntry(
        "max-reservations-per-ip", value: .count, variable: "DEP2P_MAX_RESERVATIONS_PER_IP",
        summary: "reservations of one IP address (default 32)",
        paragraphs: ["Grant at most N reservations to one IP address. The default is 32."])
    static let relayMaxReservationsPerSubnet = OptionEntry(
        "max-reservations-per-subnet", value: .count, variable: "DEP2P_MAX_RESERVATIONS_PER_SUBNET",
        summary: "reservations of one /24 or /48 (default 128)",
        paragraphs: ["Grant at most N reservations to one /24 of IPv4 or one /48 of IPv6. The default is 128."])
    static let relayPublic = OptionEntry(
        "public", variable: "DEP2P_PUBLIC", summary: "serve anyone, not only members of the realm",
        paragraphs: ["Serve any node, although there is a realm key. Without a realm key anyone is served anyway."])
    static let relayReservationTime = OptionEntry(
        "reservation-time", value: .duration, variable: "DEP2P_RESERVATION_TIME",
        summary: "how long a reservation stands (default 30m)",
        paragraphs: ["Grant reservations for DURATION, at least `10s`; nodes renew earlier. The default is `30m`."])

    static let relayTCPListen = OptionEntry(
        "tcp-listen", value: .address, repeats: true, variable: "DEP2P_TCP_LISTEN",
        summary: "listen on TCP too, for networks that block UDP",
        paragraphs: [
            "Listen on this address over TCP too, for nodes on networks that block UDP: their connections run inside TLS "
                + "there. `HOST:PORT`, `[IPV6]:PORT`, `:PORT` for both families, or a multiaddr such as "
                + "`/ip4/0.0.0.0/tcp/443/tls`. Port 443 passes most firewalls. Nodes give the address with `--relay`, "
                + "beside the one for UDP, or learn it from the relay. Can be given repeatedly."
        ])

    /// The limits, which can change while the relay runs.
    static let relayLimits: [OptionEntry] = relayOptions.filter { $0 != .relayPublic && $0 != .relayTCPListen }

    static let relayOptions: [OptionEntry] = [
        .relayCircuitBytes, .relayCircuitRate, .relayCircuitTime, .relayMaxCircuits, .relayMaxCircuitsPerIP,
        .relayMaxCircuitsPerNode, .relayMaxCircuitsPerPair, .relayMaxCircuitsPerSubnet, .relayMaxRequests,
        .relayMaxReservations, .relayMaxReservationsPerIP, .relayMaxReservationsPerSubnet, .relayPublic,
        .relayReservationTime,
        .relayTCPListen,
    ]
}

extension RelayLimits {
    /// The option that sets each of the limits that a relay names when one is met.
    static let options: [String: OptionEntry] = [
        Name.reservations: .relayMaxReservations, Name.reservationsPerAddress: .relayMaxReservationsPerIP,
        Name.reservationsPerSubnet: .relayMaxReservationsPerSubnet, Name.circuits: .relayMaxCircuits,
        Name.circuitsPerNode: .relayMaxCircuitsPerNode, Name.circuitsPerPair: .relayMaxCircuitsPerPair,
        Name.circuitsPerAddress: .relayMaxCircuitsPerIP, Name.circuitsPerSubnet: .relayMaxCircuitsPerSubnet,
        Name.circuitBytes: .relayCircuitBytes, Name.circuitTime: .relayCircuitTime, Name.requests: .relayMaxRequests,
    ]

    static let shortestReservation = Duration.seconds(10)
    static let shortestCircuit = Duration.seconds(1)

    init(_ options: ResolvedOptions) throws(CLIError) {
        self.init()
        if let size = try options.value(.relayCircuitBytes, as: ArgumentValue.size) {
            circuitBytes = size == 0 ? nil : size
        }
        if let size = try options.value(.relayCircuitRate, as: ArgumentValue.size) {
            circuitRate = size == 0 ? nil : size
        }
        if let time = try options.value(.relayCircuitTime, as: ArgumentValue.timeout) {
            if let time, time < Self.shortestCircuit { throw CLIError(.badValue, "--circuit-time: shorter than 1s") }
            circuitTime = time
        }
        if let time = try options.value(.relayReservationTime, as: ArgumentValue.duration) {
            guard time >= Self.shortestReservation else {
                throw CLIError(.badValue, "--reservation-time: shorter than 10s")
            }
            reservationTime = time
        }
        let counts: [(OptionEntry, WritableKeyPath<RelayLimits, Int>)] = [
            (.relayMaxCircuits, \.circuits), (.relayMaxCircuitsPerIP, \.circuitsPerAddress),
            (.relayMaxCircuitsPerNode, \.circuitsPerNode), (.relayMaxCircuitsPerPair, \.circuitsPerPair),
            (.relayMaxCircuitsPerSubnet, \.circuitsPerSubnet),
            (.relayMaxRequests, \.requestsPerMinute), (.relayMaxReservations, \.reservations),
            (.relayMaxReservationsPerIP, \.reservationsPerAddress),
            (.relayMaxReservationsPerSubnet, \.reservationsPerSubnet),
        ]
        for (option, path) in counts {
            if let count = try options.value(option, as: ArgumentValue.count) { self[keyPath: path] = count }
        }
        guard circuits <= RelayForwarder.circuitLimit else {
            throw CLIError(.badValue, "--max-circuits: more than \(RelayForwarder.circuitLimit)")
        }
    }
}
