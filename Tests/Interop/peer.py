"""A libp2p node of another implementation (libp2p for Python) over quic-v1.

usage: peer.py listen [--key KIND]               prints {"address": …}, serves identify and ping until stdin ends
       peer.py dial ADDRESS [--key KIND]         connects, identifies, pings; prints what it saw as one JSON object
       peer.py gossip [ADDRESS …] [--protocol P] listens to a topic of GossipSub, connected with those; each line of stdin is
                                                 "publish TEXT", "state" or "unsubscribe"; prints messages and states
       peer.py kad [--through ADDRESS …]         as listen, and serves a Kademlia that begins with those nodes; each line of
                                                 stdin is a peer ID to find: prints {"found": [address…]}; or "provide CID":
                                                 prints {"provides": whether anybody was told}; or "providers CID": prints
                                                 {"providers": {peer ID: [address…]}}
"""

import argparse
import faulthandler
import hashlib
import json
import logging
import sys

import multiaddr
import trio
from cryptography.hazmat.primitives import serialization
from libp2p import new_host
from libp2p.crypto import ed25519, rsa, secp256k1
from libp2p.custom_types import TProtocol
from libp2p.host.ping import perform_ping_roundtrip
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.kad_dht import kad_dht, peer_routing, provider_store
from libp2p.peer.envelope import consume_envelope
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub import gossipsub
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.tools.anyio_service.context import background_trio_service
from libp2p.transport.quic.stream import QUICStream

KEYS = {
    "ed25519": ed25519.create_new_key_pair,
    "secp256k1": secp256k1.create_new_key_pair,
    "rsa": rsa.create_new_key_pair,
}
IDENTIFY, PING = TProtocol("/ipfs/id/1.0.0"), TProtocol("/ipfs/ping/1.0.0")
LARGEST_IDENTIFY = 64 * 1024
# Seconds for a dial, and for the whole process of one: after that it ends with the stacks of its threads.
DIAL_PATIENCE, PATIENCE = 60, 120


def make_host(kind):
    return new_host(key_pair=KEYS[kind](), enable_quic=True)


async def listen(options):
    host = make_host(options.key)
    address = multiaddr.Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1")
    async with host.run(listen_addrs=[address]):
        own = str(host.get_addrs()[0])
        if "/p2p/" not in own:
            own += f"/p2p/{host.get_id()}"
        print(json.dumps({"address": own, "peer_id": str(host.get_id())}), flush=True)
        await trio.to_thread.run_sync(sys.stdin.buffer.read)


async def read_to_end(stream, limit):
    received = b""
    while len(received) <= limit:
        try:
            part = await stream.read(4096)
        except Exception as failure:  # the library ends a read after FIN with an exception of its own
            if received:
                return received
            raise failure
        if not part:
            break
        received += part
    return received


def mend_reading():
    """QUICStream.read looks into its buffer and, after others had their turn, whether the stream has ended: of what came
    in between together with its end it says that there is nothing. An answer in one packet is lost so, now and then on a
    busy machine."""
    read = QUICStream.read

    async def read_all(stream, n=None):
        try:
            return await read(stream, n)
        except EOFError:
            if stream._receive_buffer:
                return await read(stream, n)
            raise

    QUICStream.read = read_all


async def identify(host, peer):
    """What the identify protocol says about the peer, its signed record opened and checked."""
    stream = await host.new_stream(peer, [IDENTIFY])
    message = parse_identify_response(await read_to_end(stream, LARGEST_IDENTIFY))
    result = {
        "protocol_version": message.protocol_version,
        "agent": message.agent_version,
        "protocols": list(message.protocols),
        "listen": [str(multiaddr.Multiaddr(raw)) for raw in message.listen_addrs],
        "observed": str(multiaddr.Multiaddr(message.observed_addr)) if message.observed_addr else None,
        "public_key": message.public_key.hex(),
        "record": None,
    }
    if message.HasField("signedPeerRecord"):
        envelope, record = consume_envelope(message.signedPeerRecord, "libp2p-peer-record")
        result["record"] = {
            "signer": str(ID.from_pubkey(envelope.public_key)), "peer_id": str(record.peer_id), "seq": record.seq,
            "addresses": [str(address) for address in record.addrs]}
    return result


def certificate_facts(host, peer):
    """The TLS certificate that the peer showed, as far as a connection of this library keeps it."""
    for connection in host.get_network().connections.get(peer, []):
        muxed = getattr(connection, "muxed_conn", connection)
        certificate = getattr(muxed, "_peer_certificate", None)
        if certificate is None:
            tls = getattr(getattr(muxed, "_quic", None), "tls", None)
            certificate = getattr(tls, "_peer_certificate", None)
        if certificate is None:
            continue
        extension = next(
            item for item in certificate.extensions if item.oid.dotted_string == "1.3.6.1.4.1.53594.1.1")
        return {
            "key": type(certificate.public_key()).__name__,
            "spki_bytes": len(certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)),
            "not_before": certificate.not_valid_before_utc.isoformat(),
            "not_after": certificate.not_valid_after_utc.isoformat(),
            "extension_critical": extension.critical, "serial": certificate.serial_number,
            "subject": certificate.subject.rfc4514_string(), "signature": certificate.signature_algorithm_oid._name}
    return None


TOPIC = "interop"


def message_id(message):
    """SHA-256 of all of it but the key (PROTOCOL.md, section 25); which id messages have is each network's own."""
    bare = rpc_pb2.Message()
    bare.CopyFrom(message)
    bare.ClearField("key")
    return hashlib.sha256(bare.SerializeToString(deterministic=True)).digest()


async def tell(subscription):
    while True:
        message = await subscription.get()
        print(json.dumps({"from": str(ID(message.from_id)), "bytes": len(message.data), "data": message.data[:64].hex()}),
              flush=True)


async def gossip(options):
    host = make_host(options.key)
    router = gossipsub.GossipSub(
        protocols=[TProtocol(options.protocol)], degree=6, degree_low=5, degree_high=12, heartbeat_interval=1,
        max_messages_per_topic_per_second=1000.0)
    pubsub = Pubsub(host, router, strict_signing=True, msg_id_constructor=message_id)
    async with (host.run(listen_addrs=[multiaddr.Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1")]),
                background_trio_service(pubsub), background_trio_service(router), trio.open_nursery() as nursery):
        await pubsub.wait_until_ready()
        nursery.start_soon(tell, await pubsub.subscribe(TOPIC))
        for address in options.addresses:
            with trio.fail_after(DIAL_PATIENCE):
                await host.connect(info_from_p2p_addr(multiaddr.Multiaddr(address)))
        print(json.dumps({"address": f"{str(host.get_addrs()[0]).split('/p2p/')[0]}/p2p/{host.get_id()}",
                          "peer_id": str(host.get_id())}), flush=True)
        while line := await trio.to_thread.run_sync(sys.stdin.readline):
            command, _, text = line.strip().partition(" ")
            if command == "publish":
                await pubsub.publish(TOPIC, text.encode())
            elif command == "unsubscribe":
                await pubsub.unsubscribe(TOPIC)
            print(json.dumps({"listeners": len(pubsub.peer_topics.get(TOPIC, ())), "mesh": len(router.mesh.get(TOPIC, ()))}),
                  flush=True)
        nursery.cancel_scope.cancel()


async def kad(options):
    for module in (kad_dht, peer_routing, provider_store):
        module.PROTOCOL_ID = TProtocol(options.protocol)
    host = make_host(options.key)
    async with host.run(listen_addrs=[multiaddr.Multiaddr("/ip4/127.0.0.1/udp/0/quic-v1")]):
        dht = kad_dht.KadDHT(host, kad_dht.DHTMode.SERVER)
        async with background_trio_service(dht):
            for address in options.through:
                info = info_from_p2p_addr(multiaddr.Multiaddr(address))
                with trio.fail_after(DIAL_PATIENCE):
                    await host.connect(info)
                host.get_peerstore().add_addrs(info.peer_id, info.addrs, 3600)
                await dht.add_peer(info.peer_id)
            print(json.dumps({"address": f"{str(host.get_addrs()[0]).split('/p2p/')[0]}/p2p/{host.get_id()}",
                              "peer_id": str(host.get_id()), "table": dht.get_routing_table_size()}), flush=True)
            while line := await trio.to_thread.run_sync(sys.stdin.readline):
                with trio.fail_after(DIAL_PATIENCE):
                    print(json.dumps(await do(dht, *line.split())), flush=True)


async def do(dht, command, cid=None):
    if command == "provide":
        return {"provides": await dht.provide(cid)}
    if command == "providers":
        found = await dht.find_providers(cid)
        return {"providers": {str(one.peer_id): [str(address) for address in one.addrs] for one in found}}
    found = await dht.find_peer(ID.from_string(command))
    return {"found": [str(address) for address in found.addrs] if found else []}


async def dial(options):
    faulthandler.dump_traceback_later(PATIENCE, exit=True)
    host = make_host(options.key)
    info = info_from_p2p_addr(multiaddr.Multiaddr(options.address))
    async with host.run(listen_addrs=[]):
        with trio.fail_after(DIAL_PATIENCE):
            await host.connect(info)
            result = {"peer_id": str(info.peer_id), "own_id": str(host.get_id())}
            result["certificate"] = certificate_facts(host, info.peer_id)
            result["identify"] = await identify(host, info.peer_id)
            stream = await host.new_stream(info.peer_id, [PING])
            result["ping_ms"] = [await perform_ping_roundtrip(stream) for _ in range(options.count)]
            await stream.close()
        print(json.dumps(result), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true")
    commands = parser.add_subparsers(required=True)
    listening = commands.add_parser("listen")
    listening.set_defaults(run=listen)
    dialling = commands.add_parser("dial")
    dialling.add_argument("address")
    dialling.add_argument("-c", "--count", type=int, default=5)
    dialling.set_defaults(run=dial)
    finding = commands.add_parser("kad")
    finding.add_argument("--through", action="append", default=[])
    finding.add_argument("--protocol", default="/ipfs/kad/1.0.0")
    finding.set_defaults(run=kad)
    gossiping = commands.add_parser("gossip")
    gossiping.add_argument("addresses", nargs="*")
    gossiping.add_argument("--protocol", default="/meshsub/1.2.0")
    gossiping.set_defaults(run=gossip)
    for command in (listening, dialling, finding, gossiping):
        command.add_argument("--key", choices=KEYS, default="ed25519")
    options = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.CRITICAL)
    mend_reading()
    trio.run(options.run, options)


main()
