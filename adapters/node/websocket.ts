/**
 * WebSocket pipes and listeners for Node, on `ws`. Limits of THREATS part E.
 *
 * @module
 */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { ViaductError } from "../../core/error.ts";
import { formatAddress } from "../address.ts";
import { abortReason, systemFailure } from "../failure.ts";
import { refusalOfUpgrade } from "../origin_check.ts";
import type { Address, DialOptions, HttpResponse, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";
import { listening } from "./tcp.ts";

/** THREATS t-E1: a package has at most 64 KiB. */
const MESSAGE_BYTES_MAX = 128 * 1024;
const HIGH_WATER_BYTES = 512 * 1024;
const LOW_WATER_BYTES = 64 * 1024;
const CLOSE_TIMEOUT_MS = 5_000;
const DIAL_TIMEOUT_MS = 10_000;
const HEADERS_TIMEOUT_MS = 10_000;
const PIPES_MAX = 10_000;

/** A WebSocket as a pipe. */
export class WebSocketPipe implements Pipe {
  readonly kind = "messages";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #socket: WebSocket;
  #isBlocked = false;
  #error: Error | undefined;
  #handler: PipeHandler | undefined;

  constructor(socket: WebSocket, remote: string, remoteHost: string | undefined) {
    this.#socket = socket;
    this.remote = remote;
    this.remoteHost = remoteHost;
    socket.binaryType = "nodebuffer";
    socket.on("error", (error) => {
      this.#error = error;
    });
  }

  start(handler: PipeHandler): void {
    this.#handler = handler;
    const socket = this.#socket;
    socket.on("message", (data, isBinary) => {
      if (isBinary) this.#guard(() => handler.onData(data as Buffer));
      else socket.close(1003); // RFC 6455 §7.4.1: a text where bytes are expected.
    });
    socket.on("close", () => handler.onClosed(this.#error));
    if (socket.readyState === WebSocket.CLOSED) queueMicrotask(() => handler.onClosed(this.#error));
  }

  write(chunks: readonly Uint8Array[]): boolean {
    const socket = this.#socket;
    if (socket.readyState !== WebSocket.OPEN) return true;
    const last = chunks.length - 1;
    for (let index = 0; index <= last; index++) {
      socket.send(chunks[index] as Uint8Array, index === last ? this.#onFlushed : undefined);
    }
    if (socket.bufferedAmount <= HIGH_WATER_BYTES) return true;
    this.#isBlocked = true;
    return false;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  pauseReading(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  close(): void {
    const socket = this.#socket;
    if (socket.readyState === WebSocket.CLOSED) return;
    socket.resume();
    socket.close(1000);
    const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
    timer.unref();
    socket.once("close", () => clearTimeout(timer));
  }

  destroy(): void {
    this.#socket.terminate();
  }

  readonly #onFlushed = (): void => {
    if (!this.#isBlocked || this.#socket.bufferedAmount > LOW_WATER_BYTES) return;
    this.#isBlocked = false;
    this.#guard(() => this.#handler?.onWritable());
  };

  #guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#error = error instanceof Error ? error : new Error(String(error));
      this.#socket.terminate();
    }
  }
}

/** Dials over WebSocket. */
export function dialWebSocket(address: Address, handler: PipeHandler, options: DialOptions): Promise<Pipe> {
  return new Promise((resolve, reject) => {
    const { signal } = options;
    if (signal?.aborted === true) {
      reject(abortReason(signal));
      return;
    }
    const url = formatAddress(address);
    const socket = new WebSocket(url, {
      perMessageDeflate: false,
      maxPayload: MESSAGE_BYTES_MAX,
      handshakeTimeout: options.timeoutMs ?? DIAL_TIMEOUT_MS,
      followRedirects: false,
      // RFC 6455 §10.3 masks so that a page cannot choose the bytes on the wire. Ours are ciphertext, and masking costs
      // 90 us per 64 KiB: `ws` skips a mask of zeros.
      generateMask: (mask) => {
        mask.fill(0);
      },
    });
    const fail = (error: unknown): void => {
      settle();
      socket.on("error", () => {});
      socket.terminate();
      reject(error);
    };
    const onError = (error: Error): void => {
      const isTimeout = error.message.includes("handshake has timed out");
      fail(isTimeout ? new ViaductError("timeout", { detail: url }) : systemFailure(error, "dial_failed"));
    };
    const onAbort = (): void => fail(abortReason(signal as AbortSignal));
    const settle = (): void => {
      socket.off("error", onError);
      signal?.removeEventListener("abort", onAbort);
    };
    socket.once("error", onError);
    signal?.addEventListener("abort", onAbort, { once: true });
    socket.once("open", () => {
      settle();
      const pipe = new WebSocketPipe(socket, url, undefined);
      pipe.start(handler);
      resolve(pipe);
    });
  });
}

/** Listens for WebSockets, and answers plain HTTP requests on the same port. */
export async function listenWebSocket(
  address: Address,
  onPipe: (pipe: Pipe) => PipeHandler | undefined,
  options: ListenOptions,
): Promise<Listener> {
  const http = createServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: HEADERS_TIMEOUT_MS });
  http.maxConnections = options.pipesMax ?? PIPES_MAX;
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES_MAX,
    clientTracking: false,
  });
  http.on("clientError", (_error, socket) => socket.destroy());
  http.on("request", (request, response) => void answer(request, response, options));
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => {});
    const refusal =
      request.url?.split("?")[0] === address.path
        ? refusalOfUpgrade(request.headers.host, request.headers.origin, options)
        : "There is no WebSocket at this path";
    if (refusal !== undefined) {
      socket.end(`HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n${refusal}\n`);
      return;
    }
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const host = request.socket.remoteAddress;
      const remote = formatAddress({
        scheme: "ws",
        host: host ?? "unknown",
        port: request.socket.remotePort ?? 0,
        path: "/",
      });
      const pipe = new WebSocketPipe(webSocket, remote, host);
      const handler = onPipe(pipe);
      if (handler === undefined) webSocket.terminate();
      else pipe.start(handler);
    });
  });
  const listener = await listening(http, address);
  return {
    address: listener.address,
    close: () => {
      const closed = listener.close();
      http.closeAllConnections(); // Upgraded sockets are not among them.
      return closed;
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ListenOptions): Promise<void> {
  let result: HttpResponse | undefined;
  try {
    const headers = new Map<string, string>();
    for (const [name, value] of Object.entries(request.headers)) {
      if (typeof value === "string") headers.set(name, value);
    }
    result = await options.onHttpRequest?.({ method: request.method ?? "GET", path: request.url ?? "/", headers });
  } catch {
    result = { status: 500, body: "Internal error\n" };
  }
  result ??= { status: 404, headers: { "content-type": "text/plain" }, body: "Not found\n" };
  response.writeHead(result.status, result.headers);
  response.end(request.method === "HEAD" ? undefined : result.body);
}
