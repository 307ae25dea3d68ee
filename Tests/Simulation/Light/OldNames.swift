/// What the light form was called before it was a world's.
package typealias MemoryNetwork = LightNetwork
package typealias MemoryTransport = LightTransport
package typealias MemoryConnection = LightConnection
package typealias PipeStream = LightStream
