import DeP2P

/// A named value of a JSON object; the order is kept.
struct JSONField: Equatable, Sendable {
    let name: String
    let value: JSONValue

    init(_ name: String, _ value: JSONValue) {
        self.name = name
        self.value = value
    }

    static func string(_ name: String, _ value: String?) -> Self { Self(name, value.map(JSONValue.string) ?? .null) }
    static func int(_ name: String, _ value: some BinaryInteger) -> Self {
        Self(name, .int(Int64(clamping: value)))
    }
    static func bool(_ name: String, _ value: Bool) -> Self { Self(name, .bool(value)) }

    /// A duration in seconds or milliseconds, to the microsecond.
    static func seconds(_ name: String, _ value: Duration?) -> Self {
        Self(name, value.map { .fixed($0.wholeMilliseconds, decimals: 3) } ?? .null)
    }
    static func milliseconds(_ name: String, _ value: Duration?) -> Self {
        Self(name, value.map { .fixed($0.wholeMicroseconds, decimals: 3) } ?? .null)
    }

    /// A path: `name` when it is UTF-8, otherwise `name_base64`.
    static func path(_ name: String, _ bytes: [UInt8]) -> Self { text(bytes, named: name, orBase64: name + "_base64") }

    /// Content: under `name` when it is UTF-8, otherwise in base64 under `other`.
    static func text(_ bytes: [UInt8], named name: String, orBase64 other: String) -> Self {
        if let text = String(validating: bytes, as: UTF8.self) { return Self(name, .string(text)) }
        return Self(other, .string(Base64.encode(bytes)))
    }
}
