/**
 * Lines with a delay, in front of a server on this machine: what is on them is not lost, not reordered, and comes half
 * a round trip later.
 *
 * A TCP connection to this machine is there at once, so its first bytes are held for one more round trip: as long as
 * the connecting would have taken.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";

const HOST = "127.0.0.1";

/** Starts a line to a port; returns the port to connect to and how to end it. */
export async function startDelayLine(scheme, targetPort, rttMs) {
  return scheme === "udp" ? await startUdp(targetPort, rttMs) : await startTcp(targetPort, rttMs);
}

/** Calls back in order, each after the delay. A timer alone may be late by a millisecond; one that is early is not. */
function delayQueue(delayMs) {
  const queue = [];
  let isArmed = false;
  const run = () => {
    isArmed = false;
    const now = performance.now();
    while (queue.length > 0 && queue[0].at <= now) queue.shift().act();
    arm();
  };
  const arm = () => {
    if (isArmed || queue.length === 0) return;
    isArmed = true;
    const left = queue[0].at - performance.now();
    // The last two milliseconds are waited for turn by turn: timers are not that fine.
    if (left > 2) setTimeout(run, left - 2);
    else setImmediate(run);
  };
  return (act) => {
    queue.push({ at: performance.now() + delayMs, act });
    arm();
  };
}

async function startTcp(targetPort, rttMs) {
  const sockets = new Set();
  const server = createServer({ noDelay: true }, (near) => {
    track(sockets, near);
    setTimeout(() => {
      const up = delayQueue(rttMs / 2);
      const down = delayQueue(rttMs / 2);
      let far;
      up(() => {
        far = connect({ port: targetPort, host: HOST, noDelay: true });
        track(sockets, far);
        far.on("data", (bytes) => down(() => near.write(bytes)));
        far.on("end", () => down(() => near.end()));
      });
      near.on("data", (bytes) => up(() => far.write(bytes)));
      near.on("end", () => up(() => far.end()));
    }, rttMs);
  });
  await new Promise((resolve) => server.listen(0, HOST, resolve));
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: server.address().port, close };
}

function track(sockets, socket) {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => {});
}

async function startUdp(targetPort, rttMs) {
  const front = createSocket("udp4");
  const up = delayQueue(rttMs / 2);
  const down = delayQueue(rttMs / 2);
  const backs = new Map();
  let isClosed = false;
  front.on("message", (bytes, { port }) => {
    let back = backs.get(port);
    if (back === undefined) {
      back = createSocket("udp4");
      backs.set(port, back);
      back.on("message", (answer) => down(() => isClosed || front.send(answer, port, HOST)));
      back.on("error", () => {});
    }
    up(() => isClosed || back.send(bytes, targetPort, HOST));
  });
  front.on("error", () => {});
  await new Promise((resolve) => front.bind(0, HOST, resolve));
  const close = () => {
    isClosed = true;
    for (const socket of [front, ...backs.values()]) socket.close();
  };
  return { port: front.address().port, close };
}
