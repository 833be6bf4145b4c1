/**
 * Datagrams: no order, no promise, no waiting.
 *
 * @module
 */

import { createNode } from "../mod.ts";

await using server = await createNode({ listen: ["tcp://127.0.0.1:0"] });
await using client = await createNode();
const events = server.events();
const peer = await client.connect(server.ticket());
peer.datagrams.send(Uint8Array.of(1, 2, 3));
for await (const event of events) {
  if (event.type !== "peerConnected") continue;
  const { value } = await event.peer.datagrams.readable.getReader().read();
  console.log("datagram", value);
  break;
}
