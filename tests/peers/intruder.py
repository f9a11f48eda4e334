"""A server that is not what it says, played by hand: TLS with any certificate, then whatever the test has it say.

The first line of stdin is {"port", "certificate", "key", "direct", "from", "to"}: it connects, with STARTTLS unless `direct`, and says
"ready". Each further line is an order: {"say": XML}, or {"until": text}, answered by {"heard": what came up to it, or to the end}.
"""

import json
import socket
import ssl
import sys

NS = ("xmlns='jabber:server' xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'")
PATIENCE = 30  # seconds


class Stream:
    def __init__(self, order):
        self.socket = socket.create_connection(("127.0.0.1", order["port"]), PATIENCE)
        self.header = f"<?xml version='1.0'?><stream:stream {NS} from='{order['from']}' to='{order['to']}' version='1.0'>"
        if not order["direct"]:
            self.say(self.header)
            self.until("</stream:features>")
            self.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            self.until("<proceed")
        # Whom it talks to is not what is tested.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["xmpp-server"] if order["direct"] else [])
        if order.get("certificate"):
            context.load_cert_chain(order["certificate"], order["key"])
        self.socket = context.wrap_socket(self.socket, server_hostname=order["to"])

    def say(self, text):
        try:
            self.socket.sendall(text.encode())
        except OSError:
            pass  # the other side has hung up already, which may be what the test is after

    def until(self, text):
        heard = ""
        while text not in heard:
            try:
                received = self.socket.recv(4096)
            except OSError:
                break
            if not received:
                break
            heard += received.decode()
        return heard


def say(line):
    print(json.dumps(line), flush=True)


stream = Stream(json.loads(sys.stdin.readline()))
say("ready")
for line in sys.stdin:
    order = json.loads(line)
    if "say" in order:
        stream.say(order["say"].replace("HEADER", stream.header))
    else:
        say({"heard": stream.until(order["until"])})
