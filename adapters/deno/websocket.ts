/**
 * WebSocket listeners on Deno's TCP. `Deno.serve` upgrades as well, but its WebSockets put any number of fragments
 * together, at 1 MiB each and more, before anybody has said who they are; and they cannot be told to stop reading.
 *
 * The invariant to hold: until a connection is a WebSocket it costs at most one head of a request, for a bounded time.
 * THREATS part E.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { encodeResponse, HEAD_BYTES_MAX, hasToken, headEnd, readRequest } from "../http_head.ts";
import { refusalOfUpgrade } from "../origin_check.ts";
import type { Address, HttpRequest, HttpResponse, Listener, ListenOptions, Pipe, PipeHandler } from "../runtime.ts";
import { WebSocketServerPipe } from "../websocket_server_pipe.ts";
import { listenDenoTcp } from "./tcp.ts";

/** As of `ws` in Node. */
const HEAD_TIMEOUT_MS = 10_000;
/** An answer that is not taken by then is given up. */
const ANSWER_TIMEOUT_MS = 60_000;
/** How often it is looked whether an answer has left: a pipe that is closed has less time than a page may take. */
const ANSWER_POLL_MS = 20;
/** RFC 6455 §1.3. */
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY = /^[A-Za-z0-9+/]{22}==$/;

type OnPipe = (pipe: Pipe) => PipeHandler | undefined;

/** Listens for WebSockets, and answers plain HTTP requests on the same port. */
export function listenDenoWebSocket(address: Address, onPipe: OnPipe, options: ListenOptions): Promise<Listener> {
  return listenDenoTcp(address, (pipe) => new Arrival(pipe, { path: address.path, onPipe, options }), options);
}

interface Door {
  readonly path: string;
  readonly onPipe: OnPipe;
  readonly options: ListenOptions;
}

/** A connection whose first request is still to come, is being answered, or made it a WebSocket. */
class Arrival implements PipeHandler {
  readonly #pipe: Pipe;
  readonly #door: Door;
  #head: Uint8Array = new Uint8Array(0);
  #webSocket: WebSocketServerPipe | undefined;
  #isAnswered = false;
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(pipe: Pipe, door: Door) {
    this.#pipe = pipe;
    this.#door = door;
    this.#timer = setTimeout(() => pipe.destroy(), HEAD_TIMEOUT_MS);
  }

  onData(bytes: Uint8Array): void {
    if (this.#webSocket !== undefined) this.#webSocket.onData(bytes);
    else if (!this.#isAnswered) this.#takeHead(bytes);
  }

  onWritable(): void {
    this.#webSocket?.onWritable();
  }

  onClosed(error?: Error): void {
    clearTimeout(this.#timer);
    this.#webSocket?.onClosed(error);
  }

  #takeHead(bytes: Uint8Array): void {
    const known = this.#head;
    const all = new Uint8Array(known.length + bytes.length);
    all.set(known);
    all.set(bytes, known.length);
    const end = headEnd(all, known.length);
    this.#head = all;
    if (end < 0 && all.length <= HEAD_BYTES_MAX) return;
    clearTimeout(this.#timer);
    this.#isAnswered = true;
    this.#head = new Uint8Array(0);
    if (end < 0 || end > HEAD_BYTES_MAX) {
      this.#answer({ status: 431 });
      return;
    }
    const request = readRequest(all.subarray(0, end));
    if (request === undefined) this.#answer({ status: 400 });
    else if (hasToken(request.headers.get("upgrade"), "websocket")) this.#upgrade(request, all.subarray(end));
    else void this.#serve(request);
  }

  #upgrade({ method, path, headers }: HttpRequest, rest: Uint8Array): void {
    const { options } = this.#door;
    const refusal =
      path.replace(/\?.*$/, "") === this.#door.path
        ? refusalOfUpgrade(headers.get("host"), headers.get("origin"), options)
        : "There is no WebSocket at this path";
    if (refusal !== undefined) {
      this.#answer({ status: 403, body: `${refusal}\n` });
      return;
    }
    const key = headers.get("sec-websocket-key") ?? "";
    const isComplete = method === "GET" && hasToken(headers.get("connection"), "upgrade") && KEY.test(key);
    if (!isComplete || headers.get("sec-websocket-version") !== "13") {
      this.#answer({ status: isComplete ? 426 : 400, headers: { "sec-websocket-version": "13" } });
      return;
    }
    const accept = createHash("sha1").update(`${key}${ACCEPT_SUFFIX}`).digest("base64");
    const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
    const text = [...lines, `Sec-WebSocket-Accept: ${accept}`, "", ""].join("\r\n");
    this.#pipe.write([new TextEncoder().encode(text)]);
    const pipe = new WebSocketServerPipe(this.#pipe);
    const handler = this.#door.onPipe(pipe);
    if (handler === undefined) {
      pipe.destroy();
      return;
    }
    pipe.start(handler);
    this.#webSocket = pipe;
    if (rest.length > 0) pipe.onData(rest);
  }

  async #serve(request: HttpRequest): Promise<void> {
    const isHead = request.method === "HEAD";
    try {
      const found = await this.#door.options.onHttpRequest?.(request);
      this.#answer(found ?? { status: 404, headers: { "content-type": "text/plain" }, body: "Not found\n" }, isHead);
    } catch {
      this.#answer({ status: 500, body: "Internal error\n" }, isHead);
    }
  }

  #answer(response: HttpResponse, isHead = false): void {
    this.#pipe.write(encodeResponse(response, isHead));
    void this.#closeWhenSent();
  }

  async #closeWhenSent(): Promise<void> {
    for (let waited = 0; this.#pipe.bufferedBytes > 0 && waited < ANSWER_TIMEOUT_MS; waited += ANSWER_POLL_MS) {
      await new Promise((resolve) => setTimeout(resolve, ANSWER_POLL_MS));
    }
    this.#pipe.close();
  }
}
