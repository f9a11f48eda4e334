// A user whose client speaks XMPP over WebSocket, told what to do line by line; the orders are those of federated.py.
//
// The first line of stdin is {"library", "url", "jid", "password"}; each further one is an order {"n", "do", ...}. Each order is
// answered by one line {"n", "ok"} or {"n", "error"}; what comes in by itself is a line {"event", ...}.

import { createInterface } from "node:readline";

const say = (line) => console.log(JSON.stringify(line));
let user = null;

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  if (user === null) {
    const { User } = await import(`./${order.library}.mjs`);
    user = new User(order, say);
    say({ event: "ready", ...(await user.login()) });
    continue;
  }
  user[order.do](order).then(
    (ok) => say({ n: order.n, ok: ok ?? true }),
    (error) => say({ n: order.n, error: error.condition ?? String(error.message ?? error) }),
  );
}
process.exit(0);
