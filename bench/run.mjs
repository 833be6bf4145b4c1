/**
 * `npm run bench`: Viaduct beside others, two processes on loopback, in one run; prints medians and ratios.
 *
 *   npm run bench -- [--rounds 3] [--only bulk,requests,…] [--node PATH]
 *
 * Fairness: the same message sizes, encrypted and authenticated but for node:net, which is the floor and says so; rounds
 * of the systems are interleaved; a warm-up is not counted.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..");
const TIMEOUT_MS = 120_000;
const { values } = parseArgs({
  options: { rounds: { type: "string" }, only: { type: "string" }, node: { type: "string" } },
});
const rounds = Number(values.rounds ?? 3);
const node24 = join(
  ROOT,
  "test",
  "runtimes",
  "node_modules",
  `node24-${process.platform}-${process.arch}`,
  "bin",
  "node",
);
const node = values.node ?? (existsSync(node24) ? node24 : process.execPath);

/** What is measured, in which unit, and who takes part. */
const WORKLOADS = [
  { name: "bulk", unit: "MiB/s", title: "one stream, 64 KiB writes", systems: ["viaduct", "tls", "net", "libp2p"] },
  {
    name: "pingpong",
    unit: "/s",
    title: "64 B request and answer, one in flight",
    systems: ["viaduct", "net", "libp2p"],
  },
  { name: "requests", unit: "/s", title: "64 B request and answer, 32 in flight", systems: ["viaduct", "net"] },
  { name: "streams", unit: "/s", title: "open a stream, echo 64 B, close; 16 at once", systems: ["viaduct", "libp2p"] },
  { name: "connects", unit: "/s", title: "connections, 16 at once", systems: ["viaduct", "tls", "libp2p"] },
  {
    name: "idle",
    unit: "KiB",
    title: "resident memory of an idle connection",
    systems: ["viaduct", "tls"],
    isLowerBetter: true,
  },
  { name: "relayBulk", unit: "MiB/s", title: "one stream through a relay process", systems: ["viaduct"] },
  { name: "relayPingpong", unit: "/s", title: "64 B through a relay process", systems: ["viaduct"] },
];

await step(process.execPath, [join(ROOT, "node_modules", "tsdown", "dist", "run.mjs")], ROOT);
if (!existsSync(join(HERE, "node_modules", "libp2p"))) {
  await step("npm", ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"], HERE);
}
process.stdout.write(
  `${process.platform} ${process.arch}, Node ${await versionOf(node)}, medians of ${rounds} rounds\n`,
);
for (const workload of WORKLOADS) {
  if (values.only !== undefined && !values.only.split(",").includes(workload.name)) continue;
  const results = new Map(workload.systems.map((system) => [system, []]));
  for (let round = 0; round < rounds; round++) {
    for (const system of workload.systems) {
      try {
        results.get(system).push(await measure(system, workload.name));
      } catch (error) {
        process.stdout.write(`  ${system}: ${error.message.split("\n")[0]}\n`);
      }
    }
  }
  show(workload, results);
}

function show({ name, title, unit }, results) {
  const own = median(results.get("viaduct"));
  process.stdout.write(`\n${name}: ${title}\n`);
  for (const [system, figures] of results) {
    if (figures.length === 0) continue;
    const middle = median(figures);
    const range = `${format(Math.min(...figures))} to ${format(Math.max(...figures))}`;
    const ratio = system === "viaduct" ? "" : `, viaduct is ${(own / middle).toFixed(2)} of it`;
    process.stdout.write(`  ${system.padEnd(8)} ${format(middle)} ${unit} (${range})${ratio}\n`);
  }
}

async function measure(system, workload) {
  const entry = join(HERE, "systems", `${system}.mjs`);
  const children = [];
  const start = async (args) => {
    const child = spawn(node, ["--expose-gc", entry, ...args], { cwd: HERE, stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    return await firstLine(child);
  };
  try {
    const isRelayed = workload.startsWith("relay");
    const relay = isRelayed ? await start(["relay"]) : "";
    const address = await start(["server", relay]);
    return Number(await start(["client", workload, address, relay]));
  } finally {
    for (const child of children) child.kill("SIGKILL");
  }
}

function firstLine(child) {
  return new Promise((resolve, reject) => {
    let output = "";
    let errors = "";
    const timer = setTimeout(() => reject(new Error("It took too long")), TIMEOUT_MS);
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      const end = output.indexOf("\n");
      if (end < 0) return;
      clearTimeout(timer);
      resolve(output.slice(0, end));
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
      errors += text;
    });
    child.on("close", () => {
      clearTimeout(timer);
      reject(new Error(errors.trim().split("\n").at(-1) || "It ended without a figure"));
    });
  });
}

function step(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`${command} failed`))));
  });
}

function versionOf(path) {
  return new Promise((resolve) => {
    const child = spawn(path, ["--version"], { stdio: ["ignore", "pipe", "ignore"] });
    child.stdout.setEncoding("utf8").on("data", (text) => resolve(text.trim()));
  });
}

function median(figures) {
  const sorted = [...figures].sort((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function format(figure) {
  return figure >= 100 ? Math.round(figure).toLocaleString("en") : figure.toFixed(1);
}
