// A user of Strophe.js, with its own stream management.

import { $iq, $msg, $pres, Strophe } from "../../../target/peers/node/node_modules/strophe.js/dist/strophe.node.esm.js";
import { DISCO, Inbox, PING, ROSTER, Refused, SENSOR_DATA, bare, cut, readout } from "./common.mjs";

const { Status } = Strophe;
const elements = (node) => Array.from(node.childNodes).filter((child) => child.nodeType === 1);
const tree = (element) => ({
  name: element.localName ?? element.tagName,
  attrs: Object.fromEntries(Array.from(element.attributes, (attribute) => [attribute.name, attribute.value])),
  children: elements(element).map(tree),
  text: element.textContent,
});

export class User {
  #connection;
  #order;
  #say;
  #inbox = new Inbox();
  #mechanism = null;

  constructor(order, say) {
    this.#order = order;
    this.#say = say;
    this.#connection = new Strophe.Connection(order.url, { enableStreamManagement: true });
    this.#connection.xmlOutput = (element) => {
      if (element.tagName === "auth") this.#mechanism = element.getAttribute("mechanism");
    };
  }

  #connect() {
    return new Promise((resolve, reject) => {
      this.#connection.connect(this.#order.jid, this.#order.password, (status, condition) => {
        if (status === Status.CONNECTED) {
          this.#listen();
          resolve();
        }
        if (status === Status.DISCONNECTED) this.#say({ event: "disconnected" });
        if ([Status.CONNFAIL, Status.AUTHFAIL, Status.CONNTIMEOUT].includes(status)) reject(new Error(condition));
      });
    });
  }

  // Handlers end with their connection.
  #listen() {
    const on = (name, handle) => this.#connection.addHandler((stanza) => (handle(stanza), true), null, name);
    on("message", (message) => {
      const by = bare(message.getAttribute("from"));
      const payload = elements(message).find((child) => child.getAttribute("xmlns") === SENSOR_DATA);
      const body = elements(message).find((child) => child.tagName === "body")?.textContent;
      if (payload) this.#inbox.put(tree(payload));
      else if (body) this.#say({ event: "message", by, body });
    });
    on("presence", (presence) => {
      const full = presence.getAttribute("from");
      this.#say({ event: "presence", by: bare(full), full, type: presence.getAttribute("type") ?? "available" });
    });
  }

  #ask(iq) {
    return new Promise((resolve, reject) => {
      this.#connection.sendIQ(
        iq,
        (answer) => resolve(elements(answer).map(tree)[0]),
        (answer) => {
          const error = answer && elements(answer).find((child) => child.tagName === "error");
          reject(new Refused(error ? elements(error)[0].tagName : "no answer"));
        },
        15_000,
      );
    });
  }

  async login() {
    await this.#connect();
    this.#connection.send($pres());
    await this.ping({});
    return { jid: this.#connection.jid, mechanism: this.#mechanism, managed: this.#connection.isStreamManagementEnabled() };
  }

  async ping({ to }) {
    await this.#ask($iq({ type: "get", ...(to && { to }) }).c("ping", { xmlns: PING }));
  }

  async message({ to, body }) {
    this.#connection.send($msg({ to, type: "chat" }).c("body").t(body));
  }

  async presence({ to, type }) {
    this.#connection.send($pres({ to, ...(type && { type }) }));
  }

  async disco({ to }) {
    const { children } = await this.#ask($iq({ type: "get", to }).c("query", { xmlns: DISCO }));
    const all = (name) => children.filter((child) => child.name === name).map(({ attrs }) => attrs);
    return {
      identities: all("identity").map(({ category, type }) => `${category}/${type}`),
      features: all("feature").map((feature) => feature.var),
    };
  }

  async contact({ jid, name }) {
    await this.#ask($iq({ type: "set" }).c("query", { xmlns: ROSTER }).c("item", { jid, name }));
  }

  async roster() {
    const { children } = await this.#ask($iq({ type: "get" }).c("query", { xmlns: ROSTER }));
    return children.map(({ attrs: { jid, name, subscription } }) => ({ jid, name, subscription }));
  }

  async read({ to, node, source }) {
    const request = $iq({ type: "get", to }).c("req", { xmlns: SENSOR_DATA, id: "r1", all: "true" });
    return readout(await this.#ask(request.c("nd", { id: node, src: source })), this.#inbox);
  }

  async break() {
    cut(this.#connection._proto.socket);
  }

  async back() {
    await this.#connect();
    return { resumed: this.#connection.hasResumed() };
  }

  async close() {
    this.#connection.disconnect();
  }
}
