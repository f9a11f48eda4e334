// What the users of all libraries share. An element is {name, attrs, children, text} here, whatever its library makes of it.

export const SENSOR_DATA = "urn:nfi:iot:sd:1.0";
export const DISCO = "http://jabber.org/protocol/disco#info";
export const ROSTER = "jabber:iq:roster";
export const PING = "urn:xmpp:ping";

/// An error that an entity answered with.
export class Refused extends Error {
  constructor(condition) {
    super(condition);
    this.condition = condition;
  }
}

/// Things that come in, in order, for whoever waits for the next.
export class Inbox {
  #arrived = [];
  #waiting = [];

  put(thing) {
    this.#waiting.length ? this.#waiting.shift()(thing) : this.#arrived.push(thing);
  }

  next() {
    return this.#arrived.length
      ? Promise.resolve(this.#arrived.shift())
      : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/// Collects the fields of a readout, beginning with the answer to the request.
export async function readout(first, inbox) {
  const fields = [], errors = [];
  for (let part = first; ; part = await inbox.next()) {
    if (part.name === "done") break;
    if (part.name !== "resp") continue;
    for (const node of part.children)
      for (const moment of node.children)
        for (const field of moment.children)
          field.name === "err" ? errors.push(field.text) : fields.push({ ...field.attrs, type: field.name });
    if (!["true", "1"].includes(part.attrs.more)) break;
  }
  return { fields, errors };
}

/// Breaks a connection without a farewell, as far as the WebSocket of this Node can.
export function cut(socket) {
  socket.terminate ? socket.terminate() : socket.close();
}

export const bare = (jid) => String(jid).split("/")[0];
