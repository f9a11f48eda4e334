"""A foreign XMPP client made of slixmpp: does what the test tells it and says what it saw.

Takes one JSON object on stdin and prints one JSON object on stdout; xmppjs.mjs does the same with @xmpp/client.

    in   {"jid", "password", "host", "port", "tls": "starttls"|"direct", "ca": FILE, "gateway": BARE JID,
          "dialect": "nfi"|"nf"|"ieee"|"xmpp", "steps": [STEP...]}
    STEP {"do": "login"} {"do": "subscribe"} {"do": "disco"} {"do": "items"} {"do": "nodes"}
         {"do": "read", "node", "source"} {"do": "set", "node", "source", "element", "name", "value"}
         with the dialect xmpp, by slixmpp's plug-ins for XEP-0323 and XEP-0325: {"do": "plugin_read", "node", "cancel"}
         {"do": "plugin_set", "node", "type", "name", "value"} {"do": "plugin_order", as plugin_set}
         {"do": "pour", "peer": JID, "most"} sends numbered messages, asking for an answer after every ten and printing
         `ACKNOWLEDGED n`, until the stream ends;  {"do": "collect", "last": n} waits for all of them
         each may say "to": JID, else the gateway's full JID is used (its bare JID before a presence has come)
    out  {"steps": [RESULT...]}; a result has "error": CONDITION when the peer answered with an error
"""

import asyncio
import json
import logging
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

LOGIN, ANSWER, READOUT = 20, 15, 30  # seconds


def local(element):
    return element.tag.rpartition("}")[2]


class Client(slixmpp.ClientXMPP):
    def __init__(self, order):
        super().__init__(order["jid"], order["password"])
        self.order = order
        self.ca_certs = Path(order["ca"])
        self.enable_direct_tls = order["tls"] == "direct"
        self.enable_starttls = order["tls"] == "starttls"
        self.enable_plaintext = False
        self.register_plugin("xep_0030")
        if order["dialect"] == "xmpp":
            self.register_plugin("xep_0323")
            self.register_plugin("xep_0325")
        self.gateway = slixmpp.JID(order["gateway"])
        self.gateway_full = None
        self.seen = asyncio.Event()
        self.messages = asyncio.Queue()
        self.texts = asyncio.Queue()
        self.space = lambda name: f"urn:{order['dialect']}:iot:{name}:1.0"
        self.add_event_handler("presence_available", self.presence)
        self.add_event_handler("message", lambda message: self.texts.put_nowait(int(message["body"] or 0)))
        for name in ("resp", "started", "done"):
            path = "{jabber:client}message/{%s}%s" % (self.space("sd"), name)
            self.register_handler(Callback(name, MatchXPath(path), self.messages.put_nowait))

    def presence(self, stanza):
        if stanza["from"].bare == self.gateway.bare and stanza["from"].resource:
            self.gateway_full = stanza["from"]
            self.seen.set()

    def target(self, step):
        return slixmpp.JID(step["to"]) if "to" in step else (self.gateway_full or self.gateway)

    async def ask(self, kind, to, payload):
        iq = self.make_iq(ito=to, itype=kind)
        iq.append(payload)
        answer = await iq.send(timeout=ANSWER)
        children = list(answer.xml)
        return children[0] if children else None

    async def login(self, step):
        ready = asyncio.get_running_loop().create_future()

        def settle(text):
            return lambda event: ready.done() or ready.set_exception(RuntimeError(f"{text}: {event}"))

        self.add_event_handler("session_start", lambda _: ready.done() or ready.set_result(None))
        self.add_event_handler("failed_all_auth", settle("not authenticated"))
        self.add_event_handler("connection_failed", settle("connection failed"))
        self.add_event_handler("ssl_invalid_chain", settle("certificate refused"))
        self.connect(self.order["host"], self.order["port"])
        await asyncio.wait_for(ready, LOGIN)
        self.send_presence()
        await self.get_roster()
        tls = self.transport.get_extra_info("ssl_object")
        return {"jid": self.boundjid.full, "tls": tls.version(), "mechanism": self.plugin["feature_mechanisms"].mech.name}

    async def subscribe(self, step):
        self.send_presence_subscription(pto=self.gateway.bare)
        await asyncio.wait_for(self.seen.wait(), step.get("within", ANSWER))
        return {"gateway": self.gateway_full.full}

    async def disco(self, step):
        info = await self.plugin["xep_0030"].get_info(jid=self.target(step), timeout=ANSWER)
        found = info["disco_info"]
        return {
            "identities": sorted([kind[0], kind[1]] for kind in found["identities"]),
            "features": sorted(found["features"]),
        }

    async def items(self, step):
        items = await self.plugin["xep_0030"].get_items(jid=self.target(step), timeout=ANSWER)
        return {"items": sorted(item[0] for item in items["disco_items"]["items"])}

    async def nodes(self, step):
        space = self.space("concentrator")
        sources = await self.ask("get", self.target(step), ET.Element("{%s}getAllDataSources" % space))
        found = []
        for source in sources:
            request = ET.Element("{%s}getAllNodes" % space, {"src": source.get("src")})
            for node in await self.ask("get", self.target(step), request):
                found.append(dict(node.attrib, source=source.get("src")))
        return {"answered": sources.tag, "nodes": found}

    async def read(self, step):
        space = self.space("sd")
        request = ET.Element("{%s}req" % space, {"id": "r1", "all": "true"})
        ET.SubElement(request, "{%s}nd" % space, {"id": step["node"], "src": step["source"]})
        while not self.messages.empty():
            self.messages.get_nowait()
        first = await self.ask("get", self.target(step), request)
        fields, errors, part = [], [], first
        while True:
            if local(part) == "resp":
                for node in part:
                    for moment in node:
                        for field in moment:
                            if local(field) == "err":
                                errors.append(field.text)
                            else:
                                fields.append(
                                    dict(field.attrib, type=local(field), node=node.get("id"), at=moment.get("v"))
                                )
                if part.get("more") not in ("true", "1"):
                    break
            elif local(part) == "done":
                break
            message = await asyncio.wait_for(self.messages.get(), READOUT)
            part = list(message.xml)[-1]
        return {"answered": first.tag, "fields": fields, "errors": errors}

    async def set(self, step):
        space = self.space("ctr")
        request = ET.Element("{%s}set" % space)
        ET.SubElement(request, "{%s}nd" % space, {"id": step["node"], "src": step["source"]})
        ET.SubElement(request, "{%s}%s" % (space, step["element"]), {"n": step["name"], "v": step["value"]})
        answer = await self.ask("set", self.target(step), request)
        return {"answered": answer.tag, "parameters": [p.get("n") for p in answer if local(p) == "p"]}

    async def plugin_read(self, step):
        """One readout, or with `cancel` one that is given up as soon as it is accepted: all that the plug-in tells of it."""
        told = asyncio.Queue()
        plugin = self.plugin["xep_0323"]
        flags = {"all": "true"}
        if "when" in step:
            flags["when"] = step["when"]
        session = plugin.request_data(
            self.boundjid.full,
            self.target(step).full,
            lambda from_jid, result, **rest: told.put_nowait((result, rest)),
            nodeIds=[step["node"]],
            flags=flags,
        )
        results, fields, errors = [], [], []
        while not results or results[-1] not in ("done", "failure", "rejected", "cancelled"):
            result, rest = await asyncio.wait_for(told.get(), READOUT)
            results.append(result)
            errors += [rest["error_msg"]] if result == "failure" else []
            for field in rest.get("fields", []):
                known = {"node": rest["nodeId"], "at": rest["timestamp"]}
                fields.append(dict(known, **{key: str(field.get(key)) for key in ("name", "typename", "value", "unit")}))
            if step.get("cancel") and result in ("accepted", "queued"):
                plugin.cancel_request(session)
        return {"results": results, "fields": fields, "errors": errors}

    async def plugin_set(self, step):
        told = asyncio.get_running_loop().create_future()
        self.plugin["xep_0325"].set_request(
            self.boundjid.full,
            self.target(step).full,
            lambda **rest: told.set_result(rest),
            fields=[(step["name"], step["type"], step["value"])],
            nodeIds=[step["node"]],
        )
        answer = await asyncio.wait_for(told, ANSWER)
        return {"result": answer["result"]}

    async def plugin_order(self, step):
        """An order in a message, which nothing answers."""
        self.plugin["xep_0325"].set_command(
            self.boundjid.full,
            self.target(step).full,
            fields=[(step["name"], step["type"], step["value"])],
            nodeIds=[step["node"]],
        )
        return {}

    async def pour(self, step):
        acknowledged = 0
        ended = asyncio.Event()
        self.add_event_handler("disconnected", lambda _: ended.set())
        for number in range(1, step["most"] + 1):
            if ended.is_set():
                break
            self.send_message(mto=slixmpp.JID(step["peer"]), mbody=str(number), mtype="chat")
            if number % 10 == 0:
                # The server handles a stream in order: an answer means that all messages before it were taken.
                ping = self.make_iq_get(ito=self.boundjid.domain)
                ping.append(ET.Element("{urn:xmpp:ping}ping"))
                answer = asyncio.ensure_future(ping.send(timeout=ANSWER))
                await asyncio.wait({answer, asyncio.ensure_future(ended.wait())}, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() or answer.exception():
                    break
                acknowledged = number
                print(f"ACKNOWLEDGED {acknowledged}", flush=True)
        await asyncio.wait_for(ended.wait(), READOUT)
        return {"acknowledged": acknowledged}

    async def collect(self, step):
        missing = set(range(1, step["last"] + 1))
        end = asyncio.get_running_loop().time() + READOUT
        while missing and asyncio.get_running_loop().time() < end:
            try:
                missing.discard(await asyncio.wait_for(self.texts.get(), 1))
            except asyncio.TimeoutError:
                pass
        return {"missing": sorted(missing)}


async def main():
    order = json.loads(sys.stdin.read())
    client = Client(order)
    results = []
    for step in order["steps"]:
        try:
            results.append(await getattr(client, step["do"])(step))
        except IqError as error:
            results.append({"error": error.condition, "type": error.etype})
        except (IqTimeout, asyncio.TimeoutError):
            results.append({"error": "no answer"})
        except RuntimeError as error:
            results.append({"error": str(error)})
            break
    print(json.dumps({"steps": results}), flush=True)
    client.disconnect(wait=0.5)
    await asyncio.wait({client.disconnected}, timeout=2)


logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
asyncio.run(main())
