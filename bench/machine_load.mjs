/**
 * How much of the machine others take while something is measured. Where the system does not tell the time of processes
 * in /proc, nothing is known and nothing is repeated.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import process from "node:process";

/** Linux counts in hundredths of a second for every program. */
const TICK_MS = 10;

const LOOK_MS = 500;

/** Waits until others take at most this share of all processors, but no longer than so many milliseconds. */
export async function untilCalm(shareMax, timeoutMs) {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const othersSince = watchOthers();
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (othersSince([]) <= shareMax) return;
  }
}

/** Begins to watch; the result tells the share of all processors that others than these processes took since. */
export function watchOthers() {
  const before = { ...machine(), own: process.cpuUsage() };
  return (children) => {
    const { busy, all } = machine();
    const own = process.cpuUsage(before.own);
    let ours = (own.user + own.system) / 1000;
    for (const { pid } of children) {
      const used = timeOf(pid);
      if (used === undefined) return undefined;
      ours += used;
    }
    return Math.max(0, (busy - before.busy - ours) / (all - before.all));
  };
}

function machine() {
  let busy = 0;
  let all = 0;
  for (const { times } of cpus()) {
    const sum = Object.values(times).reduce((total, time) => total + time, 0);
    all += sum;
    busy += sum - times.idle;
  }
  return { busy, all };
}

/**
 * Milliseconds of processor time of a process, or `undefined`; proc(5): the 14th and 15th field, after a name
 * that may hold spaces.
 */
export function timeOf(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  } catch {
    return undefined;
  }
}
