/**
 * Requests with answers, errors and deadlines.
 *
 * @module
 */

import { createNode, ViaductError } from "../mod.ts";

await using server = await createNode({ listen: ["tcp://127.0.0.1:0"] });
server.respond("add", (value) => (value as number[]).reduce((sum, part) => sum + part, 0));
server.respond("sleep", () => new Promise(() => {}));

await using client = await createNode();
const peer = await client.connect(server.ticket());
console.log("20 + 22 =", await peer.request("add", [20, 22]));
await peer.request("sleep", null, { timeoutMs: 50 }).catch((error: unknown) => {
  console.log("sleep:", error instanceof ViaductError ? error.code : error);
});
