/**
 * The smallest pair: one node serves a protocol, another one uses it.
 *
 * @module
 */

import { createNode } from "../mod.ts";

await using server = await createNode({ listen: ["tcp://127.0.0.1:0"] });
server.handle("echo/1", async (stream) => {
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) await stream.write(bytes);
  await stream.finish();
});

await using client = await createNode();
const peer = await client.connect(server.ticket());
const stream = await peer.open("echo/1");
await stream.write(new TextEncoder().encode("hello, viaduct"));
await stream.finish();
console.log(new TextDecoder().decode(await stream.read()));
