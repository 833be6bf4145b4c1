/**
 * What the command shows: lines for people on the terminal, one JSON object per line with `--json`.
 *
 * The invariant to hold: results go to standard output, everything else to standard error; nothing secret goes anywhere
 * but a ticket that was asked for.
 *
 * @module
 */

import process from "node:process";
import type { FileProgress } from "../protocols/file.ts";

const BAR_WIDTH = 24;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** Shows what happens. */
export class Terminal {
  readonly isJson: boolean;
  readonly #isTerminal: boolean;
  #hasProgress = false;

  constructor(isJson: boolean) {
    this.isJson = isJson;
    this.#isTerminal = process.stderr.isTTY === true;
  }

  /** A result: text for people, or facts for programs. */
  result(text: string, facts: Record<string, unknown>): void {
    this.#clearProgress();
    process.stdout.write(this.isJson ? `${JSON.stringify(facts)}\n` : `${text}\n`);
  }

  /** Something worth knowing. */
  note(text: string, facts: Record<string, unknown> = {}): void {
    this.#clearProgress();
    process.stderr.write(this.isJson ? `${JSON.stringify({ note: text, ...facts })}\n` : `${text}\n`);
  }

  /** How far a transfer is: a bar on a terminal, nothing where nobody looks, a line with `--json`. */
  progress(progress: FileProgress): void {
    if (this.isJson) {
      process.stderr.write(`${JSON.stringify({ progress })}\n`);
      return;
    }
    if (!this.#isTerminal) return;
    const { size, bytes, bytesPerSecond, remainingMs } = progress;
    const part = size === 0 ? 1 : bytes / size;
    const filled = Math.round(part * BAR_WIDTH);
    const bar = `${"█".repeat(filled)}${"░".repeat(BAR_WIDTH - filled)}`;
    const rest = remainingMs === undefined ? "" : ` ${formatDuration(remainingMs)} left`;
    const percent = `${Math.floor(part * 100)}`.padStart(3);
    process.stderr.write(
      `\r\x1b[K${bar} ${percent} % ${formatBytes(bytes)} of ${formatBytes(size)} ${formatBytes(bytesPerSecond)}/s${rest}`,
    );
    this.#hasProgress = true;
  }

  #clearProgress(): void {
    if (!this.#hasProgress) return;
    process.stderr.write("\n");
    this.#hasProgress = false;
  }
}

/** Bytes for people. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** A duration for people. */
export function formatDuration(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}
