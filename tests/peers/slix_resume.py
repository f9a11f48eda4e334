"""A slixmpp client that manages its stream (XEP-0198) and whose connection breaks when it is told to.

Takes one JSON object on the first line of stdin (see slix.py), then commands: `break` drops the connection without a farewell,
`back` connects again, `end` ends. Prints `ONLINE`, `RESUMED`, `FAILED`, `ACKNOWLEDGED n` and `GOT text` as they happen.
"""

import asyncio
import json
import sys
from pathlib import Path

import slixmpp
from slixmpp.plugins.xep_0198.stanza import RequestAck


def say(text):
    print(text, flush=True)


class Client(slixmpp.ClientXMPP):
    def __init__(self, order):
        super().__init__(order["jid"], order["password"])
        self.order = order
        self.ca_certs = Path(order["ca"])
        self.enable_direct_tls, self.enable_starttls, self.enable_plaintext = True, False, False
        self.auto_reconnect = False
        self.acknowledged = 0
        self.register_plugin("xep_0198")
        self.add_event_handler("session_start", self.start)
        self.add_event_handler("session_resumed", lambda _: say("RESUMED"))
        self.add_event_handler("sm_failed", lambda _: say("FAILED"))
        self.add_event_handler("stanza_acked", self.acked)
        self.add_event_handler("message", lambda message: say(f"GOT {message['body']}"))

    def start(self, _):
        self.send_presence()
        say("ONLINE")

    def acked(self, _):
        self.acknowledged += 1
        say(f"ACKNOWLEDGED {self.acknowledged}")

    def open(self):
        self.connect(self.order["host"], self.order["port"])


async def main():
    loop = asyncio.get_running_loop()
    client = Client(json.loads(sys.stdin.readline()))
    client.open()
    while True:
        command = (await loop.run_in_executor(None, sys.stdin.readline)).strip()
        if command == "break":
            client.abort()
            say("BROKEN")
        elif command == "back":
            client.open()
        elif command.startswith("send "):
            _, to, text = command.split(" ", 2)
            client.send_message(mto=to, mbody=text, mtype="chat")
            # Not `request_ack`: it goes past the queue in which the message waits, and so asks too early.
            client.send(RequestAck(client))
        elif command in ("end", ""):
            client.abort()
            return


asyncio.run(main())
