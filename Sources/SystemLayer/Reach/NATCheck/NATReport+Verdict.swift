internal import DeP2PIdentity
internal import DeP2PReactor

extension NATReport {
    /// One sentence: who will reach whom, and how.
    public var verdict: String {
        guard observers > 0 else { return silence }
        if isNarrow == true {
            return "UDP passes here, but no packets of the 1,200 bytes that QUIC needs: connections run through a relay"
                + " over TCP"
        }
        if let type = natType { return sentence(type) + remark }
        return undetermined + remark
    }

    private var silence: String {
        switch (observersAsked, udp) {
        case (0, _): "no observer to ask"
        case _ where captivePortal == true:
            "this network answers in place of the servers (a captive portal): log in first, in a web browser"
        case (_, false?): "UDP is blocked here: connections run through a relay over TCP"
        case _ where ipv4Family.unusable + ipv6Family.unusable > 0:
            "UDP passes, but none of \(observersAsked) observers gave a usable answer: they are no STUN servers, or it is"
                + " another port"
        case _ where tcp == true:
            "nothing came over UDP, while TCP works: UDP is blocked here, or nothing listens at that port; ask another"
                + " server to tell"
        case _ where tcp == false:
            "none of \(observersAsked) observers answered, and TCP does not lead to them either: they are down, or there is"
                + " no way out of this network"
        default:
            "none of \(observersAsked) observers answered over UDP: whether UDP is blocked here or they are down"
                + " is not determined"
        }
    }

    private func sentence(_ type: NATType) -> String {
        switch type {
        case .open: "no NAT: anyone reaches this node directly"
        case .firewall:
            "no NAT, but a firewall lets in only replies: peers connect directly by hole punching"
        case .fullCone: "behind a full cone NAT: anyone reaches this node directly through its observed address"
        case .addressRestricted:
            "behind an address-restricted cone NAT: peers connect directly by hole punching, whatever their NAT"
        case .portRestricted:
            "behind a port-restricted cone NAT: peers connect directly by hole punching, those behind a symmetric NAT"
                + " after some seconds, when its ports are guessed"
        case .symmetric: symmetric
        }
    }

    private var symmetric: String {
        let start = "behind a symmetric NAT (mapping varies): needs a relay to peers behind a symmetric"
        return if case .sequential(let step)? = decisive.allocation {
            "\(start) or port-restricted NAT unless hole punching predicts its ports (steps of \(step)), all others connect"
                + " directly"
        } else {
            "\(start) NAT, connects directly to those behind a port-restricted one when its ports are guessed, and to all"
                + " others"
        }
    }

    private var undetermined: String {
        let answered = "\(observers) of \(observersAsked) observers answered"
        let family = decisive
        switch (family.isTranslated, family.mapping, family.filtering) {
        case (nil, _, _): return "\(answered): whether there is a NAT is not determined"
        case (false?, _, _):
            return "no NAT: peers connect directly; \(answered), so whether a firewall keeps strangers out"
                + " is not determined"
        case (true?, nil, _):
            return "behind a NAT; \(answered), so whether its mapping varies is not determined: ask two observers at"
                + " different addresses"
        case (true?, _, .endpointDependent?):
            return
                "behind a NAT with a stable mapping that keeps strangers out: peers connect directly by hole punching"
        case (true?, _, _):
            return
                "behind a NAT with a stable mapping: peers connect directly by hole punching; \(answered), so whether"
                + " it lets strangers in is not determined"
        }
    }

    /// What a port is worth that the gateway opens: nothing where a carrier's NAT lies before it.
    private var openPort: String {
        guard let gatewayAddress else {
            return "but does not tell its address: whether a port that it opens can be reached is not determined"
        }
        let seen = ipv4Family.mapped?.ip ?? ipv4Family.observations.first?.mapped.ip
        guard let seen else { return "whether a port that it opens can be reached is not determined" }
        return gatewayAddress == seen
            ? "so a port can be opened for everyone"
            : "but another NAT lies before it (its address is \(gatewayAddress), others see \(seen)): a port that it opens"
                + " leads nowhere"
    }

    /// What changes the sentence before it.
    private var remark: String {
        let mapped = portMapping.filter(\.value).keys.map(\.name).sorted()
        if decisive.isTranslated == true, !mapped.isEmpty {
            return "; the gateway offers \(mapped.joined(separator: ", ")), \(openPort)"
        }
        let reachable: [NATType] = [.open, .firewall]
        if decisive.isTranslated == true, ipv6Family.works == true, let type = ipv6Family.natType,
            reachable.contains(type)
        {
            return "; peers with IPv6 connect directly over it"
        }
        return ""
    }
}
