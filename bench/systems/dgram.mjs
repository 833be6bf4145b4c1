/**
 * The runtime's own UDP socket in the bench: no encryption, no identity, no order, nothing sent twice. `node:dgram`,
 * `Deno.listenDatagram`, `Bun.udpSocket`.
 *
 * @module
 */

import { createSocket } from "node:dgram";
import { countProcessors, job, requests, tell } from "./workloads.mjs";

const HOST = "127.0.0.1";
const MEBIBYTE = 1024 * 1024;
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Datagrams sent before others have their turn. */
const BATCH = 64;
const BULK_SECONDS = 3;
/** A datagram that is an echo may be lost behind a flood: it is asked for again. */
const AGAIN_MS = 500;
const ECHO = 1;
const COUNT = 2;
const BULK = 3;

const bind = globalThis.Deno !== undefined ? bindDeno : globalThis.Bun !== undefined ? bindBun : bindNode;
if (job.role === "server") {
  let bytesCounted = 0;
  const socket = await bind((bytes, port) => {
    if (bytes[0] === BULK) bytesCounted += bytes.length;
    else if (bytes[0] === COUNT) {
      socket.send(new TextEncoder().encode(String(bytesCounted)), port);
      bytesCounted = 0;
    } else socket.send(bytes.slice(), port);
    socket.flush();
  });
  tell({ port: socket.port });
} else await work();

async function work() {
  const { workload, address, packageBytes } = job;
  const waiting = new Map();
  let onCount = () => {};
  const socket = await bind((bytes) => {
    if (bytes[0] !== ECHO) {
      onCount(Number(new TextDecoder().decode(bytes)));
      return;
    }
    const answered = waiting.get(bytes[1]);
    waiting.delete(bytes[1]);
    answered?.();
  });
  if (workload === "pingpong" || workload === "requests") {
    let next = 0;
    const ask = (bytes) =>
      new Promise((resolve) => {
        const request = bytes.slice();
        request[0] = ECHO;
        request[1] = next = (next + 1) % 256;
        waiting.set(request[1], resolve);
        socket.send(request, address.port);
        socket.flushSoon();
      });
    await requests(ask, workload === "requests" ? 32 : 1);
    return;
  }
  const count = () =>
    new Promise((resolve) => {
      const ask = () => {
        socket.send(Uint8Array.of(COUNT), address.port);
        socket.flush();
      };
      const timer = setInterval(ask, AGAIN_MS);
      onCount = (bytes) => {
        clearInterval(timer);
        resolve(bytes);
      };
      ask();
    });
  const payload = new Uint8Array(packageBytes).fill(BULK);
  for (const seconds of [0.5, BULK_SECONDS]) {
    const processorsSince = countProcessors();
    const began = performance.now();
    let sent = 0;
    while (performance.now() - began < seconds * 1000) {
      for (let index = 0; index < BATCH; index++) socket.send(payload, address.port);
      sent += BATCH * packageBytes;
      await socket.turn();
    }
    const elapsed = (performance.now() - began) / 1000;
    const arrived = await count();
    const processors = processorsSince(arrived / MEBIBYTE);
    if (seconds < BULK_SECONDS) continue;
    tell({ figure: arrived / MEBIBYTE / elapsed, sent: sent / MEBIBYTE / elapsed, ...processors });
  }
}

async function bindNode(onMessage) {
  // As in the adapter: an address literal is not looked up.
  const lookup = (host, _options, callback) => callback(null, host, 4);
  const socket = createSocket({ type: "udp4", lookup });
  socket.on("message", (bytes, { port }) => onMessage(bytes, port));
  await new Promise((resolve) => socket.bind(0, HOST, resolve));
  socket.setRecvBufferSize(BUFFER_BYTES);
  socket.setSendBufferSize(BUFFER_BYTES);
  return {
    port: socket.address().port,
    send: (bytes, port) => socket.send(bytes, port, HOST),
    flush: () => {},
    flushSoon: () => {},
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

async function bindDeno(onMessage) {
  const connection = globalThis.Deno.listenDatagram({ transport: "udp", hostname: HOST, port: 0 });
  let last = Promise.resolve();
  const receive = async () => {
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const [bytes, from] = await connection.receive(buffer);
      onMessage(bytes, from.port);
    }
  };
  void receive();
  return {
    port: connection.addr.port,
    send: (bytes, port) => {
      last = connection.send(bytes, { transport: "udp", hostname: HOST, port });
    },
    flush: () => {},
    flushSoon: () => {},
    turn: () => last,
  };
}

async function bindBun(onMessage) {
  let waiting = [];
  let isSoon = false;
  const socket = await globalThis.Bun.udpSocket({
    hostname: HOST,
    binaryType: "uint8array",
    socket: { data: (_socket, bytes, port) => onMessage(bytes, port) },
  });
  const flush = () => {
    const batch = waiting;
    waiting = [];
    if (batch.length > 0) socket.sendMany(batch);
  };
  return {
    port: socket.port,
    send: (bytes, port) => waiting.push(bytes, port, HOST),
    flush,
    flushSoon: () => {
      if (isSoon) return;
      isSoon = true;
      queueMicrotask(() => {
        isSoon = false;
        flush();
      });
    },
    turn: () => {
      flush();
      return new Promise((resolve) => setImmediate(resolve));
    },
  };
}
