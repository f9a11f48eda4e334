"""Two foreign XMPP clients made of slixmpp: one publishes, the other hears of it (XEP-0163, XEP-0060).

Takes one JSON object on stdin and prints one JSON object on stdout.

    in   {"publisher", "listener": BARE JID, "passwords": [OF THE PUBLISHER, OF THE LISTENER], "host", "port", "ca": FILE}
    out  what they have seen, step by step; see the functions below
"""

import asyncio
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0059 import Set
from slixmpp.plugins.xep_0060.stanza import Pubsub
from slixmpp.plugins.xep_0118 import stanza as tune
from slixmpp.xmlstream import register_stanza_plugin

WAIT = 20  # seconds
NODE = tune.UserTune.namespace
register_stanza_plugin(Pubsub, Set)


class Client(slixmpp.ClientXMPP):
    def __init__(self, order, jid, password, wishes):
        super().__init__(jid, password)
        self.ca_certs = Path(order["ca"])
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = True, False, False
        self.auto_authorize = self.auto_subscribe = True
        for plugin in ("xep_0030", "xep_0060", "xep_0115", "xep_0163", "xep_0059", "xep_0004"):
            self.register_plugin(plugin)
        if wishes:
            self.register_plugin("xep_0118")
        self.events = asyncio.Queue()
        for name in ("publish", "retract", "purge", "delete"):
            self.add_event_handler(f"pubsub_{name}", lambda message, name=name: self.events.put_nowait((name, message)))
        self.peer_seen = asyncio.Event()
        self.add_event_handler("presence_available", self.presence)
        self.host, self.port = order["host"], order["port"]

    def presence(self, stanza):
        if stanza["from"].bare != self.boundjid.bare:
            self.peer_seen.set()

    async def login(self):
        ready = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: ready.done() or ready.set_result(None))
        self.add_event_handler("failed_all_auth", lambda e: ready.done() or ready.set_exception(RuntimeError(str(e))))
        self.connect(self.host, self.port)
        await asyncio.wait_for(ready, WAIT)
        await self.plugin["xep_0115"].update_caps()
        await self.get_roster()
        self.send_presence()

    async def heard(self):
        name, message = await asyncio.wait_for(self.events.get(), WAIT)
        payload = message["pubsub_event"].xml
        return {"event": name, "from": str(message["from"]), "type": message["type"], "text": text(payload)}


def text(element):
    return "".join(part.strip() for part in element.itertext())


def payload(words):
    element = ET.Element("{%s}tune" % NODE)
    ET.SubElement(element, "{%s}title" % NODE).text = words
    return element


async def refused(request):
    try:
        await request
        return None
    except IqError as error:
        return error.iq["error"]["condition"]


async def personal(publisher, listener):
    """The listener, who is no friend yet, then one whose client asks for tunes; the last item, the next, another node."""
    pubsub, seen = publisher.plugin["xep_0060"], {}
    await pubsub.publish(None, NODE, id="current", payload=payload("first"))
    seen["stranger"] = await refused(listener.plugin["xep_0060"].get_items(publisher.boundjid.bare, NODE))
    listener.send_presence_subscription(publisher.boundjid.bare)
    await asyncio.wait_for(listener.peer_seen.wait(), WAIT)
    # The last item comes to who is let in, and again with the client's next initial presence.
    seen["let in"] = await listener.heard()
    listener.send_presence(ptype="unavailable")
    listener.send_presence()
    seen["last"] = await listener.heard()
    await pubsub.publish(None, "urn:example:other", id="x", payload=payload("not wanted"))
    await pubsub.publish(None, NODE, id="current", payload=payload("second"))
    seen["next"] = await listener.heard()
    items = await listener.plugin["xep_0060"].get_items(publisher.boundjid.bare, NODE)
    seen["items"] = [text(item.xml) for item in items["pubsub"]["items"]]
    info = await publisher.plugin["xep_0030"].get_info(jid=publisher.boundjid.bare, cached=False)
    seen["identities"] = sorted(f"{one[0]}/{one[1]}" for one in info["disco_info"]["identities"])
    return seen


async def private(publisher):
    """A node for the publisher's own clients (XEP-0223), and preconditions that are not met."""
    pubsub, form = publisher.plugin["xep_0060"], publisher.plugin["xep_0004"].make_form("submit")
    form.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    form.add_field("pubsub#persist_items", value="true")
    form.add_field("pubsub#access_model", value="whitelist")
    await pubsub.publish(None, "urn:example:private", id="x", payload=payload("mine"), options=form)
    again = publisher.plugin["xep_0004"].make_form("submit")
    again.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    again.add_field("pubsub#access_model", value="open")
    request = pubsub.publish(None, "urn:example:private", id="y", payload=payload("mine"), options=again)
    return {"conflict": await refused(request)}


async def shared(publisher, listener, service):
    """The service: found, used by both, and everything that happens there told to the subscriber."""
    pubsub, seen = publisher.plugin["xep_0060"], {}
    config = publisher.plugin["xep_0004"].make_form("submit")
    config.add_field("FORM_TYPE", "hidden", value="http://jabber.org/protocol/pubsub#node_config")
    config.add_field("pubsub#title", value="News")
    await pubsub.create_node(service, "news", config=config)
    seen["again"] = await refused(pubsub.create_node(service, "news"))
    info = await listener.plugin["xep_0030"].get_info(jid=service, cached=False)
    seen["identities"] = sorted(f"{one[0]}/{one[1]}" for one in info["disco_info"]["identities"])
    nodes = await listener.plugin["xep_0060"].get_nodes(service)
    seen["nodes"] = [item[1] for item in nodes["disco_items"]["items"]]
    subscribed = await listener.plugin["xep_0060"].subscribe(service, "news")
    seen["subscribed"] = subscribed["pubsub"]["subscription"]["subscription"]
    await pubsub.publish(service, "news", id="a", payload=payload("one"))
    await pubsub.publish(service, "news", id="b", payload=payload("two"))
    seen["published"] = [await listener.heard(), await listener.heard()]
    seen["forbidden"] = await refused(listener.plugin["xep_0060"].publish(service, "news", payload=payload("no")))
    page = await listener.plugin["xep_0060"].get_items(service, "news", max_items=1)
    seen["newest"] = [text(item.xml) for item in page["pubsub"]["items"]]
    pages = listener.plugin["xep_0060"].get_items(service, "news", iterator=True)
    seen["pages"] = [item["id"] async for page in pages for item in page["pubsub"]["items"]]
    await pubsub.retract(service, "news", "a", notify="true")
    await pubsub.purge(service, "news")
    await pubsub.delete_node(service, "news")
    seen["ended"] = [(await listener.heard())["event"] for _ in range(3)]
    return seen


async def main():
    order = json.load(sys.stdin)
    publisher = Client(order, order["publisher"], order["passwords"][0], wishes=False)
    listener = Client(order, order["listener"], order["passwords"][1], wishes=True)
    await publisher.login()
    await listener.login()
    service = "pubsub." + publisher.boundjid.domain
    seen = {"personal": await personal(publisher, listener), "private": await private(publisher)}
    seen["shared"] = await shared(publisher, listener, service)
    print(json.dumps(seen))
    for client in (publisher, listener):
        await client.disconnect()


asyncio.run(main())
