/**
 * 0-RTT: who was here before sends its question with the very first message of a connection. The server says for which
 * protocol it takes that: an attacker may hold such a message back for some seconds.
 *
 * @module
 */

import { createNode } from "../mod.ts";

await using server = await createNode({ listen: ["udp://127.0.0.1:0"] });
server.handle(
  "time/1",
  async (stream) => {
    for await (const place of stream.messages()) await stream.send({ place, isEarly: stream.isEarly });
    await stream.finish();
  },
  { acceptEarly: true },
);

await using client = await createNode();
for (const connection of ["first", "second"]) {
  const closed = peerClosed();
  const stream = await client.openStream(server.ticket(), "time/1", { message: "Rome" });
  await stream.finish();
  for await (const answer of stream.messages()) console.log(`${connection} connection:`, answer);
  await stream.peer.close();
  await closed;
}

/** Resolves when the server has heard of the end: it takes no early stream of somebody who is there already. */
async function peerClosed(): Promise<void> {
  for await (const { type } of server.events()) if (type === "peerClosed") return;
}
