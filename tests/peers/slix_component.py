"""An external component (XEP-0114) made of slixmpp's ComponentXMPP.

Takes one JSON object on the first line of stdin: {"domain", "secret", "host", "port"}, then commands: `send FROM TO TEXT` sends a message,
`info TO` asks for service discovery information, `end` ends. Prints `ONLINE`, `GOT from to text`, `INFO feature...`,
`ERROR condition` (of an answer), `FAULT condition` (the stream ended with it) and `CLOSED` as they happen.
"""

import asyncio
import json
import sys

import slixmpp
from slixmpp.exceptions import IqError


def say(text):
    print(text, flush=True)


class Component(slixmpp.ComponentXMPP):
    def __init__(self, order):
        # Without the fix slixmpp overlooks the errors it gets in the namespace of components.
        super().__init__(order["domain"], order["secret"], order["host"], order["port"], fix_error_ns=True)
        self.auto_reconnect = False
        self.register_plugin("xep_0030")
        self.plugin["xep_0030"].add_identity(category="conference", itype="text", name="Rooms")
        self.plugin["xep_0030"].add_feature("urn:test:rooms")
        self.add_event_handler("session_start", lambda _: say("ONLINE"))
        self.add_event_handler("message", lambda it: say(f"GOT {it['from']} {it['to']} {it['body']}"))
        self.add_event_handler("stream_error", lambda it: say(f"FAULT {it['condition']}"))
        self.add_event_handler("disconnected", lambda _: say("CLOSED"))

    async def info(self, to):
        try:
            answer = await self.plugin["xep_0030"].get_info(jid=to, ifrom=self.boundjid, cached=False)
            say("INFO " + " ".join(sorted(answer["disco_info"]["features"])))
        except IqError as error:
            say(f"ERROR {error.condition}")


async def main():
    loop = asyncio.get_running_loop()
    component = Component(json.loads(sys.stdin.readline()))
    component.connect()
    while True:
        command = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
        if command.startswith("send "):
            _, sender, to, text = command.split(" ", 3)
            component.send_message(mfrom=sender, mto=to, mbody=text, mtype="chat")
        elif command.startswith("info "):
            await component.info(command.split(" ", 1)[1])
        elif command in ("end", ""):
            await component.disconnect()
            return


asyncio.run(main())
