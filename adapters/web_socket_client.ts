/**
 * WebSocket pipes over the `WebSocket` that browsers, Deno and Bun have in common.
 * https://websockets.spec.whatwg.org/
 *
 * The invariant to hold: such a socket has no back-pressure of its own, so what it holds is watched while it is much.
 *
 * @module
 */

import { ViaductError } from "../core/error.ts";
import { formatAddress } from "./address.ts";
import { abortReason } from "./failure.ts";
import type { Address, DialOptions, Pipe, PipeHandler } from "./runtime.ts";

const HIGH_WATER_BYTES = 1024 * 1024;
const LOW_WATER_BYTES = 256 * 1024;
/** How often a full socket is looked at: there is no event for it. */
const POLL_MS = 4;
const CLOSE_TIMEOUT_MS = 5_000;
const DIAL_TIMEOUT_MS = 10_000;

/** A WHATWG WebSocket as a pipe. */
export class WebSocketClientPipe implements Pipe {
  readonly kind = "messages";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #socket: WebSocket;
  #handler: PipeHandler | undefined;
  #poll: ReturnType<typeof setTimeout> | undefined;
  #closing: ReturnType<typeof setTimeout> | undefined;
  #error: Error | undefined;

  constructor(socket: WebSocket, remote: string, remoteHost?: string) {
    this.#socket = socket;
    this.remote = remote;
    this.remoteHost = remoteHost;
  }

  /** Starts to deliver to `handler`. */
  start(handler: PipeHandler): void {
    this.#handler = handler;
    const socket = this.#socket;
    socket.onmessage = (event: MessageEvent) => {
      const { data } = event;
      if (data instanceof ArrayBuffer) this.#guard(() => this.#handler?.onData(new Uint8Array(data)));
      else socket.close(1003); // RFC 6455 §7.4.1: a text where bytes are expected.
    };
    socket.onclose = () => this.#finish();
    socket.onerror = () => {
      this.#error ??= new Error("The WebSocket failed");
    };
    if (socket.readyState === 3) queueMicrotask(() => this.#finish());
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (socket.readyState !== 1) return true;
    for (const chunk of chunks) socket.send(chunk as Uint8Array<ArrayBuffer>);
    if (socket.bufferedAmount <= HIGH_WATER_BYTES) return true;
    this.#poll ??= setTimeout(this.#onPoll, POLL_MS);
    return false;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** A WHATWG WebSocket cannot stop reading: the session's windows bound what comes. */
  pauseReading(): void {}

  resumeReading(): void {}

  close(): void {
    if (this.#socket.readyState >= 2) return;
    this.#socket.close(1000);
    this.#closing = setTimeout(() => this.#finish(), CLOSE_TIMEOUT_MS);
  }

  destroy(): void {
    try {
      this.#socket.close();
    } catch {
      // It was never open.
    }
    this.#finish();
  }

  readonly #onPoll = (): void => {
    this.#poll = undefined;
    if (this.#socket.readyState !== 1) return;
    if (this.#socket.bufferedAmount > LOW_WATER_BYTES) this.#poll = setTimeout(this.#onPoll, POLL_MS);
    else this.#guard(() => this.#handler?.onWritable());
  };

  #finish(): void {
    clearTimeout(this.#poll);
    clearTimeout(this.#closing);
    this.#socket.onmessage = this.#socket.onclose = this.#socket.onerror = null;
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClosed(this.#error);
  }

  /** A handler that throws loses its pipe, not the process. THREATS t-I5. */
  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#error = error instanceof Error ? error : new Error(String(error));
      this.destroy();
    }
  }
}

/** Dials over WebSocket. */
export function dialWebSocketClient(address: Address, handler: PipeHandler, options: DialOptions = {}): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const url = formatAddress(address);
    let socket: WebSocket;
    try {
      socket = new WebSocket(url);
    } catch (error) {
      const isDenied = (error as { name?: unknown }).name === "NotCapable";
      const detail = isDenied ? `run with --allow-net=${address.host}:${address.port}` : String(error);
      reject(new ViaductError(isDenied ? "permission" : "dial_failed", { cause: error, detail }));
      return;
    }
    socket.binaryType = "arraybuffer";
    const fail = (error: unknown): void => {
      settle();
      try {
        socket.close();
      } catch {
        // It was never open.
      }
      reject(error);
    };
    const onAbort = (): void => fail(abortReason(signal as AbortSignal));
    const timer = setTimeout(
      () => fail(new ViaductError("timeout", { detail: url })),
      options.timeoutMs ?? DIAL_TIMEOUT_MS,
    );
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.onopen = socket.onerror = socket.onclose = null;
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    // Browsers do not say why: a page must not learn about other hosts.
    socket.onerror = () =>
      fail(new ViaductError("dial_failed", { detail: `${url}: connection refused or not allowed` }));
    socket.onclose = () => fail(new ViaductError("dial_failed", { detail: `${url}: closed` }));
    socket.onopen = () => {
      settle();
      const pipe = new WebSocketClientPipe(socket, url);
      pipe.start(handler);
      resolve(pipe);
    };
  });
}
