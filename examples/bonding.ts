/**
 * One session over TCP and UDP at once. The TCP connection is cut while a stream runs; nothing is lost or doubled.
 *
 * @module
 */

import { connect, createServer, type Socket } from "node:net";
import { createNode, type Peer } from "../mod.ts";

const MEBIBYTES = 16;

await using server = await createNode({ listen: ["tcp://127.0.0.1:0", "udp://127.0.0.1:0"] });
server.handle("count/1", async (stream) => {
  let count = 0;
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
    for (const byte of bytes) if (byte !== count++ >>> 20) throw new Error(`Byte ${count - 1} is not what was sent`);
  }
  await stream.send(count);
  await stream.finish();
});
const [tcp, udp] = server.addresses as [string, string];

// Something on the way of the TCP connection that can be unplugged.
const cables: Socket[] = [];
const middle = createServer((near) => {
  const far = connect(Number(new URL(tcp).port), "127.0.0.1");
  near.pipe(far).pipe(near);
  for (const socket of [near, far]) cables.push(socket.on("error", () => {}));
});
await new Promise<void>((resolve) => middle.listen(0, "127.0.0.1", resolve));
const { port } = middle.address() as { port: number };

// The session begins on TCP, and UDP is added to it.
await using client = await createNode({ paths: { policy: "aggregate" } });
const peer = await client.connect({ id: server.id, addresses: [`tcp://127.0.0.1:${port}`] });
peer.addPath(udp);
while (ways(peer).length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
console.log("before:", ways(peer).join(" and "));

const stream = await peer.open("count/1");
for (let sent = 0; sent < MEBIBYTES; sent++) {
  await stream.write(new Uint8Array(2 ** 20).fill(sent));
  if (sent !== MEBIBYTES / 2) continue;
  middle.close();
  for (const socket of cables) socket.destroy();
}
await stream.finish();
console.log("after:", ways(peer).join(" and "));
for await (const count of stream.messages()) console.log("arrived:", count, "bytes, each as it was sent");

/** The paths that the session has now, by the scheme of their addresses. */
function ways(of: Peer): string[] {
  const active = of.stats().paths.filter(({ state }) => state === "active");
  return active.map(({ remote }) => remote.slice(0, remote.indexOf(":"))).sort();
}
