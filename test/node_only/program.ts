/**
 * Programs that tests start: their output, their end, and that none is left behind.
 *
 * @module
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TIMEOUT_MS = 60_000;

/** A program that was started. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  output = "";
  readonly #ended: Promise<number | null>;

  constructor(entry: string, args: readonly string[], env: Record<string, string> = {}) {
    this.child = spawn(process.execPath, ["--import", "tsx", join(ROOT, entry), ...args], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ["pipe", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
    this.#ended = new Promise((resolve) => this.child.on("close", (code) => resolve(code)));
  }

  /** Waits until the output matches, and returns the match. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    const began = performance.now();
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      if (this.child.exitCode !== null || performance.now() - began > TIMEOUT_MS) {
        throw new Error(`It never said ${pattern}:\n${this.output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for its end, and returns its exit code. */
  async exit(): Promise<number | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`It never ended:\n${this.output.slice(-4000)}`)), TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.#ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill();
    await this.#ended;
  }
}

/** A folder of its own, with a space in its name; removed at the end. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "viaduct test "));

  join(name: string): string {
    return join(this.path, name);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}
