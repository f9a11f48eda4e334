// A user of Stanza, which wants its payloads described and then speaks in objects.

import stanza from "../../../target/peers/node/node_modules/stanza/index.js";
import { Inbox, Refused, SENSOR_DATA, bare, cut, readout } from "./common.mjs";

const { attribute } = stanza.JXT;
const KINDS = ["b", "d", "dr", "dt", "e", "i", "l", "q", "s", "t"];
const define = (element, aliases, fields) => ({
  namespace: SENSOR_DATA,
  element,
  aliases,
  fields: Object.fromEntries(fields.map((name) => [name, attribute(name)])),
});
const many = (path) => ({ path, multiple: true });
const PAYLOADS = [
  define("req", ["iq.readoutRequest"], ["id", "all"]),
  define("resp", ["iq.readout", "message.readout"], ["id", "more"]),
  define("done", ["message.readoutDone"], ["id"]),
  define("accepted", ["iq.readoutAccepted"], ["id"]),
  define("nd", [many("iq.readoutRequest.nodes"), many("iq.readout.nodes")], ["id", "src"]),
  define("ts", [many("iq.readout.nodes.moments")], ["v"]),
  ...KINDS.map((kind) => define(kind, [many(`iq.readout.nodes.moments.${kind}`)], ["n", "v", "u"])),
];

const tree = ({ more, nodes }) => ({
  name: "resp",
  attrs: { more },
  children: (nodes ?? []).map(({ moments }) => ({
    children: (moments ?? []).map((moment) => ({
      children: KINDS.flatMap((name) => (moment[name] ?? []).map((attrs) => ({ name, attrs }))),
    })),
  })),
});

export class User {
  #client;
  #inbox = new Inbox();
  #mechanism = null;

  constructor(order, say) {
    const { jid, password, url } = order;
    this.#client = stanza.createClient({ jid, password, transports: { websocket: url, bosh: false }, autoReconnect: false });
    this.#client.stanzas.define(PAYLOADS);
    this.#client.on("raw:outgoing", (text) => {
      this.#mechanism ??= /<auth [^>]*mechanism=["']([^"']+)/.exec(text)?.[1] ?? null;
    });
    this.#client.on("message", (message) => {
      if (message.readout) this.#inbox.put(tree(message.readout));
      else if (message.readoutDone) this.#inbox.put({ name: "done" });
      else if (message.body) say({ event: "message", by: bare(message.from), body: message.body });
    });
    this.#client.on("presence", ({ from, type }) => {
      say({ event: "presence", by: bare(from), full: from, type: type ?? "available" });
    });
    this.#client.on("disconnected", () => say({ event: "disconnected" }));
  }

  #once(...events) {
    return new Promise((resolve) => events.forEach((event) => this.#client.once(event, () => resolve(event))));
  }

  async #ask(iq) {
    try {
      return await this.#client.sendIQ(iq);
    } catch (answer) {
      throw new Refused(answer.error?.condition ?? "no answer");
    }
  }

  async login() {
    const begun = this.#once("session:started", "disconnected");
    await this.#client.connect();
    if ((await begun) !== "session:started") throw new Error("no session");
    this.#client.sendPresence();
    await this.ping({});
    return { jid: this.#client.jid, mechanism: this.#mechanism, managed: this.#client.sm.started };
  }

  async ping({ to }) {
    await this.#client.ping(to);
  }

  async message({ to, body }) {
    this.#client.sendMessage({ to, body, type: "chat" });
  }

  async presence({ to, type }) {
    this.#client.sendPresence({ to, type });
  }

  async disco({ to }) {
    const { identities, features } = await this.#client.getDiscoInfo(to);
    return { identities: identities.map(({ category, type }) => `${category}/${type}`), features };
  }

  async contact({ jid, name }) {
    await this.#client.updateRosterItem({ jid, name });
  }

  async roster() {
    const { items } = await this.#client.getRoster();
    return items.map(({ jid, name, subscription }) => ({ jid, name, subscription }));
  }

  async read({ to, node, source }) {
    const readoutRequest = { id: "r1", all: "true", nodes: [{ id: node, src: source }] };
    const { readout: first } = await this.#ask({ type: "get", to, readoutRequest });
    return readout(first ? tree(first) : { name: "accepted" }, this.#inbox);
  }

  // Whichever form of host-meta comes first, as the library reads it.
  async discover({ authority }) {
    return (await this.#client.discoverBindings(authority)).websocket.map((url) => ["websocket", url]);
  }

  async break() {
    cut(this.#client.transport.socket);
  }

  async back() {
    const event = this.#once("stream:management:resumed", "session:started");
    await this.#client.connect();
    return { resumed: (await event) === "stream:management:resumed" };
  }

  async close() {
    await this.#client.disconnect();
  }
}
