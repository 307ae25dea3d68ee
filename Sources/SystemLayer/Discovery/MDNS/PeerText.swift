package import DeP2PIdentity

/// The text record of a peer (libp2p's specification of mDNS): one attribute for each address, and for members of the
/// node's realm one by which they know it, and one by which they know that it is one of them.
package struct PeerText: Hashable, Sendable {
    /// Addresses that are told, and that are looked at.
    package static let addressLimit = 8
    private static let addressKey = Array("dnsaddr=".utf8)
    private static let memberKey = Array("member=".utf8)
    private static let realmKey = Array("realm=".utf8)

    /// Each as it travels, in that order: `/ip4/…/udp/…/quic-v1`, where the node shows itself with `/p2p/` and its NodeID.
    package let addresses: [[UInt8]]
    /// See ``MemberTag``: with its NodeID, and without.
    package let tag: [UInt8]?
    package let realmTag: [UInt8]?

    package init(addresses: [[UInt8]], tag: [UInt8]? = nil, realmTag: [UInt8]? = nil) {
        self.addresses = Array(addresses.prefix(Self.addressLimit))
        (self.tag, self.realmTag) = (tag, realmTag)
    }

    /// What is of interest of a text record's strings.
    package init(reading strings: [[UInt8]]) {
        self.init(
            addresses: strings.lazy.filter { $0.starts(with: Self.addressKey) }
                .map { Array($0.dropFirst(Self.addressKey.count)) },
            tag: Self.tag(strings, Self.memberKey), realmTag: Self.tag(strings, Self.realmKey))
    }

    private static func tag(_ strings: [[UInt8]], _ key: [UInt8]) -> [UInt8]? {
        strings.first { $0.starts(with: key) }.flatMap { Hex.decode(Array($0.dropFirst(key.count))) }
    }

    /// Those that are too long for a string of a text record are left out.
    package var strings: [[UInt8]] {
        let tags = [(Self.memberKey, tag), (Self.realmKey, realmTag)].compactMap { key, tag in
            tag.map { key + Array(Hex.encode($0).utf8) }
        }
        let all = addresses.map { Self.addressKey + $0 } + tags
        return all.filter { $0.count <= Int(UInt8.max) }
    }

    /// The addresses that are `nodeID`'s: by their own words, or by a tag of the realm's that names it and them.
    ///
    /// - Parameters:
    ///   - peerName: under which the text was told.
    ///   - realm: the key that ``MemberTag`` takes, of who is in a realm.
    package func addresses(of nodeID: NodeID, peerName: [UInt8], realm: AuthenticationKey?) -> [Address] {
        let ending = Array("/p2p/\(nodeID)".utf8)
        let shown = addresses.filter { $0.suffix(ending.count).elementsEqual(ending) }
        let texts: [[UInt8]]
        if !shown.isEmpty {
            texts = shown
        } else if let realm, let tag,
            MemberTag(peerName: peerName, nodeID: nodeID, addresses: addresses, realm: realm).bytes == tag
        {
            texts = addresses
        } else {
            return []
        }
        return Self.read(texts)
    }

    /// The addresses, if they are those of a member of the realm.
    package func memberAddresses(peerName: [UInt8], realm: AuthenticationKey?) -> [Address] {
        guard let realm, let realmTag,
            MemberTag(peerName: peerName, nodeID: nil, addresses: addresses, realm: realm).bytes == realmTag
        else { return [] }
        return Self.read(addresses)
    }

    private static func read(_ texts: [[UInt8]]) -> [Address] {
        texts.compactMap { text in
            // A stranger's text that is no address is passed over.
            String(validating: text, as: UTF8.self).flatMap { try? Address($0) }?.withoutNodeID
        }
    }
}
