/**
 * First come, first served: whoever finds no room waits in line, so that what was asked for first is done first.
 *
 * The invariant to hold: nobody overtakes; an attempt that succeeded is never made again.
 *
 * @module
 */

import type { Runtime } from "../runtime.ts";
import type { WaitOptions } from "./types.ts";
import { type Deferred, deferred, waitFor } from "./waiting.ts";

interface Turn {
  /** Does it, or returns `false` while there is no room. `undefined` once it was given up. */
  attempt: (() => boolean) | undefined;
  readonly outcome: Deferred<void>;
}

/** A line of those who wait for room. */
export class Turns {
  #line: Turn[] = [];

  /** Whether somebody waits: who comes now stands behind. */
  get isBusy(): boolean {
    return this.#line.length > 0;
  }

  /** Makes the attempt when those before have had their turn and there is room. */
  wait(attempt: () => boolean, options: WaitOptions, runtime: Pick<Runtime, "setTimer">): Promise<void> {
    const turn: Turn = { attempt, outcome: deferred() };
    this.#line.push(turn);
    return waitFor(turn.outcome.promise, options, runtime, () => {
      turn.attempt = undefined;
    });
  }

  /** There may be room. */
  advance(): void {
    let done = 0;
    for (const { attempt, outcome } of this.#line) {
      try {
        if (attempt?.() === false) break;
        outcome.resolve();
      } catch (error) {
        outcome.reject(error);
      }
      done++;
    }
    if (done > 0) this.#line = this.#line.slice(done);
  }

  /** Nobody will have a turn any more. */
  fail(error: unknown): void {
    for (const { outcome } of this.#line) outcome.reject(error);
    this.#line = [];
  }
}
