/**
 * TCP pipes and listeners on Deno's own API.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import { abortReason } from "../failure.ts";
import type { Address, DialOptions, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";
import { denoFailure } from "./failure.ts";
import { type DenoConnection, deno } from "./globals.ts";

const READ_BYTES = 128 * 1024;
const HIGH_WATER_BYTES = 512 * 1024;
const LOW_WATER_BYTES = 128 * 1024;
/** Small chunks are joined up to this: a write costs a promise. */
const GATHER_BYTES = 64 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;
const DIAL_TIMEOUT_MS = 10_000;
const PIPES_MAX = 10_000;

/** A TCP connection as a pipe. */
export class DenoTcpPipe implements Pipe {
  readonly kind = "bytes";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #connection: DenoConnection;
  readonly #onGone: () => void;
  #handler: PipeHandler | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isWriting = false;
  #isBlocked = false;
  #isClosing = false;
  #isGone = false;
  #error: Error | undefined;
  #paused: { promise: Promise<void>; resolve: () => void } | undefined;
  #closeTimer: number | undefined;

  constructor(connection: DenoConnection, remote: string, onGone: () => void = () => {}) {
    this.#connection = connection;
    this.#onGone = onGone;
    this.remote = remote;
    this.remoteHost = connection.remoteAddr.hostname;
    connection.setNoDelay(true);
  }

  start(handler: PipeHandler): void {
    this.#handler = handler;
    void this.#readLoop();
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#isGone || this.#isClosing) return true;
    for (const chunk of chunks) {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
    }
    if (!this.#isWriting) void this.#writeLoop();
    if (this.#queuedBytes <= HIGH_WATER_BYTES) return true;
    this.#isBlocked = true;
    return false;
  }

  get bufferedBytes(): number {
    return this.#queuedBytes;
  }

  pauseReading(): void {
    if (this.#paused !== undefined) return;
    let resolve!: () => void;
    const promise = new Promise<void>((onResolve) => {
      resolve = onResolve;
    });
    this.#paused = { promise, resolve };
  }

  resumeReading(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  close(): void {
    if (this.#isGone || this.#isClosing) return;
    this.#isClosing = true;
    this.resumeReading();
    const timer = setTimeout(() => this.destroy(), CLOSE_TIMEOUT_MS) as unknown as number;
    deno.unrefTimer(timer);
    this.#closeTimer = timer;
    if (!this.#isWriting) this.#endWriting();
  }

  destroy(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#closeTimer);
    this.resumeReading();
    this.#queue = [];
    this.#queuedBytes = 0;
    try {
      this.#connection.close();
    } catch {
      // Closed by the other side already.
    }
    this.#onGone();
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClosed(this.#error);
  }

  async #readLoop(): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    try {
      for (;;) {
        if (this.#paused !== undefined) await this.#paused.promise;
        const count = await this.#connection.read(buffer);
        if (count === null || this.#isGone) break;
        this.#handler?.onData(buffer.subarray(0, count));
      }
    } catch (error) {
      this.#error ??= error instanceof Error ? error : new Error(String(error));
    }
    this.destroy();
  }

  async #writeLoop(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#queue.length > 0 && !this.#isGone) {
        const bytes = this.#gather();
        for (let at = 0; at < bytes.length && !this.#isGone; ) at += await this.#connection.write(bytes.subarray(at));
        this.#queuedBytes = Math.max(0, this.#queuedBytes - bytes.length);
        if (this.#isBlocked && this.#queuedBytes <= LOW_WATER_BYTES) {
          this.#isBlocked = false;
          this.#handler?.onWritable();
        }
      }
    } catch (error) {
      this.#error ??= error instanceof Error ? error : new Error(String(error));
      this.destroy();
    }
    this.#isWriting = false;
    if (this.#isClosing) this.#endWriting();
  }

  #gather(): Uint8Array {
    const queue = this.#queue;
    const first = queue[0] as Uint8Array;
    if (queue.length === 1 || first.length >= GATHER_BYTES / 2) return queue.shift() as Uint8Array;
    let count = 0;
    let length = 0;
    while (count < queue.length && length + (queue[count] as Uint8Array).length <= GATHER_BYTES) {
      length += (queue[count++] as Uint8Array).length;
    }
    const joined = new Uint8Array(length);
    let at = 0;
    for (const chunk of queue.splice(0, count)) {
      joined.set(chunk, at);
      at += chunk.length;
    }
    return joined;
  }

  #endWriting(): void {
    if (this.#isGone) return;
    this.#connection.closeWrite().catch(() => this.destroy());
  }
}

/** Dials over TCP. */
export async function dialDenoTcp(address: Address, handler: PipeHandler, options: DialOptions = {}): Promise<Pipe> {
  const { signal } = options;
  if (signal?.aborted === true) throw abortReason(signal);
  const controller = new AbortController();
  let isGivenUp = false;
  const onAbort = (): void => {
    isGivenUp = true;
    controller.abort();
  };
  const timer = setTimeout(() => controller.abort(), options.timeoutMs ?? DIAL_TIMEOUT_MS);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const connecting = deno.connect({ hostname: address.host, port: address.port, signal: controller.signal });
    const connection = await connecting;
    const pipe = new DenoTcpPipe(connection, formatAddress(address));
    pipe.start(handler);
    return pipe;
  } catch (error) {
    if (isGivenUp) throw abortReason(signal as AbortSignal);
    if (controller.signal.aborted) throw new ViaductError("timeout", { detail: formatAddress(address) });
    throw denoFailure(error, "dial_failed", address);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Listens on TCP. */
export function listenDenoTcp(
  address: Address,
  onPipe: (pipe: Pipe) => PipeHandler | undefined,
  options: ListenOptions,
): Promise<Listener> {
  return Promise.resolve().then(() => {
    const listener = openListener(address);
    const pipesMax = options.pipesMax ?? PIPES_MAX;
    let pipes = 0;
    const accept = async (): Promise<void> => {
      for await (const connection of listener) {
        if (pipes >= pipesMax) {
          connection.close();
          continue;
        }
        pipes++;
        const { hostname, port } = connection.remoteAddr;
        const remote = formatAddress({ scheme: "tcp", host: hostname, port, path: "/" });
        const pipe = new DenoTcpPipe(connection, remote, () => pipes--);
        const handler = onPipe(pipe);
        if (handler === undefined) pipe.destroy();
        else pipe.start(handler);
      }
    };
    const accepting = accept().catch(() => undefined); // The listener was closed.
    return {
      address: { ...address, port: listener.addr.port },
      close: () => {
        try {
          listener.close();
        } catch {
          // Closed already.
        }
        return accepting; // The port is free once the last wait for a connection is over.
      },
    };
  });
}

function openListener(address: Address): ReturnType<typeof deno.listen> {
  try {
    return deno.listen({ hostname: address.host, port: address.port });
  } catch (error) {
    throw denoFailure(error, "address_unavailable", address);
  }
}
