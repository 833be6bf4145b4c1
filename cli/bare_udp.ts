/**
 * The bare UDP socket beside which `viaduct perf` puts its figures: no encryption, no order, no repetition.
 *
 * @module
 */

import { createSocket, type Socket } from "node:dgram";

/** Datagrams sent before the event loop has its turn. */
const BATCH = 64;
const ECHOES = 2_000;
const ECHO_MARK = 1;
const COUNT_MARK = 2;
const ANSWER_MS = 500;

/** Serves the other end: echoes what begins with one mark, counts the rest and tells how much came. */
export async function serveBareUdp(): Promise<{ readonly port: number; close(): void }> {
  const socket = await bound();
  let bytes = 0;
  socket.on("message", (message, from) => {
    if (message[0] === ECHO_MARK) socket.send(message, from.port, from.address);
    else if (message[0] === COUNT_MARK) {
      socket.send(new TextEncoder().encode(String(bytes)), from.port, from.address);
      bytes = 0;
    } else bytes += message.length;
  });
  return { port: socket.address().port, close: () => socket.close() };
}

/** What arrives in a second when one end sends as fast as it can, and echoes one at a time. */
export async function measureBareUdp(
  port: number,
  payloadBytes: number,
  seconds: number,
): Promise<{ readonly bytesPerSecond: number; readonly requestsPerSecond: number }> {
  const socket = await bound();
  await new Promise<void>((resolve) => socket.connect(port, "127.0.0.1", resolve));
  const requestsPerSecond = await echoes(socket);
  const payload = new Uint8Array(payloadBytes);
  const began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    for (let index = 0; index < BATCH; index++) socket.send(payload);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  const elapsed = (performance.now() - began) / 1000;
  const bytes = Number(await answer(socket, Uint8Array.of(COUNT_MARK)));
  socket.close();
  return { bytesPerSecond: bytes / elapsed, requestsPerSecond };
}

async function echoes(socket: Socket): Promise<number> {
  const request = new Uint8Array(64);
  request[0] = ECHO_MARK;
  const began = performance.now();
  for (let index = 0; index < ECHOES; index++) await answer(socket, request);
  return ECHOES / ((performance.now() - began) / 1000);
}

/** Asks until an answer comes: a datagram may be lost behind a flood of others. */
function answer(socket: Socket, request: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const timer = setInterval(() => socket.send(request), ANSWER_MS);
    socket.once("message", (message) => {
      clearInterval(timer);
      resolve(message.toString());
    });
    socket.send(request);
  });
}

async function bound(): Promise<Socket> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(0, "127.0.0.1", () => {
      socket.off("error", reject);
      resolve();
    });
  });
  socket.on("error", () => {});
  return socket;
}
