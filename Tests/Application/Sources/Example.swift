import DeP2P

func send(_ text: String, and file: String, to address: Address, in realm: RealmKey) async throws {
    let node = try await Node.start()
    try await node.join(realm)
    try await node.send(text, to: DialTarget(address))

    try await node.send(files: [file], to: DialTarget(address))
    await node.stop()
}

func receive(into folder: String, in realm: RealmKey) async throws {
    let node = try await Node.start()
    try await node.join(realm)
    let events = await node.events()
    try await node.receive(into: folder) { message in
        print("\(message.from): \(String(decoding: message.body, as: UTF8.self))")
        return nil
    }
    print("send to", await node.addresses[0])
    for await event in events { print(event) }
}

func talk(to address: Address, over node: Node) async throws {
    let stream = try await node.openStream("chat", to: DialTarget(address))
    try await stream.write("hello")
    await stream.finish()
    for try await bytes in stream { print(String(decoding: bytes, as: UTF8.self)) }
}
