"""A slixmpp user of some server, told what to do line by line, for tests in which several servers talk.

The first line of stdin is {"jid", "password", "port", "ca"}; each further one is an order {"n", "do", ...}. Each order is
answered by one line {"n", "ok"} or {"n", "error"} on stdout; what comes in by itself is a line {"event", ...}.
"""

import asyncio
import json
import sys
from xml.etree import ElementTree

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout


def say(**line):
    print(json.dumps(line), flush=True)


class User(slixmpp.ClientXMPP):
    def __init__(self, order):
        super().__init__(order["jid"], order["password"])
        self.ca_certs = order["ca"]
        self.enable_direct_tls = False
        self.roster.auto_authorize = None
        self.roster.auto_subscribe = False
        for plugin in ("xep_0030", "xep_0092", "xep_0115", "xep_0163", "xep_0199"):
            self.register_plugin(plugin)
        if order.get("managed"):
            self.register_plugin("xep_0198", {"window": 1})  # every stanza is to be acknowledged at once
        self.plugin["xep_0030"].add_feature("urn:example:weather+notify")
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("message_error", self.on_message)
        self.add_event_handler("pubsub_publish", self.on_publish)
        for kind in ("subscribe", "subscribed", "unsubscribe", "unsubscribed", "available", "unavailable"):
            self.add_event_handler(f"presence_{kind}", self.on_presence)
        self.add_event_handler("disconnected", lambda reason: say(event="disconnected"))

    def on_message(self, message):
        if message["type"] == "error":
            say(event="bounce", by=message["from"].bare, condition=message["error"]["condition"])
        else:
            delayed = message.xml.find("{urn:xmpp:delay}delay") is not None
            say(event="message", by=message["from"].bare, body=message["body"], delayed=delayed)

    def on_publish(self, message):
        items = message.xml.find("{http://jabber.org/protocol/pubsub#event}event")
        say(event="published", by=message["from"].bare, item="".join(items.itertext()).strip())

    def on_presence(self, presence):
        say(event="presence", by=presence["from"].bare, type=presence["type"])

    async def acknowledged(self):
        """Returns once the server has acknowledged all that was sent."""
        while self.plugin["xep_0198"].unacked_queue:
            self.plugin["xep_0198"].request_ack()
            await asyncio.sleep(0.05)

    async def do(self, order):
        to = order.get("to")
        match order["do"]:
            case "message":
                self.send_message(to, order["body"])
            case "presence":
                self.send_presence(pto=to, ptype=order.get("type"))
            case "ping":
                await self.plugin["xep_0199"].ping(to, timeout=order.get("within", 30))
            case "version":
                return (await self.plugin["xep_0092"].get_version(to, timeout=30))["software_version"]["name"]
            case "disco":
                info = await self.plugin["xep_0030"].get_info(to, timeout=30)
                return sorted(f"{identity[0]}/{identity[1]}" for identity in info["disco_info"]["identities"])
            case "features":
                info = await self.plugin["xep_0030"].get_info(to, timeout=30)
                return sorted(info["disco_info"]["features"])
            case "acknowledged":
                await asyncio.wait_for(self.acknowledged(), 30)
            case "publish":
                item = ElementTree.Element("{urn:example:weather}weather")
                item.text = order["item"]
                await self.plugin["xep_0060"].publish(None, "urn:example:weather", payload=slixmpp.ElementBase(item))
            case "raw":
                self.send_raw(order["xml"])
            case unknown:
                raise ValueError(unknown)
        return True


async def orders():
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield json.loads(line)


async def main():
    user, tasks = None, set()

    async def answer(order):
        try:
            say(n=order["n"], ok=await user.do(order))
        except IqError as error:
            say(n=order["n"], error=error.iq["error"]["condition"])
        except IqTimeout:
            say(n=order["n"], error="no answer")

    async for order in orders():
        if user is None:
            user = User(order)
            user.connect("127.0.0.1", order["port"])
            await user.wait_until("session_start", timeout=30)
            await user.get_roster()
            # What it wants to be told stands in its presence, as a hash.
            await user.plugin["xep_0115"].update_caps(broadcast=False)
            user.send_presence()
            # Answered after the presence before it: from now on messages come here, and are not kept for later.
            await user.plugin["xep_0199"].ping(user.boundjid.domain, timeout=30)
            say(event="ready")
        else:
            task = asyncio.create_task(answer(order))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    await user.disconnect()


asyncio.run(main())
