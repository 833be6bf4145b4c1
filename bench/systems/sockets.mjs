/**
 * The workloads on plain sockets: the first byte says what the connection is for.
 *
 * @module
 */

import { bulk, connects, idle, requests, tell } from "./workloads.mjs";

const SINK = 1;
const ECHO = 2;
const MESSAGE_BYTES = 64;

/** Serves sinks and echoes, and tells the port. */
export function serveSockets(create, isQuiet = false) {
  const server = create((socket) => {
    socket.on("error", () => {});
    let kind = 0;
    socket.on("data", (bytes) => {
      let rest = bytes;
      if (kind === 0) {
        kind = bytes[0];
        rest = bytes.subarray(1);
      }
      if (kind === ECHO && rest.length > 0) socket.write(rest);
    });
    socket.on("end", () => socket.end(kind === SINK ? "done" : undefined));
  });
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      if (!isQuiet) tell(port);
      resolve(port);
    });
  });
}

/** Runs a workload on sockets. */
export async function workOnSockets(workload, dial, address) {
  const port = Number(address);
  const open = (kind) =>
    new Promise((resolve, reject) => {
      const socket = dial(port);
      socket.once("error", reject);
      socket.once(socket.encrypted ? "secureConnect" : "connect", () => {
        socket.write(Uint8Array.of(kind));
        resolve(socket);
      });
    });
  if (workload === "bulk") {
    await bulk(async () => {
      const socket = await open(SINK);
      return {
        send: (bytes) => (socket.write(bytes) ? undefined : new Promise((resolve) => socket.once("drain", resolve))),
        finish: () => new Promise((resolve) => socket.once("data", resolve).end()),
      };
    });
  } else if (workload === "connects") {
    await connects(async () => {
      const socket = await open(ECHO);
      socket.destroy();
    });
  } else if (workload === "idle") await idle(() => open(ECHO));
  else {
    const socket = await open(ECHO);
    const waiting = [];
    let received = 0;
    socket.on("data", (bytes) => {
      for (received += bytes.length; received >= MESSAGE_BYTES; received -= MESSAGE_BYTES) waiting.shift()();
    });
    let isCorked = false;
    const ask = (bytes) => {
      if (!isCorked) {
        isCorked = true;
        socket.cork();
        queueMicrotask(() => {
          isCorked = false;
          socket.uncork();
        });
      }
      socket.write(bytes);
      return new Promise((resolve) => waiting.push(resolve));
    };
    if (workload === "pingpong") await requests(ask, 1, 10_000);
    else await requests(ask, 32, 200_000);
  }
}
