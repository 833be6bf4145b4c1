/**
 * A pipe from a node to itself, inside the process: what goes in at one end comes out at the other.
 *
 * The invariant to hold: nothing is delivered inside a call of the sender.
 *
 * @module
 */

import type { Pipe, PipeHandler, Runtime, Timer } from "./runtime.ts";

/** The address that a node dials to reach itself; no other one can: it does not parse. */
export const SELF_ADDRESS = "self:";

/** One end. */
export class SelfPipe implements Pipe {
  readonly kind = "bytes";
  readonly remote: string = SELF_ADDRESS;
  readonly remoteHost: string = "127.0.0.1";
  readonly #runtime: Pick<Runtime, "setTimer">;
  #other: SelfPipe | undefined;
  #handler: PipeHandler | undefined;
  #arrived: Uint8Array[] = [];
  #isEnding = false;
  #isPaused = false;
  #isGone = false;
  #timer: Timer | undefined;

  constructor(runtime: Pick<Runtime, "setTimer">) {
    this.#runtime = runtime;
  }

  /** Two ends of one pipe. */
  static pair(runtime: Pick<Runtime, "setTimer">): readonly [SelfPipe, SelfPipe] {
    const left = new SelfPipe(runtime);
    const right = new SelfPipe(runtime);
    left.#other = right;
    right.#other = left;
    return [left, right];
  }

  /** Starts to deliver. */
  start(handler: PipeHandler): void {
    this.#handler = handler;
    this.#schedule();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const other = this.#other;
    if (other === undefined) return true;
    for (const chunk of chunks) other.#arrived.push(chunk);
    other.#schedule();
    // The windows of the session bound what waits.
    return true;
  }

  get bufferedBytes(): number {
    return 0;
  }

  pauseReading(): void {
    this.#isPaused = true;
  }

  resumeReading(): void {
    this.#isPaused = false;
    this.#schedule();
  }

  close(): void {
    this.#leave();
  }

  destroy(): void {
    this.#leave();
  }

  #leave(): void {
    const other = this.#other;
    this.#other = undefined;
    this.#arrived = [];
    this.#isEnding = true;
    this.#schedule();
    if (other === undefined) return;
    other.#other = undefined;
    other.#isEnding = true;
    other.#schedule();
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#isGone || this.#handler === undefined) return;
    // A timer and not a microtask: two ends that answer each other must let others have their turn.
    this.#timer = this.#runtime.setTimer(() => {
      this.#timer = undefined;
      this.#deliver();
    }, 0);
  }

  #deliver(): void {
    const arrived = this.#isPaused ? [] : this.#arrived;
    if (!this.#isPaused) this.#arrived = [];
    for (const chunk of arrived) this.#handler?.onData(chunk);
    if (!this.#isEnding || this.#arrived.length > 0 || this.#isGone) return;
    this.#isGone = true;
    this.#handler?.onClosed();
    this.#handler = undefined;
  }
}
