/**
 * One end of a transfer in a process of its own, in Node, Deno and Bun alike: it listens on UDP, and does what the lines
 * on its input tell it to. It ends with its input, or when it has lived too long.
 *
 * In:  `{"job":1,"id":"…","addresses":["udp://…"],"push":1000000,"fetch":1000000,"paths":1,"connects":0}`
 * Out: `{"type":"ready",…}`, then for each job `connected` and `done` or `failed`.
 *
 * A stream carries `push` bytes to the server and `fetch` bytes back, random ones, both at once; behind its bytes the
 * server sends the hash of what it read and the hash of what it sent.
 *
 * @module
 */

import { createHash } from "node:crypto";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Peer, Stream } from "../../adapters/api/types.ts";
import { createNode, runtimeName } from "../api/runtime_under_test.ts";
import type { Job, JobResult, PeerLine } from "./peer_lines.ts";

const PROTOCOL = "exchange/1";
const CHUNK_BYTES = 32 * 1024;
const HASH_BYTES = 32;
const LIFE_MS = 300_000;
const CONNECT_MS = 20_000;

const server = await createNode({ listen: ["udp://127.0.0.1:0"] });
server.handle(PROTOCOL, async (stream) => {
  const fetch = new DataView(stream.metadata.slice().buffer).getFloat64(0);
  const reading = readHashed(stream, Number.POSITIVE_INFINITY);
  const sent = await writeHashed(stream, fetch);
  const { hash } = await reading;
  await stream.write(hash);
  await stream.write(sent);
  await stream.finish();
});
await server.ready;

setTimeout(() => process.exit(3), LIFE_MS).unref();
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => void run(JSON.parse(line) as Job));
lines.on("close", () => process.exit(0));
print({ type: "ready", runtime: runtimeName, id: server.id, addresses: server.addresses });

async function run(job: Job): Promise<void> {
  const failures: string[] = [];
  try {
    const result = job.connects === 0 ? await exchange(job, failures) : await connectMany(job);
    print({ type: "done", job: job.job, ...result });
  } catch (error) {
    const code = (error as { code?: string }).code ?? "";
    failures.push(`${code} ${error instanceof Error ? error.message : String(error)}`);
    print({ type: "failed", job: job.job, reason: failures.join("; ") });
  }
}

/** One session, one stream. */
async function exchange(job: Job, failures: string[]): Promise<JobResult> {
  const node = await createNode({ paths: { wanted: job.paths, policy: job.paths > 1 ? "aggregate" : "best" } });
  try {
    let suspensions = 0;
    void (async () => {
      for await (const event of node.events()) {
        if (event.type === "peerSuspended") suspensions++;
        if (event.type === "failed") failures.push(String(event.error));
      }
    })();
    const dialled = performance.now();
    const peer = await node.connect({ id: job.id, addresses: job.addresses }, { timeoutMs: CONNECT_MS });
    const handshakeMs = performance.now() - dialled;
    void peer.closed.then(({ code, reason }) => failures.push(`closed: ${code} ${reason}`));
    await untilPaths(peer, job.paths);
    print({ type: "connected", job: job.job });
    const began = performance.now();
    const metadata = new Uint8Array(8);
    new DataView(metadata.buffer).setFloat64(0, job.fetch);
    const stream = await peer.open(PROTOCOL, { metadata });
    const writing = writeHashed(stream, job.push).then(async (hash) => {
      await stream.finish();
      return hash;
    });
    const { hash: received, bytes, tail } = await readHashed(stream, job.fetch);
    const sent = await writing;
    const ms = performance.now() - began;
    const isWhole =
      bytes === job.fetch &&
      sameBytes(tail.subarray(0, HASH_BYTES), sent) &&
      sameBytes(tail.subarray(HASH_BYTES), received);
    if (failures.length > 0) throw new Error("The session ended early");
    return { connected: 1, isWhole, handshakeMs, ms, suspensions, stats: peer.stats() };
  } finally {
    await node.close({ timeoutMs: 500 });
  }
}

/** Many sessions at once, each with one question and its answer. */
async function connectMany(job: Job): Promise<JobResult> {
  const began = performance.now();
  let longest = 0;
  const connectOne = async (): Promise<boolean> => {
    const node = await createNode({});
    try {
      const peer = await node.connect({ id: job.id, addresses: job.addresses }, { timeoutMs: CONNECT_MS });
      longest = Math.max(longest, performance.now() - began);
      await peer.ping({ timeoutMs: CONNECT_MS });
      return true;
    } catch (error) {
      process.stderr.write(`${(error as { code?: string }).code} ${String(error)}\n`);
      return false;
    } finally {
      await node.close({ timeoutMs: 100 });
    }
  };
  print({ type: "connected", job: job.job });
  const results = await Promise.all(Array.from({ length: job.connects }, connectOne));
  const connected = results.filter((isThere) => isThere).length;
  const ms = performance.now() - began;
  const isWhole = connected === job.connects;
  return { connected, isWhole, handshakeMs: longest, ms, suspensions: 0, stats: undefined };
}

async function untilPaths(peer: Peer, wanted: number): Promise<void> {
  const deadline = performance.now() + CONNECT_MS;
  while (peer.stats().paths.filter(({ state }) => state === "active").length < wanted) {
    if (performance.now() > deadline) throw new Error(`${wanted} paths never came up`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Writes so many random bytes; returns their hash. */
async function writeHashed(stream: Stream, total: number): Promise<Uint8Array> {
  const hash = createHash("sha256");
  for (let at = 0; at < total; at += CHUNK_BYTES) {
    const chunk = crypto.getRandomValues(new Uint8Array(Math.min(CHUNK_BYTES, total - at)));
    hash.update(chunk);
    await stream.write(chunk);
  }
  return new Uint8Array(hash.digest());
}

/** Reads to the end: the hash of the first `total` bytes, how many there were, and what came behind them. */
async function readHashed(
  stream: Stream,
  total: number,
): Promise<{ readonly hash: Uint8Array; readonly bytes: number; readonly tail: Uint8Array }> {
  const hash = createHash("sha256");
  let bytes = 0;
  const tail: number[] = [];
  for (let part = await stream.read(); part !== undefined; part = await stream.read()) {
    const taken = part.subarray(0, Math.min(part.length, total - bytes));
    hash.update(taken);
    bytes += taken.length;
    tail.push(...part.subarray(taken.length));
    if (tail.length > 2 * HASH_BYTES) throw new Error("More bytes came than were sent");
  }
  return { hash: new Uint8Array(hash.digest()), bytes, tail: Uint8Array.from(tail) };
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function print(line: PeerLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
