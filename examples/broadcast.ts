/**
 * One message to everybody who is connected, and one to oneself.
 *
 * @module
 */

import { createNode } from "../mod.ts";

await using hub = await createNode({ listen: ["tcp://127.0.0.1:0"] });
await using one = await createNode();
await using two = await createNode();
const inboxes = [one, two, hub].map((node) => node.messages());
await one.connect(hub.ticket());
await two.connect(hub.ticket());
while (hub.peers.size < 2) await new Promise((resolve) => setTimeout(resolve, 5));

console.log("reached", await hub.broadcast("hello all"));
await hub.send(hub.id, "note to self");
for (const inbox of inboxes) console.log((await inbox.next()).value.value);
