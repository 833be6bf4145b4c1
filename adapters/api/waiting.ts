/**
 * Waiting with a signal and a deadline.
 *
 * The invariant to hold: a listener or timer added here is removed in every path.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import type { Runtime } from "../runtime.ts";
import type { WaitOptions } from "./types.ts";

/**
 * Makes a class disposable in hosts without `Symbol.asyncDispose`, where its method has the name "undefined": compilers
 * of `await using` look for the registered symbol there.
 */
export function alsoDisposable(type: { readonly prototype: AsyncDisposable }): void {
  if (Symbol.asyncDispose !== undefined) return;
  const { prototype } = type as unknown as { prototype: Record<PropertyKey, unknown> };
  prototype[Symbol.for("Symbol.asyncDispose")] = prototype[String(undefined)];
}

/** A promise with its handles, which never counts as an unhandled rejection. */
export interface Deferred<Value> {
  readonly promise: Promise<Value>;
  resolve(value: Value): void;
  reject(reason: unknown): void;
}

/** Makes one. */
export function deferred<Value = void>(): Deferred<Value> {
  let resolve!: (value: Value) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<Value>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  promise.catch(() => {});
  return { promise, resolve, reject };
}

/** Waits for `promise`, but no longer than the signal and the deadline allow; `onGiveUp` undoes what was begun. */
export function waitFor<Value>(
  promise: Promise<Value>,
  options: WaitOptions | undefined,
  runtime: Pick<Runtime, "setTimer">,
  onGiveUp?: () => void,
): Promise<Value> {
  const signal = options?.signal;
  const timeoutMs = options?.timeoutMs;
  if (signal === undefined && timeoutMs === undefined) return promise;
  return new Promise((resolve, reject) => {
    const giveUp = (reason: unknown): void => {
      settle();
      onGiveUp?.();
      reject(reason);
    };
    const onAbort = (): void => giveUp(signal?.reason ?? new ViaductError("aborted"));
    const timer =
      timeoutMs === undefined ? undefined : runtime.setTimer(() => giveUp(new ViaductError("timeout")), timeoutMs);
    const settle = (): void => {
      timer?.cancel();
      signal?.removeEventListener("abort", onAbort);
    };
    if (signal?.aborted === true) {
      onAbort();
      return;
    }
    signal?.addEventListener("abort", onAbort, { once: true });
    promise.then(
      (value) => {
        settle();
        resolve(value);
      },
      (error: unknown) => {
        settle();
        reject(error);
      },
    );
  });
}

/** The same options for an operation that waits several times: its time runs from now on. */
export function fromNowOn<Options extends WaitOptions>(options: Options, runtime: Pick<Runtime, "now">): Options {
  if (options.timeoutMs === undefined) return options;
  const endAt = runtime.now() + options.timeoutMs;
  return Object.defineProperty({ ...options }, "timeoutMs", {
    enumerable: true,
    get: () => Math.max(0, endAt - runtime.now()),
  });
}

/** Something that is undone once. */
export function disposable(dispose: () => void): Disposable {
  const symbol = Symbol.dispose ?? Symbol.for("Symbol.dispose");
  return { [symbol]: dispose } as unknown as Disposable;
}
