/**
 * hyperdht's encrypted streams in the bench: Noise over UDX, which is native code. It chooses the size of its
 * datagrams.
 *
 * @module
 */

import DHT from "hyperdht";
import createTestnet from "hyperdht/testnet.js";
import { bulk, job, requests, tell } from "./workloads.mjs";

const { role, workload, address } = job;
const ECHO = 2;
const MESSAGE_BYTES = 64;

if (role === "server") {
  const network = await createTestnet(4, { host: "127.0.0.1" });
  const node = new DHT({ bootstrap: network.bootstrap, host: "127.0.0.1" });
  await node.fullyBootstrapped();
  const server = node.createServer((socket) => {
    let kind = 0;
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      const rest = kind === 0 ? bytes.subarray(1) : bytes;
      kind ||= bytes[0];
      if (kind === ECHO && rest.length > 0) socket.write(rest);
    });
    socket.on("end", () => socket.end());
  });
  await server.listen();
  tell({ bootstrap: network.bootstrap, key: Buffer.from(server.publicKey).toString("hex") });
} else {
  const node = new DHT({ bootstrap: address.bootstrap, host: "127.0.0.1" });
  await node.fullyBootstrapped();
  const open = async (kind) => {
    const socket = node.connect(Buffer.from(address.key, "hex"));
    await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
    socket.write(Buffer.from([kind]));
    return socket;
  };
  if (workload === "pingpong") {
    const socket = await open(ECHO);
    let answered = () => {};
    let received = 0;
    socket.on("data", (bytes) => {
      received += bytes.length;
      if (received % MESSAGE_BYTES === 0) answered();
    });
    await requests((bytes) => {
      socket.write(bytes);
      return new Promise((resolve) => {
        answered = resolve;
      });
    }, 1);
  } else {
    await bulk(async () => {
      const socket = await open(ECHO - 1);
      return {
        send: (bytes) => (socket.write(bytes) ? undefined : new Promise((resolve) => socket.once("drain", resolve))),
        finish: () =>
          new Promise((resolve) => {
            socket.once("end", resolve);
            socket.on("data", () => {});
            socket.end();
          }),
      };
    });
  }
}
