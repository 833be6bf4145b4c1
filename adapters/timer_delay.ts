/**
 * Delays that a host's timers take.
 *
 * @module
 */

const DELAY_MS_MAX = 2 ** 31 - 1;

/** A delay in [0, 2^31-1]: above it, and for `Infinity` and `NaN`, a timer fires at once. THREATS t-I1. */
export function clampDelay(delayMs: number): number {
  return delayMs >= 0 ? Math.min(delayMs, DELAY_MS_MAX) : 0;
}
