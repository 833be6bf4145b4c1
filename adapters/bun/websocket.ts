/**
 * WebSocket listeners on `Bun.serve`. Limits of THREATS part E.
 *
 * @module
 */

import { formatAddress } from "../address.ts";
import { systemFailure } from "../failure.ts";
import { answerHttp } from "../http_answer.ts";
import { refusalOfUpgrade } from "../origin_check.ts";
import type { Address, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";
import { type BunServerSocket, bun } from "./globals.ts";

/** THREATS t-E1. */
const MESSAGE_BYTES_MAX = 128 * 1024;
const HIGH_WATER_BYTES = 1024 * 1024;
/** Bun closes a socket whose buffer grows beyond this; ours stops at the high-water mark and one pump more. */
const BUFFER_BYTES_MAX = 16 * 1024 * 1024;
const PIPES_MAX = 10_000;

interface SocketData {
  readonly remote: string;
  readonly host: string;
  pipe: BunWebSocketPipe | undefined;
}

/** A server's end of a WebSocket as a pipe. */
class BunWebSocketPipe implements Pipe {
  readonly kind = "messages";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #socket: BunServerSocket<SocketData>;
  #handler: PipeHandler | undefined;
  #isBlocked = false;
  #error: Error | undefined;

  constructor(socket: BunServerSocket<SocketData>) {
    this.#socket = socket;
    this.remote = socket.data.remote;
    this.remoteHost = socket.data.host;
  }

  start(handler: PipeHandler): void {
    this.#handler = handler;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#socket.readyState !== 1) return true;
    for (const chunk of chunks) this.#socket.sendBinary(chunk);
    if (this.#socket.getBufferedAmount() <= HIGH_WATER_BYTES) return true;
    this.#isBlocked = true;
    return false;
  }

  get bufferedBytes(): number {
    return this.#socket.getBufferedAmount();
  }

  /** Bun's server sockets cannot stop reading: the session's windows bound what comes. */
  pauseReading(): void {}

  resumeReading(): void {}

  close(): void {
    this.#socket.close(1000);
  }

  destroy(): void {
    this.#socket.terminate();
  }

  onData(bytes: Uint8Array): void {
    try {
      this.#handler?.onData(bytes);
    } catch (error) {
      this.#error = error instanceof Error ? error : new Error(String(error));
      this.destroy();
    }
  }

  onDrain(): void {
    if (!this.#isBlocked || this.#socket.getBufferedAmount() > 0) return;
    this.#isBlocked = false;
    this.#handler?.onWritable();
  }

  onClosed(): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClosed(this.#error);
  }
}

/** Listens for WebSockets, and answers plain HTTP requests on the same port. */
export function listenBunWebSocket(
  address: Address,
  onPipe: (pipe: Pipe) => PipeHandler | undefined,
  options: ListenOptions,
): Promise<Listener> {
  const pipesMax = options.pipesMax ?? PIPES_MAX;
  let pipes = 0;
  return new Promise((resolve, reject) => {
    try {
      const server = bun.serve<SocketData>({
        hostname: address.host,
        port: address.port,
        fetch: (request, running) => {
          if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") return answerHttp(request, options);
          const host = request.headers.get("host") ?? undefined;
          const refusal =
            new URL(request.url).pathname === address.path
              ? refusalOfUpgrade(host, request.headers.get("origin") ?? undefined, options)
              : "There is no WebSocket at this path";
          if (refusal !== undefined) return new Response(`${refusal}\n`, { status: 403 });
          if (pipes >= pipesMax) return new Response("Too many connections\n", { status: 503 });
          const from = running.requestIP(request);
          const remoteHost = from?.address ?? "unknown";
          const remote = formatAddress({ scheme: "ws", host: remoteHost, port: from?.port ?? 0, path: "/" });
          if (running.upgrade(request, { data: { remote, host: remoteHost, pipe: undefined } })) return undefined;
          return new Response("The upgrade failed\n", { status: 400 });
        },
        websocket: {
          maxPayloadLength: MESSAGE_BYTES_MAX,
          backpressureLimit: BUFFER_BYTES_MAX,
          idleTimeout: 0,
          perMessageDeflate: false,
          open: (socket) => {
            pipes++;
            const pipe = new BunWebSocketPipe(socket);
            const handler = onPipe(pipe);
            if (handler === undefined) socket.terminate();
            else {
              socket.data.pipe = pipe;
              pipe.start(handler);
            }
          },
          message: (socket, data) => {
            if (typeof data === "string") socket.close(1003);
            else socket.data.pipe?.onData(data);
          },
          drain: (socket) => socket.data.pipe?.onDrain(),
          close: (socket) => {
            pipes--;
            socket.data.pipe?.onClosed();
          },
        },
      });
      resolve({ address: { ...address, port: server.port }, close: () => Promise.resolve(void server.stop()) });
    } catch (error) {
      reject(systemFailure(error, "address_unavailable"));
    }
  });
}
