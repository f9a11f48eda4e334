// A foreign XMPP client made of @xmpp/client: does what the test tells it and says what it saw.
// The orders and the answers are those of slix.py.

import { readFileSync } from "node:fs";
import { client, xml, jid as parse } from "../../target/peers/node/node_modules/@xmpp/client/index.js";

const LOGIN = 20_000, ANSWER = 15_000, READOUT = 30_000; // ms

const order = JSON.parse(readFileSync(0, "utf8"));
const me = parse(order.jid);
const space = (name) => `urn:${order.dialect}:iot:${name}:1.0`;
// The certificate of NODE_EXTRA_CA_CERTS names the domain, so the domain is what we dial.
const scheme = order.tls === "direct" ? "xmpps" : "xmpp";
const xmpp = client({
  service: `${scheme}://${order.host}:${order.port}`,
  domain: me.domain,
  username: me.local,
  password: order.password,
  resource: order.resource,
});
xmpp.reconnect.stop();
xmpp.timeout = ANSWER;

let mechanism = null, profile = null, token = false, gatewayFull = null, presenceSeen;
const gatewaySeen = new Promise((resolve) => (presenceSeen = resolve));
const messages = [], waiting = [];

xmpp.on("error", (error) => console.error(error.message));
// @xmpp/connection looks for the server's header only after the write of its own; on a busy machine it has come by then.
const open = xmpp.open.bind(xmpp);
xmpp.open = (options) => Promise.race([new Promise((resolve) => xmpp.once("open", resolve)), open(options)]);
// @xmpp/iq waits for the write before it looks at its promise; an answer may be faster. We await it ourselves.
process.on("unhandledRejection", () => {});
xmpp.on("send", (element) => {
  if (process.argv.includes("-v")) console.error(">>", element.toString());
  if (element.is?.("auth") || element.is?.("authenticate")) {
    mechanism = element.attrs.mechanism;
    profile = element.getNS();
  }
});
xmpp.on("nonza", (element) => {
  if (element.is("success")) token = Boolean(element.getChild("token", "urn:xmpp:fast:0"));
});
xmpp.on("stanza", (stanza) => {
  if (process.argv.includes("-v")) console.error("<<", stanza.toString());
  if (stanza.is("presence") && !stanza.attrs.type && stanza.attrs.from?.startsWith(order.gateway + "/")) {
    gatewayFull = stanza.attrs.from;
    presenceSeen();
  }
  if (stanza.is("message")) {
    const payload = stanza.getChildElements().find((child) => child.getNS() === space("sd"));
    if (payload) waiting.length ? waiting.shift()(payload) : messages.push(payload);
  }
});

const within = (promise, ms) => {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error("no answer")), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const target = (step) => step.to ?? gatewayFull ?? order.gateway;
const tag = (element) => `{${element.getNS()}}${element.getName()}`;
const ask = async (type, to, payload) =>
  (await xmpp.iqCaller.request(xml("iq", { type, to }, payload), ANSWER)).getChildElements()[0];
const nextMessage = () =>
  within(messages.length ? Promise.resolve(messages.shift()) : new Promise((resolve) => waiting.push(resolve)), READOUT);

const login = async () => {
  const address = await within(xmpp.start(), LOGIN);
  await xmpp.send(xml("presence"));
  const socket = xmpp.socket?.socket ?? xmpp.socket;
  return { jid: address.toString(), tls: socket?.getProtocol?.() ?? null, mechanism, profile, token };
};
const steps = {
  login,
  // The same installation comes back; it uses its token if it was given one.
  async again() {
    await within(xmpp.stop(), ANSWER);
    return await login();
  },
  async subscribe(step) {
    await xmpp.send(xml("presence", { type: "subscribe", to: order.gateway }));
    await within(gatewaySeen, (step.within ?? ANSWER / 1000) * 1000);
    return { gateway: gatewayFull };
  },
  async disco(step) {
    const query = await ask("get", target(step), xml("query", "http://jabber.org/protocol/disco#info"));
    return {
      identities: query.getChildren("identity").map((i) => [i.attrs.category, i.attrs.type]).sort(),
      features: query.getChildren("feature").map((f) => f.attrs.var).sort(),
    };
  },
  async nodes(step) {
    const ns = space("concentrator");
    const sources = await ask("get", target(step), xml("getAllDataSources", ns));
    const nodes = [];
    for (const source of sources.getChildElements()) {
      const answer = await ask("get", target(step), xml("getAllNodes", { xmlns: ns, src: source.attrs.src }));
      for (const node of answer.getChildElements()) nodes.push({ ...node.attrs, source: source.attrs.src });
    }
    return { answered: tag(sources), nodes };
  },
  async read(step) {
    const ns = space("sd");
    messages.length = 0;
    const first = await ask("get", target(step),
      xml("req", { xmlns: ns, id: "r1", all: "true" }, xml("nd", { id: step.node, src: step.source })));
    const fields = [], errors = [];
    for (let part = first; ; part = await nextMessage()) {
      if (part.getName() === "resp") {
        for (const node of part.getChildElements())
          for (const moment of node.getChildElements())
            for (const field of moment.getChildElements()) {
              if (field.getName() === "err") errors.push(field.getText());
              else fields.push({ ...field.attrs, type: field.getName(), node: node.attrs.id, at: moment.attrs.v });
            }
        if (!["true", "1"].includes(part.attrs.more)) break;
      } else if (part.getName() === "done") break;
    }
    return { answered: tag(first), fields, errors };
  },
  async set(step) {
    const answer = await ask("set", target(step),
      xml("set", { xmlns: space("ctr") },
        xml("nd", { id: step.node, src: step.source }),
        xml(step.element, { n: step.name, v: step.value })));
    return { answered: tag(answer), parameters: answer.getChildren("p").map((p) => p.attrs.n) };
  },
};

const results = [];
for (const step of order.steps) {
  try {
    results.push(await steps[step.do](step));
  } catch (error) {
    results.push(error.name === "StanzaError"
      ? { error: error.condition, type: error.type }
      : { error: error.name === "TimeoutError" ? "no answer" : String(error.message || error) });
    if (step.do === "login") break;
  }
}
console.log(JSON.stringify({ steps: results }));
await within(xmpp.stop(), 2000).catch(() => {});
process.exit(0);
