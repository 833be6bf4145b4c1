/**
 * The workloads, the same for every system, over what a system offers.
 *
 * @module
 */

import process from "node:process";

const CHUNK = new Uint8Array(64 * 1024).fill(7);
const SMALL = new Uint8Array(64).fill(7);

/** Tells a figure to the runner. */
export function tell(figure) {
  process.stdout.write(`${figure}\n`);
}

/** `send(bytes)` may return a promise; `finish()` resolves when the other side has everything. */
export async function bulk(open, megabytes = 512) {
  for (const size of [64, megabytes]) {
    const { send, finish } = await open();
    const began = performance.now();
    for (let sent = 0; sent < size * 1024 * 1024; sent += CHUNK.length) await send(CHUNK);
    await finish();
    if (size === megabytes) tell(size / ((performance.now() - began) / 1000));
  }
}

/** `ask(bytes)` resolves with the answer. */
export async function requests(ask, inFlight, count) {
  const run = async (total) => {
    let left = total;
    const worker = async () => {
      while (left-- > 0) await ask(SMALL);
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
  };
  await run(Math.ceil(count / 10));
  const began = performance.now();
  await run(count);
  tell(count / ((performance.now() - began) / 1000));
}

/** `connect()` makes one connection and closes it again. */
export async function connects(connect, count = 400) {
  let left = 50;
  const worker = async () => {
    while (left-- > 0) await connect();
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  left = count;
  const began = performance.now();
  await Promise.all(Array.from({ length: 16 }, worker));
  tell(count / ((performance.now() - began) / 1000));
}

/** `connect()` makes one connection that stays; both ends live here, so the figure is halved. */
export async function idle(connect, count = 300) {
  for (let made = 0; made < 50; made++) await connect();
  await settle();
  const before = process.memoryUsage().rss;
  for (let made = 0; made < count; made++) await connect();
  await settle();
  tell((process.memoryUsage().rss - before) / count / 1024 / 2);
}

async function settle() {
  for (let round = 0; round < 5; round++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
