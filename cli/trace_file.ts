/**
 * `--trace FILE`: the session with the node that a command is about, written to a file as qlog.
 *
 * The invariants to hold: a session with anybody else, such as a relay, is not in the file; a file that cannot be
 * written ends the trace, not the session, and the command says so at its end.
 *
 * @module
 */

import { closeSync, openSync, writeSync } from "node:fs";
import type { NodeId, NodeOptions } from "../adapters/api/types.ts";
import { qlogTrace } from "../adapters/trace/mod.ts";
import type { CommandContext } from "./command.ts";
import { UsageError } from "./command.ts";
import { fileFailure } from "./file_on_disk.ts";
import type { Terminal } from "./terminal.ts";

/** Characters that wait for being written together. */
const BATCH = 256 * 1024;
/** Until it is known whom the command is about, this many characters of each session are kept, and of this many. */
const HELD_MAX = 4 * 1024 * 1024;
const HELD_SESSIONS_MAX = 8;
/** Addresses of peers are in it. */
const MODE = 0o600;

/** What a command that traces takes and says. */
export const TRACE_OPTION = { trace: { type: "string" } } as const;
export const TRACE_USAGE =
  "  --trace FILE      write the session to FILE as qlog; with the ending .sqlog qvis reads it";

/** The text of a session. */
interface Text {
  readonly remoteId: NodeId | undefined;
  parts: string[];
  length: number;
}

/** The file of a trace. */
export class TraceFile implements Disposable {
  readonly #path: string;
  readonly #terminal: Terminal;
  #file: number | undefined;
  /** Sessions before it is known which one is asked for. */
  #held: Text[] | undefined = [];
  /** The one that is. */
  #kept: Text | undefined;
  #failure: unknown;

  constructor(path: string, terminal: Terminal) {
    this.#path = path;
    this.#terminal = terminal;
    try {
      this.#file = openSync(path, "w", MODE);
    } catch (error) {
      throw fileFailure(error, path);
    }
  }

  /** What the node needs. */
  get nodeOptions(): Pick<NodeOptions, "trace"> {
    return {
      trace: qlogTrace(({ remoteId }) => {
        const held = this.#held;
        if (held === undefined || held.length >= HELD_SESSIONS_MAX) return undefined;
        const text: Text = { remoteId, parts: [], length: 0 };
        held.push(text);
        return { write: (record) => this.#write(text, record) };
      }),
    };
  }

  /** The session with this node is the one to keep, and no other. One that shows no key has no id. */
  keep(id: NodeId | undefined): void {
    this.#kept = this.#held?.find(({ remoteId }) => remoteId === id);
    this.#held = undefined;
  }

  /** Writes what is left and says what came of it. */
  [Symbol.dispose](): void {
    const file = this.#file;
    if (file === undefined) return;
    const kept = this.#kept;
    if (kept !== undefined && this.#failure === undefined) {
      try {
        this.#flush(kept);
      } catch (error) {
        this.#failure = error;
      }
    }
    this.#file = undefined;
    closeSync(file);
    if (this.#failure !== undefined)
      this.#terminal.note(`The trace: ${fileFailure(this.#failure, this.#path).message}`);
    else if (kept === undefined) this.#terminal.note(`'${this.#path}' is empty: there was no session to trace`);
    else this.#terminal.note(`The trace is in '${this.#path}'`, { trace: this.#path });
  }

  /** What it throws ends the trace of the session. */
  #write(text: Text, record: string): void {
    if (this.#file === undefined || (this.#held === undefined && text !== this.#kept)) {
      throw new Error("This session is not asked for");
    }
    text.parts.push(record);
    text.length += record.length;
    if (text !== this.#kept) {
      if (text.length > HELD_MAX) throw new Error("There is no room for more");
      return;
    }
    if (text.length < BATCH) return;
    try {
      this.#flush(text);
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  #flush(text: Text): void {
    const bytes = new TextEncoder().encode(text.parts.join(""));
    text.parts = [];
    text.length = 0;
    let at = 0;
    while (at < bytes.length) at += writeSync(this.#file as number, bytes, at);
  }
}

/** The file that the flag `--trace` names, if it is there. */
export function traceFileOf({ flags, terminal }: CommandContext): TraceFile | undefined {
  const { trace } = flags;
  if (trace === undefined) return undefined;
  if (typeof trace !== "string" || trace === "") throw new UsageError("--trace needs the name of a file");
  return new TraceFile(trace, terminal);
}
