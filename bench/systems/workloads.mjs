/**
 * The workloads, the same for every system, over what a system offers.
 *
 * @module
 */

import process from "node:process";
import { timeOf } from "../machine_load.mjs";

const CHUNK = new Uint8Array(64 * 1024).fill(7);
const SMALL = new Uint8Array(64).fill(7);
const MEBIBYTE = 1024 * 1024;
/** What is sent before the figure is taken. */
const WARM_UP_MEBIBYTES = 32;
/** What is asked before the figure is taken: compilers take their time, on a busy machine most of it. */
const WARM_UP_REQUESTS = 5_000;
const WARM_UP_SECONDS = 5;

/** What the runner wants of this process: role, workload, scheme, address and the like. */
export const job = JSON.parse(process.argv[2]);

/** Tells an address, or a figure with what belongs to it, to the runner. */
export function tell(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/**
 * Begins to count processor time. The result tells what was done, in its unit, per second of the process that worked
 * longest: what comes to pass where each has a processor to itself. And the seconds of all, per unit.
 */
export function countProcessors() {
  const pids = [process.pid, ...job.others];
  const before = pids.map(timeOf);
  return (done) => {
    const seconds = pids.map((pid, index) => (timeOf(pid) - before[index]) / 1000);
    if (seconds.some((used) => !(used >= 0))) return {};
    return { busiest: done / Math.max(...seconds), each: seconds.map((used) => used / done) };
  };
}

/**
 * `open(mebibytes)` resolves with `send(bytes)`, which may return a promise, and `finish()`, which resolves when the
 * other side has everything.
 */
export async function bulk(open, warmUpMebibytes = WARM_UP_MEBIBYTES, total = job.mebibytes) {
  for (const mebibytes of [warmUpMebibytes, total]) {
    const { send, finish } = await open(mebibytes);
    const processorsSince = countProcessors();
    const began = performance.now();
    for (let sent = 0; sent < mebibytes * MEBIBYTE; sent += CHUNK.length) await send(CHUNK);
    await finish();
    const figure = mebibytes / ((performance.now() - began) / 1000);
    if (mebibytes === total) tell({ figure, ...processorsSince(mebibytes) });
  }
}

/** `ask(bytes)` resolves with the answer. With one in flight, it tells how long they take. */
export async function requests(ask, inFlight, seconds = 2) {
  const times = [];
  const run = async (until, countMax = Number.POSITIVE_INFINITY) => {
    let count = 0;
    const worker = async () => {
      for (;;) {
        const began = performance.now();
        if (began >= until || count >= countMax) return;
        await ask(SMALL);
        count++;
        if (inFlight === 1) times.push(performance.now() - began);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, worker));
    return count;
  };
  await run(performance.now() + 1000 * WARM_UP_SECONDS, WARM_UP_REQUESTS);
  times.length = 0;
  const processorsSince = countProcessors();
  const began = performance.now();
  const count = await run(began + seconds * 1000);
  const figure = count / ((performance.now() - began) / 1000);
  const processors = processorsSince(count);
  times.sort((left, right) => left - right);
  const at = (part) => 1000 * times[Math.floor(part * times.length)];
  tell({ figure, ...(inFlight === 1 ? { p50: at(0.5), p99: at(0.99) } : {}), ...processors });
}

/** `connect()` makes one connection and closes it again. */
export async function connects(connect, count = 400) {
  let left = 50;
  const worker = async () => {
    while (left-- > 0) await connect();
  };
  await Promise.all(Array.from({ length: 16 }, worker));
  left = count;
  const processorsSince = countProcessors();
  const began = performance.now();
  await Promise.all(Array.from({ length: 16 }, worker));
  tell({ figure: count / ((performance.now() - began) / 1000), ...processorsSince(count) });
}

/** `connect()` makes one connection that stays; both ends live here, so the figure is halved. */
export async function idle(connect, count = 300) {
  for (let made = 0; made < 50; made++) await connect();
  await settle();
  const before = process.memoryUsage();
  for (let made = 0; made < count; made++) await connect();
  await settle();
  const after = process.memoryUsage();
  const each = (name) => (after[name] - before[name]) / count / 1024 / 2;
  tell({ figure: each("rss"), heap: each("heapUsed") });
}

/**
 * `prepare(mode, rttMs)` resolves with what connects over a line with that delay, sends 64 bytes and waits for the
 * answer. The figure is that of the first mode on the longest line, where what is computed counts least.
 */
export async function roundTrips(prepare, modes) {
  const lines = Object.keys(job.lines).map(Number);
  const table = {};
  for (const mode of modes) {
    for (const rttMs of lines) {
      const ask = await prepare(mode, rttMs);
      const began = performance.now();
      await ask(SMALL);
      table[`${mode}, ${rttMs} ms`] = (performance.now() - began) / rttMs;
    }
  }
  tell({ figure: table[`${modes[0]}, ${lines.at(-1)} ms`], table });
}

async function settle() {
  for (let round = 0; round < 5; round++) {
    globalThis.gc?.();
    globalThis.Bun?.gc(true);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
