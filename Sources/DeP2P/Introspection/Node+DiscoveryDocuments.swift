internal import DeP2PApp
internal import DeP2PDiscovery
internal import DeP2PIdentity
internal import DeP2PReactor

/// What a node knows of the DHT, and which topics it hears, as introspection shows it. Fields are added, never renamed.
extension Node {
    var dhtDocument: JSON {
        guard let part = dhtPart else { return .object([.init("v", .int(1)), .init("used", .bool(false))]) }
        let buckets = part.dht.bucketCounts.enumerated().filter { $0.element > 0 }
        return .object([
            .init("v", .int(1)), .init("used", .bool(true)), .init("serves", .bool(part.isServing)),
            .init("known", .number(part.dht.knownCount)),
            .init(
                "buckets",
                .array(
                    buckets.map { index, count in
                        .object([.init("shared_bits", .number(index)), .init("known", .number(count))])
                    })),
            .init(
                "network_size", part.dht.size.estimate.flatMap { Int64(exactly: $0.rounded()) }.map(JSON.int) ?? .null),
            .init("records", .number(part.service.recordCount)),
            .init("bootstrap", .texts(part.dht.bootstrap.map { "\($0.nodeID)" })),
        ])
    }

    var pubsubDocument: JSON {
        .object([
            .init("v", .int(1)), .init("active", .bool(pubsub.isActive)),
            .init(
                "topics",
                .array(
                    pubsub.subscriptions.map { subscription in
                        .object([
                            .init("topic", .string(subscription.topic.name)),
                            .init("listeners", .number(subscription.listeners)),
                            .init("mesh", .number(subscription.mesh)),
                        ])
                    })),
        ])
    }
}
