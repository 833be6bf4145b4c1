/**
 * TCP pipes and listeners on `node:net`.
 *
 * @module
 */

import { connect, createServer, type Server, type Socket } from "node:net";
import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import { abortReason, systemFailure } from "../failure.ts";
import type { Address, DialOptions, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";

/** `write` returns `false` above this; the socket's own buffer in the kernel comes on top. */
const HIGH_WATER_BYTES = 512 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;
const DIAL_TIMEOUT_MS = 10_000;
const PIPES_MAX = 10_000;

/** A TCP connection as a pipe. */
export class TcpPipe implements Pipe {
  readonly kind = "bytes";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #socket: Socket;
  #handler: PipeHandler | undefined;
  #isBlocked = false;
  #error: Error | undefined;

  constructor(socket: Socket, remote: string) {
    this.#socket = socket;
    this.remote = remote;
    this.remoteHost = socket.remoteAddress;
    socket.setNoDelay(true);
  }

  /** Starts to deliver; bytes that arrived before are kept by the socket. */
  start(handler: PipeHandler): void {
    this.#handler = handler;
    const socket = this.#socket;
    socket.on("data", (bytes: Uint8Array) => this.#guard(() => handler.onData(bytes)));
    socket.on("drain", () => {
      if (!this.#isBlocked) return;
      this.#isBlocked = false;
      this.#guard(() => handler.onWritable());
    });
    socket.on("error", (error) => {
      this.#error = error;
    });
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      this.#handler = undefined;
      handler.onClosed(this.#error);
    });
    if (socket.destroyed) queueMicrotask(() => this.#finish());
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (socket.destroyed || socket.writableEnded) return true;
    socket.cork();
    for (const chunk of chunks) socket.write(chunk);
    socket.uncork();
    // `drain` comes only if the socket itself said that it is full.
    if (socket.writableLength <= HIGH_WATER_BYTES || !socket.writableNeedDrain) return true;
    this.#isBlocked = true;
    return false;
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  pauseReading(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  close(): void {
    const socket = this.#socket;
    if (socket.destroyed) return;
    socket.end();
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), CLOSE_TIMEOUT_MS);
    timer.unref();
    socket.once("close", () => clearTimeout(timer));
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #finish(): void {
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
      this.#socket.destroy();
    }
  }
}

/** Dials over TCP. */
export function dialTcp(address: Address, handler: PipeHandler, options: DialOptions): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const socket = connect({ host: address.host, port: address.port, noDelay: true });
    const fail = (error: unknown): void => {
      settle();
      socket.on("error", () => {});
      socket.destroy();
      reject(error);
    };
    const onError = (error: Error): void => fail(systemFailure(error, "dial_failed"));
    const onAbort = (): void => fail(abortReason(signal as AbortSignal));
    const timer = setTimeout(
      () => fail(new ViaductError("timeout", { detail: formatAddress(address) })),
      options.timeoutMs ?? DIAL_TIMEOUT_MS,
    );
    const settle = (): void => {
      clearTimeout(timer);
      socket.off("error", onError);
      signal?.removeEventListener("abort", onAbort);
    };
    socket.once("error", onError);
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("connect", () => {
      settle();
      const pipe = new TcpPipe(socket, formatAddress(address));
      pipe.start(handler);
      resolve(pipe);
    });
  });
}

/** Listens on TCP. */
export function listenTcp(
  address: Address,
  onPipe: (pipe: Pipe) => PipeHandler | undefined,
  options: ListenOptions,
): Promise<Listener> {
  const server = createServer({ noDelay: true });
  server.maxConnections = options.pipesMax ?? PIPES_MAX;
  server.on("connection", (socket) => {
    socket.on("error", () => {}); // Until the pipe listens itself.
    const host = socket.remoteAddress ?? "unknown";
    const remote = formatAddress({ scheme: "tcp", host, port: socket.remotePort ?? 0, path: "/" });
    const pipe = new TcpPipe(socket, remote);
    const handler = onPipe(pipe);
    if (handler === undefined) socket.destroy();
    else pipe.start(handler);
  });
  return listening(server, address);
}

/** Waits until a server listens. */
export function listening(server: Server, address: Address): Promise<Listener> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(systemFailure(error, "address_unavailable")));
    server.listen({ host: address.host, port: address.port }, () => {
      server.removeAllListeners("error");
      server.on("error", () => {});
      const bound = server.address();
      const port = bound !== null && typeof bound === "object" ? bound.port : address.port;
      resolve({
        address: { ...address, port },
        close: () => new Promise((done) => server.close(() => done())),
      });
    });
  });
}
