/**
 * One measurement: starts a relay where one is needed, a server and a client, and takes the client's figure.
 *
 * @module
 */

import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startDelayLine } from "./delay_lines.mjs";
import { watchOthers } from "./machine_load.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const TIMEOUT_MS = 60_000;
/** Round trips of the lines, in milliseconds. */
const LINES_MS = [25, 100, 300];

/** Resolves with `{ figure, … }` as the client tells it, and the share of the machine that `others` took meanwhile. */
export async function measure({ system, runtime, workload }) {
  const { name, scheme, packageBytes, mebibytes, isAlone } = workload;
  const entry = join(HERE, "systems", `${system}.mjs`);
  const othersSince = watchOthers();
  const children = [];
  const lines = [];
  const start = async (job) => {
    const others = children.map(({ pid }) => pid);
    const whole = JSON.stringify({ ...job, others, workload: name, scheme, packageBytes, mebibytes });
    const args = [...runtime.args, entry, whole];
    const child = spawn(runtime.command, args, { cwd: HERE, stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    return JSON.parse(await firstLine(child));
  };
  try {
    const relay = name.startsWith("relay") ? await start({ role: "relay" }) : undefined;
    const address = isAlone ? undefined : await start({ role: "server", relay });
    const ports = {};
    if (name === "roundTrips") {
      for (const rttMs of LINES_MS) {
        const line = await startDelayLine(scheme, address.port, rttMs);
        lines.push(line);
        ports[rttMs] = line.port;
      }
    }
    const told = await start({ role: "client", address, relay, lines: ports });
    return { ...told, others: othersSince(children) };
  } finally {
    for (const child of children) child.kill("SIGKILL");
    for (const line of lines) line.close();
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
      const words = errors.trim().split("\n");
      const told = words.find((line) => /^(Uncaught )?\w*Error|^error:/.test(line)) ?? words.at(-1);
      reject(new Error(told || "It ended without a figure"));
    });
  });
}
