/**
 * Processes of the three runtimes that run the peer program: started, spoken to, ended.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Job, JobResult, PeerLine } from "./peer_lines.ts";

/** The runtimes that processes can be started with. */
export type RuntimeName = "node" | "deno" | "bun";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const PROGRAM = join("test", "network", "peer_program.ts");
const READY_MS = 30_000;

/** How the peer program is started in a runtime; `undefined` where the runtime is not to be had. */
function commandOf(runtime: RuntimeName): readonly [string, ...string[]] | undefined {
  const modules = join(ROOT, "test", "runtimes", "node_modules");
  const platform = `${process.platform}-${process.arch}`;
  if (runtime === "node") return [process.execPath, "--import", "tsx", PROGRAM];
  if (runtime === "bun") {
    const place = join(modules, "@oven", `bun-${platform.replace("arm64", "aarch64")}`, "bin", "bun");
    return existsSync(place) ? [place, "run", PROGRAM] : undefined;
  }
  const places = [join(modules, "@deno", `${platform}-glibc`, "deno"), join(modules, "@deno", platform, "deno")];
  const place = places.find((candidate) => existsSync(candidate));
  // `Deno.listenDatagram` is there only with this flag.
  return place === undefined ? undefined : [place, "run", "--allow-all", "--no-check", "--unstable-net", PROGRAM];
}

/** Whether the runtime is on this machine. */
export function hasRuntime(runtime: RuntimeName): boolean {
  return commandOf(runtime) !== undefined;
}

interface Waiting {
  readonly onConnected: () => void;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: Error) => void;
}

/** A process. */
export class PeerProcess implements AsyncDisposable {
  readonly runtime: RuntimeName;
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #jobs = new Map<number, Waiting>();
  #errors = "";
  #nextJob = 1;
  #failure: Error | undefined;
  #onReady: (error: Error | undefined) => void = () => {};
  id = "";
  port = 0;

  private constructor(runtime: RuntimeName) {
    const command = commandOf(runtime);
    if (command === undefined) throw new Error(`${runtime} is not on this machine`);
    const [file, ...args] = command;
    this.runtime = runtime;
    this.#child = spawn(file, args, {
      cwd: ROOT,
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, NO_COLOR: "1" },
    });
    this.#ended = new Promise((resolve) => this.#child.on("close", () => resolve()));
    this.#child.on("error", (error) => this.#fail(error));
    this.#child.on("close", (code) => this.#fail(new Error(`${runtime} ended with ${code}\n${this.#errors}`)));
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#errors = (this.#errors + text).slice(-10_000);
    });
    this.#child.stdin?.on("error", () => {});
    if (this.#child.stdout === null) throw new Error("There is no output");
    createInterface({ input: this.#child.stdout }).on("line", (line) => this.#onLine(line));
  }

  /** Starts a process and waits until it listens. */
  static async start(runtime: RuntimeName): Promise<PeerProcess> {
    const peer = new PeerProcess(runtime);
    const timer = setTimeout(() => peer.#fail(new Error(`${runtime} never listened\n${peer.#errors}`)), READY_MS);
    try {
      await new Promise<void>((resolve, reject) => {
        peer.#onReady = (error) => (error === undefined ? resolve() : reject(error));
        if (peer.#failure !== undefined) reject(peer.#failure);
      });
      return peer;
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** What it wrote to its error output: empty when all is well. */
  get errors(): string {
    return this.#errors;
  }

  /** Has it do a job. Rejects with the reason when it fails, or when it takes too long. */
  async run(job: Omit<Job, "job">, timeoutMs: number, onConnected: () => void = () => {}): Promise<JobResult> {
    if (this.#failure !== undefined) throw this.#failure;
    const number = this.#nextJob++;
    let timer: NodeJS.Timeout | undefined;
    try {
      return await new Promise((resolve, reject) => {
        this.#jobs.set(number, { onConnected, resolve, reject });
        timer = setTimeout(() => reject(new Error(`${this.runtime}: not done after ${timeoutMs} ms`)), timeoutMs);
        this.#child.stdin?.write(`${JSON.stringify({ job: number, ...job })}\n`);
      });
    } finally {
      clearTimeout(timer);
      this.#jobs.delete(number);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended;
  }

  #onLine(text: string): void {
    const line = JSON.parse(text) as PeerLine;
    if (line.type === "ready") {
      this.id = line.id;
      this.port = Number(line.addresses[0]?.split(":").at(-1));
      this.#onReady(undefined);
      return;
    }
    const waiting = this.#jobs.get(line.job);
    if (line.type === "connected") waiting?.onConnected();
    else if (line.type === "done") waiting?.resolve(line);
    else waiting?.reject(new Error(`${this.runtime}: ${line.reason}`));
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#onReady(error);
    for (const { reject } of this.#jobs.values()) reject(error);
  }
}
