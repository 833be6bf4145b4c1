/**
 * `npm run memory`: what idle sessions cost the one that was connected to. One process connects so many times to another,
 * over UDP as a rule; counted is the heap, with what hangs on it outside, after collection, less what was there before.
 *
 *   npm run memory -- [--sessions 2000] [--scheme udp] [--runtime node24] [--snapshot FILE]
 *
 * `--snapshot` writes the heap of the server with all sessions, for the developer tools of a browser.
 *
 * @module
 */

import { spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as wait } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { writeHeapSnapshot } from "node:v8";

/** Sessions before the first count: what is made once is made by then. */
const WARM_UP = 200;
const AT_ONCE = 16;
/** After the last session was made: handshakes are forgotten, acknowledgements are through. */
const SETTLE_MS = 4_000;
const { values } = parseArgs({
  options: {
    sessions: { type: "string", default: "2000" },
    scheme: { type: "string", default: "udp" },
    runtime: { type: "string", default: "node24" },
    snapshot: { type: "string" },
    role: { type: "string", default: "main" },
  },
});
const lines = values.role === "main" ? undefined : createInterface(process.stdin)[Symbol.asyncIterator]();

if (values.role === "main") await main();
else {
  const { createNode } = await import("../adapters/node/mod.ts");
  await (values.role === "server" ? serve(createNode) : connect(createNode));
}

async function main() {
  const { findRuntimes } = await import("./runtimes.mjs");
  const [runtime] = await findRuntimes([values.runtime], []);
  const server = start(runtime, "server");
  const client = start(runtime, "client");
  try {
    client.tell(await server.answer());
    const count = Number(values.sessions);
    await client.ask(WARM_UP);
    const before = await server.ask("count");
    await client.ask(count);
    const after = await server.ask("count");
    if (values.snapshot !== undefined) await server.ask(`snapshot ${values.snapshot}`);
    const each = (name) => `${((after[name] - before[name]) / count / 1000).toFixed(2)} KB`.padStart(10);
    process.stdout.write(`${count} idle sessions over ${values.scheme}, ${runtime.name}, each at the server\n`);
    process.stdout.write(`  together                       ${each("all")}\n`);
    process.stdout.write(`  objects on the heap            ${each("heapUsed")}\n`);
    process.stdout.write(`  outside it (buffers, ciphers)  ${each("external")}\n`);
    process.stdout.write(`  resident                       ${each("rss")}\n`);
  } finally {
    server.end();
    client.end();
  }
}

/** A process of this program that answers each line with one. */
function start(runtime, role) {
  const self = fileURLToPath(import.meta.url);
  const args = [...runtime.args, self, "--role", role, "--scheme", values.scheme];
  const child = spawn(runtime.command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]();
  const tell = (line) => child.stdin.write(`${JSON.stringify(line)}\n`);
  const answer = async () => {
    const { value, done } = await answers.next();
    if (done) throw new Error(`The ${role} ended`);
    return JSON.parse(value);
  };
  const ask = (line) => {
    tell(line);
    return answer();
  };
  return { tell, answer, ask, end: () => child.kill() };
}

function reply(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

async function serve(createNode) {
  const limits = { sessionsMax: 100_000, pipesMax: 100_000, pipesPerAddressMax: 100_000 };
  const node = await createNode({ listen: [`${values.scheme}://127.0.0.1:0`], limits });
  await node.ready;
  reply(node.ticket());
  for await (const line of lines) {
    const command = JSON.parse(line);
    if (command === "count") reply(await usage());
    else reply(writeHeapSnapshot(command.slice("snapshot ".length)));
  }
}

/** `external` holds the bytes of array buffers already. */
async function usage() {
  await wait(SETTLE_MS);
  for (let round = 0; round < 5; round++) {
    globalThis.gc();
    await wait(50);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapUsed, external, rss, all: heapUsed + external };
}

async function connect(createNode) {
  const ticket = JSON.parse((await lines.next()).value);
  const limits = { sessionsMax: 100_000, pipesMax: 100_000 };
  const node = await createNode({ limits });
  for await (const line of lines) {
    let left = JSON.parse(line);
    const one = async () => {
      while (left-- > 0) await node.connect(ticket, { isAnonymous: true });
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    reply("done");
  }
}
