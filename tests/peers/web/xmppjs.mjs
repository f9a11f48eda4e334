// A user of @xmpp/client.

import { client, xml, jid as parse } from "../../../target/peers/node/node_modules/@xmpp/client/index.js";
import * as discovery from "../../../target/peers/node/node_modules/@xmpp/resolve/lib/http.js";
import { WebSocket as Ws } from "../../../target/peers/node/node_modules/ws/wrapper.mjs";
import { DISCO, Inbox, PING, ROSTER, SENSOR_DATA, bare, cut, readout } from "./common.mjs";

// Node has one of its own since 22.
globalThis.WebSocket ??= Ws;
// @xmpp/iq waits for the write before it looks at its promise; an answer may be faster. We await it ourselves.
process.on("unhandledRejection", () => {});

const tree = (element) => ({
  name: element.getName(),
  attrs: element.attrs,
  children: element.getChildElements().map(tree),
  text: element.getText(),
});

export class User {
  #xmpp;
  #say;
  #inbox = new Inbox();
  #mechanism = null;

  constructor(order, say) {
    const { local, domain } = parse(order.jid);
    this.#say = say;
    this.#xmpp = client({ service: order.url, domain, username: local, password: order.password });
    this.#xmpp.reconnect.stop();
    this.#xmpp.on("error", (error) => console.error(error.message));
    this.#xmpp.on("disconnect", () => say({ event: "disconnected" }));
    this.#xmpp.on("send", (element) => {
      if (element.is?.("auth") || element.is?.("authenticate")) this.#mechanism = element.attrs.mechanism;
    });
    this.#xmpp.on("stanza", (stanza) => this.#hear(stanza));
  }

  #hear(stanza) {
    const full = stanza.attrs.from;
    if (stanza.is("presence"))
      this.#say({ event: "presence", by: bare(full), full, type: stanza.attrs.type ?? "available" });
    if (!stanza.is("message")) return;
    const payload = stanza.getChildElements().find((child) => child.getNS() === SENSOR_DATA);
    const body = stanza.getChildText("body");
    if (payload) this.#inbox.put(tree(payload));
    else if (body) this.#say({ event: "message", by: bare(full), body });
  }

  async #ask(type, to, payload) {
    const answer = await this.#xmpp.iqCaller.request(xml("iq", { type, ...(to && { to }) }, payload), 15_000);
    return answer.getChildElements().map(tree)[0];
  }

  async login() {
    const jid = await this.#xmpp.start();
    await this.#xmpp.send(xml("presence"));
    await this.ping({});
    return { jid: jid.toString(), mechanism: this.#mechanism, managed: this.#xmpp.streamManagement.enabled };
  }

  // The same installation comes back; it uses its token if it was given one.
  async again() {
    await this.#xmpp.stop();
    return this.login();
  }

  async ping({ to }) {
    await this.#ask("get", to, xml("ping", PING));
  }

  async message({ to, body }) {
    await this.#xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  }

  async presence({ to, type }) {
    await this.#xmpp.send(xml("presence", { to, ...(type && { type }) }));
  }

  async disco({ to }) {
    const { children } = await this.#ask("get", to, xml("query", DISCO));
    const all = (name) => children.filter((child) => child.name === name).map(({ attrs }) => attrs);
    return {
      identities: all("identity").map(({ category, type }) => `${category}/${type}`),
      features: all("feature").map((feature) => feature.var),
    };
  }

  async contact({ jid, name }) {
    await this.#ask("set", null, xml("query", ROSTER, xml("item", { jid, name })));
  }

  async roster() {
    const { children } = await this.#ask("get", null, xml("query", ROSTER));
    return children.map(({ attrs: { jid, name, subscription } }) => ({ jid, name, subscription }));
  }

  async read({ to, node, source }) {
    const request = xml("req", { xmlns: SENSOR_DATA, id: "r1", all: "true" }, xml("nd", { id: node, src: source }));
    return readout(await this.#ask("get", to, request), this.#inbox);
  }

  // The XML form of host-meta, as the library reads it.
  async discover({ authority }) {
    return (await discovery.resolve(authority)).map(({ method, uri }) => [method, uri]);
  }

  async break() {
    cut(this.#xmpp.socket.socket);
  }

  async back() {
    const resumed = new Promise((resolve) => this.#xmpp.streamManagement.once("resumed", () => resolve(true)));
    const anew = new Promise((resolve) => this.#xmpp.once("online", () => resolve(false)));
    await this.#xmpp.reconnect.reconnect();
    return { resumed: await Promise.race([resumed, anew]) };
  }

  async close() {
    await this.#xmpp.stop();
  }
}
