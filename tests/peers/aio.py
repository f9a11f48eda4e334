"""A foreign XMPP client made of aioxmpp, whose parser and types are strict: logs in, appears, writes to itself, asks the server.

Takes {"jid", "password", "port", "ca", "until"?: a text to wait for} as JSON on stdin, connects to the loopback with STARTTLS, and prints what it saw as JSON.
"""

import asyncio
import json
import sys

import aioxmpp
import OpenSSL.SSL

PATIENCE = 20  # seconds
HELLO = "<hello> & \u00e9\U0001f50c"


async def main(order):
    def context():
        made = aioxmpp.security_layer.default_ssl_context()
        made.load_verify_locations(order["ca"])
        return made

    layer = aioxmpp.make_security_layer(order["password"])
    layer = layer._replace(
        ssl_context_factory=context,
        certificate_verifier_factory=aioxmpp.security_layer.PKIXCertificateVerifier,
    )
    connector = aioxmpp.connector.STARTTLSConnector()
    client = aioxmpp.PresenceManagedClient(
        aioxmpp.JID.fromstr(order["jid"]), layer, override_peer=[("127.0.0.1", order["port"], connector)]
    )
    disco = client.summon(aioxmpp.DiscoClient)
    texts = asyncio.Queue()

    def received(message):
        if message.body:
            texts.put_nowait(message.body.any())

    dispatcher = client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
    for kind in (aioxmpp.MessageType.CHAT, aioxmpp.MessageType.NORMAL):
        dispatcher.register_callback(kind, None, received)
    async with client.connected() as stream:
        domain = client.local_jid.replace(localpart=None, resource=None)
        message = aioxmpp.Message(to=client.local_jid, type_=aioxmpp.MessageType.CHAT)
        message.body[None] = HELLO
        await client.send(message)
        all_texts = [await asyncio.wait_for(texts.get(), PATIENCE)]
        while not {HELLO, order.get("until", HELLO)} <= set(all_texts):  # what waited for the account comes before
            all_texts.append(await asyncio.wait_for(texts.get(), PATIENCE))
        await aioxmpp.ping.ping(client, domain)
        info = await disco.query_info(domain)
        roster = client.summon(aioxmpp.RosterClient)
        await roster.set_entry(aioxmpp.JID.fromstr("friend@elsewhere.example"), name="Friend")
        managed = stream.sm_enabled
    return {
        "texts": all_texts,
        "identities": sorted(f"{identity.category}/{identity.type_}" for identity in info.identities),
        "features": sorted(info.features),
        "managed": managed,
    }


print(json.dumps(asyncio.run(asyncio.wait_for(main(json.load(sys.stdin)), 3 * PATIENCE))))
