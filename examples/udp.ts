/**
 * A session over reliable UDP: the address says `udp://`, and everything else is as it is over TCP.
 *
 * @module
 */

import { createNode } from "../mod.ts";

await using server = await createNode({ listen: ["udp://127.0.0.1:0"] });
server.respond("add", (value) => (value as number[]).reduce((sum, part) => sum + part, 0));

await using client = await createNode();
const peer = await client.connect(server.ticket());
console.log("20 + 22 =", await peer.request("add", [20, 22]));
console.log("over", peer.stats().paths[0]?.kind);
