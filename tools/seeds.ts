/**
 * `npm run seeds -- 1000`: the simulator's stories of many seeds, far more than a run of the tests has time for.
 *
 *   N              how many seeds: 1,000
 *   --from N       the first one: 1
 *   --kind TEXT    `pipes`, `datagrams` or `swarm` alone; all three unless told otherwise
 *   --jobs N       processes side by side: 1
 *   --minutes N    begins no more seeds after so many minutes, and says which were left out: 60
 *
 * A seed that fails is printed with what was broken and with the command that tells its story again. One that takes a
 * minute counts as failed: it hangs. Exits with 1 when any failed.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { dangerousSimEnvironments } from "../sim/environment.ts";
import { type StoryKind, tellStory } from "../test/sim/story.ts";

/** A story takes some milliseconds. */
const SEED_MS_MAX = 60_000;
const PROGRESS_EVERY_MS = 5_000;
/** Seeds that a process tells before another one takes over: what one leaves behind must not decide about the next. */
const CHUNK = 50;

const KINDS: readonly StoryKind[] = ["pipes", "datagrams", "swarm"];

/** What a process says of one story. */
interface Told {
  readonly seed: number;
  readonly kind: StoryKind;
  readonly failure?: string;
  readonly delivered: number;
  readonly failed: number;
  readonly faults: number;
  readonly virtualMs: number;
  readonly realMs: number;
}

/** Stories that one process tells. */
interface Chunk {
  readonly kind: StoryKind;
  readonly from: number;
  readonly count: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: "string" },
    kind: { type: "string" },
    jobs: { type: "string" },
    minutes: { type: "string" },
    tell: { type: "boolean" },
  },
});
const count = wholeNumber(positionals[0] ?? "1000", "how many seeds");
const from = wholeNumber(values.from ?? "1", "--from");
const kinds: readonly StoryKind[] = values.kind === undefined ? KINDS : [kindOf(values.kind)];
if (values.tell === true) await tell({ kind: kinds[0] as StoryKind, from, count });
else await runAll();

/** Tells stories and prints one line for each. */
async function tell(chunk: Chunk): Promise<void> {
  const environmentOf = await dangerousSimEnvironments();
  for (let seed = chunk.from; seed < chunk.from + chunk.count; seed++) {
    const began = performance.now();
    let told: Omit<Told, "realMs">;
    try {
      told = { seed, kind: chunk.kind, ...tellStory(seed, environmentOf, chunk.kind) };
    } catch (error) {
      const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
      told = { seed, kind: chunk.kind, failure, delivered: 0, failed: 0, faults: 0, virtualMs: 0 };
    }
    process.stdout.write(`${JSON.stringify({ ...told, realMs: performance.now() - began })}\n`);
  }
}

async function runAll(): Promise<void> {
  const began = performance.now();
  const deadline = began + 60_000 * Number(values.minutes ?? 60);
  const chunks: Chunk[] = [];
  for (let first = from; first < from + count; first += CHUNK) {
    for (const kind of kinds) chunks.push({ kind, from: first, count: Math.min(CHUNK, from + count - first) });
  }
  const failures: Told[] = [];
  const sums = { told: 0, delivered: 0, failed: 0, faults: 0, virtualMs: 0, realMs: 0 };
  const onTold = (told: Told): void => {
    sums.told++;
    sums.delivered += told.delivered;
    sums.failed += told.failed;
    sums.faults += told.faults;
    sums.virtualMs += told.virtualMs;
    sums.realMs += told.realMs;
    if (told.failure === undefined) return;
    failures.push(told);
    process.stdout.write(`FAIL ${told.kind} ${told.failure}\n${againWith(told)}\n`);
  };
  const total = count * kinds.length;
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - began) / 1000);
    process.stdout.write(`${sums.told} of ${total} stories, ${failures.length} failed, ${seconds} s\n`);
  }, PROGRESS_EVERY_MS);
  let next = 0;
  await Promise.all(
    Array.from({ length: wholeNumber(values.jobs ?? "1", "--jobs") }, async () => {
      while (next < chunks.length && performance.now() < deadline) await runChunk(chunks[next++] as Chunk, onTold);
    }),
  );
  clearInterval(progress);
  const left = chunks.slice(next);
  if (left.length > 0) process.stdout.write(`No time for those from ${left[0]?.kind} ${left[0]?.from} on\n`);
  const speed = Math.round(sums.virtualMs / Math.max(1, sums.realMs));
  process.stdout.write(
    `${sums.told} stories, ${failures.length} failed; ${sums.faults} faults, ${sums.delivered} transfers delivered, ` +
      `${sums.failed} ended with a typed error; ${speed} x real time\n`,
  );
  for (const told of failures) process.stdout.write(`${againWith(told)}\n`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}

/** One process tells a chunk; where it hangs or dies, the story it was at has failed and another one goes on behind. */
async function runChunk(chunk: Chunk, onTold: (told: Told) => void): Promise<void> {
  let seed = chunk.from;
  const end = chunk.from + chunk.count;
  while (seed < end) {
    const args = ["--kind", chunk.kind, "--from", `${seed}`, "--tell", `${end - seed}`];
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] as string, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let isHanging = false;
    const watch = (): NodeJS.Timeout =>
      setTimeout(() => {
        isHanging = true;
        child.kill("SIGKILL");
      }, SEED_MS_MAX);
    let timer = watch();
    for await (const line of createInterface({ input: child.stdout })) {
      clearTimeout(timer);
      timer = watch();
      onTold(JSON.parse(line) as Told);
      seed++;
    }
    clearTimeout(timer);
    const code = await exitOf(child);
    if (seed >= end) return;
    const cause = isHanging ? `hangs: no end after ${SEED_MS_MAX / 1000} s` : `the process ended with ${code}`;
    const nothing = { delivered: 0, failed: 0, faults: 0, virtualMs: 0, realMs: 0 };
    onTold({ seed, kind: chunk.kind, failure: `seed ${seed}: ${cause}`, ...nothing });
    seed++;
  }
}

function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once("close", resolve));
}

function againWith(told: Told): string {
  return `again: npm run seeds -- 1 --from ${told.seed} --kind ${told.kind}`;
}

function kindOf(text: string): StoryKind {
  const kind = KINDS.find((name) => name === text);
  if (kind === undefined) throw new TypeError(`--kind is one of ${KINDS.join(", ")}, not ${text}`);
  return kind;
}

function wholeNumber(text: string, name: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  throw new RangeError(`${name} is a whole number above 0, not ${text}`);
}
