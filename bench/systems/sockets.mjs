/**
 * The workloads on plain sockets: the first byte says what the connection is for.
 *
 * @module
 */

import { bulk, connects, idle, job, requests, roundTrips, tell } from "./workloads.mjs";

const SINK = 1;
const ECHO = 2;
const MESSAGE_BYTES = 64;
const HOST = "127.0.0.1";

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
  return listen(server, isQuiet);
}

/** Joins each connection to one to the port that its first two bytes name. */
export function serveRelay(create, dial) {
  const server = create((near) => {
    near.on("error", () => {});
    near.once("readable", () => {
      const head = near.read(2);
      const far = dial(head.readUInt16BE(0));
      far.on("error", () => {});
      near.pipe(far).pipe(near);
    });
  });
  return listen(server, false);
}

function listen(server, isQuiet) {
  return new Promise((resolve) => {
    server.listen(0, HOST, () => {
      const { port } = server.address();
      if (!isQuiet) tell({ port });
      resolve({ port });
    });
  });
}

/** Runs the workload on sockets. */
export async function workOnSockets(dial, address = job.address) {
  const { workload, relay } = job;
  const open = (kind, port = address.port) =>
    new Promise((resolve, reject) => {
      const socket = dial(relay ? relay.port : port);
      if (relay) socket.write(Uint8Array.of(port >> 8, port & 255));
      socket.once("error", reject);
      socket.once(socket.encrypted ? "secureConnect" : "connect", () => {
        socket.write(Uint8Array.of(kind));
        resolve(socket);
      });
    });
  if (workload === "bulk" || workload === "relayBulk") {
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
  else if (workload === "roundTrips") {
    await (await asker(await open(ECHO)))(new Uint8Array(MESSAGE_BYTES));
    const prepare = (_mode, rttMs) => async (bytes) => {
      const socket = await open(ECHO, job.lines[rttMs]);
      await asker(socket)(bytes);
      socket.destroy();
    };
    await roundTrips(prepare, ["known"]);
  } else await requests(asker(await open(ECHO)), workload === "requests" ? 32 : 1);
}

/** Asks on a socket, and writes what is asked in one turn with one call. */
function asker(socket) {
  const waiting = [];
  let received = 0;
  socket.on("data", (bytes) => {
    for (received += bytes.length; received >= MESSAGE_BYTES; received -= MESSAGE_BYTES) waiting.shift()();
  });
  let isCorked = false;
  return (bytes) => {
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
}
