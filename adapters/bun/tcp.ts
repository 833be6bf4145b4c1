/**
 * TCP pipes and listeners on Bun's own sockets.
 *
 * @module
 */

import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import { abortReason, systemFailure } from "../failure.ts";
import type { Address, DialOptions, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";
import { type BunSocket, type BunSocketHandlers, bun } from "./globals.ts";

const HIGH_WATER_BYTES = 512 * 1024;
const LOW_WATER_BYTES = 128 * 1024;
/** Small chunks are joined up to this: a write is a system call. */
const GATHER_BYTES = 64 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;
const DIAL_TIMEOUT_MS = 10_000;
const PIPES_MAX = 10_000;

/** What a socket of Bun carries: its pipe, once there is one. */
interface SocketData {
  pipe: BunTcpPipe | undefined;
}

/** A TCP connection as a pipe. */
export class BunTcpPipe implements Pipe {
  readonly kind = "bytes";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #socket: BunSocket<SocketData>;
  readonly #onGone: () => void;
  #handler: PipeHandler | undefined;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #isBlocked = false;
  #isClosing = false;
  #isGone = false;
  #error: Error | undefined;
  #early: Uint8Array[] = [];
  #closeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(socket: BunSocket<SocketData>, remote: string, onGone: () => void = () => {}) {
    this.#socket = socket;
    this.#onGone = onGone;
    this.remote = remote;
    this.remoteHost = socket.remoteAddress;
    socket.setNoDelay(true);
  }

  start(handler: PipeHandler): void {
    this.#handler = handler;
    for (const bytes of this.#early.splice(0)) this.onData(bytes);
    if (this.#isGone) queueMicrotask(() => this.#tellClosed());
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#isGone || this.#isClosing) return true;
    for (const chunk of chunks) {
      this.#queue.push(chunk);
      this.#queuedBytes += chunk.length;
    }
    this.#flush();
    if (this.#queuedBytes <= HIGH_WATER_BYTES) return true;
    this.#isBlocked = true;
    return false;
  }

  get bufferedBytes(): number {
    return this.#queuedBytes;
  }

  pauseReading(): void {
    if (!this.#isGone) this.#socket.pause();
  }

  resumeReading(): void {
    if (!this.#isGone) this.#socket.resume();
  }

  close(): void {
    if (this.#isGone || this.#isClosing) return;
    this.#isClosing = true;
    this.#closeTimer = setTimeout(() => this.destroy(), CLOSE_TIMEOUT_MS);
    if (this.#queue.length === 0) this.#socket.end();
  }

  destroy(): void {
    if (this.#isGone) return;
    this.#socket.terminate();
    this.onClosed();
  }

  // What the socket tells.

  onData(bytes: Uint8Array): void {
    const handler = this.#handler;
    if (handler === undefined) {
      this.#early.push(new Uint8Array(bytes));
      return;
    }
    try {
      handler.onData(bytes);
    } catch (error) {
      this.#error = error instanceof Error ? error : new Error(String(error));
      this.destroy();
    }
  }

  onDrain(): void {
    this.#flush();
    if (this.#isBlocked && this.#queuedBytes <= LOW_WATER_BYTES) {
      this.#isBlocked = false;
      this.#handler?.onWritable();
    }
    if (this.#isClosing && this.#queue.length === 0) this.#socket.end();
  }

  onClosed(error?: Error): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#error ??= error;
    clearTimeout(this.#closeTimer);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#onGone();
    this.#tellClosed();
  }

  #tellClosed(): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClosed(this.#error);
  }

  #flush(): void {
    while (this.#queue.length > 0 && !this.#isGone) {
      const bytes = this.#gather();
      const written = this.#socket.write(bytes);
      if (written < 0) return; // The socket is closing; `close` follows.
      this.#queuedBytes -= written;
      if (written === bytes.length) continue;
      this.#queue.unshift(bytes.subarray(written));
      return;
    }
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
}

function handlers(onOpen?: (socket: BunSocket<SocketData>) => void): BunSocketHandlers<SocketData> {
  return {
    ...(onOpen === undefined ? {} : { open: onOpen }),
    data: (socket, bytes) => socket.data.pipe?.onData(bytes),
    drain: (socket) => socket.data.pipe?.onDrain(),
    end: (socket) => socket.end(),
    close: (socket, error) => socket.data.pipe?.onClosed(error),
    error: (socket, error) => socket.data.pipe?.onClosed(error),
  };
}

/** Dials over TCP. */
export async function dialBunTcp(address: Address, handler: PipeHandler, options: DialOptions = {}): Promise<Pipe> {
  const { signal } = options;
  if (signal?.aborted === true) throw abortReason(signal);
  const connecting = bun.connect<SocketData>({
    hostname: address.host,
    port: address.port,
    data: { pipe: undefined },
    socket: handlers((socket) => {
      socket.data.pipe = new BunTcpPipe(socket, formatAddress(address));
    }),
  });
  let giveUp!: (reason: unknown) => void;
  const givenUp = new Promise<never>((_resolve, reject) => {
    giveUp = reject;
  });
  const onAbort = (): void => giveUp(abortReason(signal as AbortSignal));
  const timeout = new ViaductError("timeout", { detail: formatAddress(address) });
  const timer = setTimeout(() => giveUp(timeout), options.timeoutMs ?? DIAL_TIMEOUT_MS);
  signal?.addEventListener("abort", onAbort, { once: true });
  try {
    const socket = await Promise.race([connecting, givenUp]);
    const pipe = socket.data.pipe ?? new BunTcpPipe(socket, formatAddress(address));
    socket.data.pipe = pipe;
    pipe.start(handler);
    return pipe;
  } catch (error) {
    // A socket that comes too late is nobody's.
    connecting.then((socket) => socket.terminate()).catch(() => undefined);
    if (error === timeout || (signal !== undefined && error === signal.reason)) throw error;
    throw systemFailure(error, "dial_failed");
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Listens on TCP. */
export function listenBunTcp(
  address: Address,
  onPipe: (pipe: Pipe) => PipeHandler | undefined,
  options: ListenOptions,
): Promise<Listener> {
  const pipesMax = options.pipesMax ?? PIPES_MAX;
  let pipes = 0;
  return new Promise((resolve, reject) => {
    try {
      const listener = bun.listen<SocketData>({
        hostname: address.host,
        port: address.port,
        socket: handlers((socket) => {
          if (pipes >= pipesMax) {
            socket.data = { pipe: undefined };
            socket.terminate();
            return;
          }
          pipes++;
          const host = socket.remoteAddress;
          const remote = formatAddress({ scheme: "tcp", host, port: socket.remotePort ?? 0, path: "/" });
          const pipe = new BunTcpPipe(socket, remote, () => pipes--);
          socket.data = { pipe };
          const handler = onPipe(pipe);
          if (handler === undefined) pipe.destroy();
          else pipe.start(handler);
        }),
      });
      resolve({
        address: { ...address, port: listener.port },
        close: () => {
          listener.stop();
          return Promise.resolve();
        },
      });
    } catch (error) {
      reject(systemFailure(error, "address_unavailable"));
    }
  });
}
