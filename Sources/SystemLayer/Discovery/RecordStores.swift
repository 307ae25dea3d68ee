package import DeP2PReactor

/// Several stores as one: each gets the same bytes, and is asked at once with the others.
@NetworkActor
package final class RecordStores: RecordStoring {
    private let stores: [any RecordStoring]

    package init(_ stores: [any RecordStoring]) { self.stores = stores }

    package func findItem(
        _ key: [UInt8], within patience: Duration, onItem: @escaping @NetworkActor (MutableItem) -> Void
    ) async -> (asked: Int, answered: Int) {
        let all = await each { await $0.findItem(key, within: patience, onItem: onItem) }
        return all.reduce((asked: 0, answered: 0)) { ($0.asked + $1.asked, $0.answered + $1.answered) }
    }

    package func store(_ item: MutableItem) async -> Int { await each { await $0.store(item) }.reduce(0, +) }

    package func withdraw(_ key: [UInt8]) {
        for store in stores { store.withdraw(key) }
    }

    /// What each store says, in their order. In a task that is cancelled those that have not are left out.
    private func each<Value: Sendable>(
        _ body: @escaping @NetworkActor @Sendable (any RecordStoring) async -> Value
    ) async -> [Value] {
        let tasks = stores.map { store in SharedTask { await body(store) } }
        var values: [Value] = []
        for task in tasks {
            // It throws where this task is cancelled, and then the store's own is.
            if let value = try? await task.value() { values.append(value) }
        }
        return values
    }
}
