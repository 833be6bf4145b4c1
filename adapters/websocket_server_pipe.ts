/**
 * The server's end of a WebSocket as a pipe, over the byte pipe that it was upgraded on. RFC 6455.
 *
 * The invariant to hold: what the byte pipe does for it (back-pressure, a bounded end) holds for the WebSocket too, and
 * what waits here is bounded by one message. THREATS t-E1.
 *
 * @module
 */

import type { Pipe, PipeHandler } from "./runtime.ts";
import {
  CLOSE_NORMAL,
  closePayload,
  encodeFrame,
  OPCODE_CLOSE,
  OPCODE_PONG,
  WebSocketFrameReader,
  type WebSocketFrameSink,
} from "./websocket_frames.ts";

/** A package has at most 64 KiB. THREATS t-E1. */
const MESSAGE_BYTES_MAX = 128 * 1024;
/** Above this the other side makes us answer without reading the answers: they are left out. RFC 6455 §5.5.3. */
const PONG_ROOM_BYTES = 256 * 1024;

/** A WebSocket over a byte pipe. */
export class WebSocketServerPipe implements Pipe, PipeHandler, WebSocketFrameSink {
  readonly kind = "messages";
  readonly remote: string;
  readonly remoteHost: string | undefined;
  readonly #inner: Pipe;
  readonly #reader: WebSocketFrameReader = new WebSocketFrameReader(this, MESSAGE_BYTES_MAX);
  #handler: PipeHandler | undefined;
  #isClosing = false;
  #isOver = false;
  #error: Error | undefined;

  constructor(inner: Pipe) {
    this.#inner = inner;
    this.remote = `${inner.remote.replace(/^tcp/, "ws")}/`;
    this.remoteHost = inner.remoteHost;
  }

  /** Delivers to `handler` what comes by `onData`. */
  start(handler: PipeHandler): void {
    this.#handler = handler;
  }

  write(chunks: readonly Uint8Array[]): boolean {
    if (this.#isClosing) return true;
    return this.#inner.write(chunks.map((chunk) => encodeFrame(chunk)));
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  pauseReading(): void {
    this.#inner.pauseReading();
  }

  resumeReading(): void {
    this.#inner.resumeReading();
  }

  close(): void {
    this.#close(CLOSE_NORMAL);
  }

  destroy(): void {
    this.#inner.destroy();
  }

  onData(bytes: Uint8Array): void {
    if (this.#isOver) return;
    const fault = this.#reader.push(bytes);
    if (fault === undefined) return;
    this.#error ??= new Error(`The other side broke the rules of WebSockets: ${fault}`);
    this.#isOver = true;
    this.#close(fault);
  }

  onWritable(): void {
    this.#handler?.onWritable();
  }

  onClosed(error?: Error): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onClosed(this.#error ?? error);
  }

  onMessage(bytes: Uint8Array): void {
    this.#handler?.onData(bytes);
  }

  onPing(payload: Uint8Array): void {
    if (this.#isClosing || this.#inner.bufferedBytes > PONG_ROOM_BYTES) return;
    this.#inner.write([encodeFrame(payload, OPCODE_PONG)]);
  }

  onClose(): void {
    this.#isOver = true;
    this.#close(CLOSE_NORMAL);
  }

  #close(code: number): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#inner.write([encodeFrame(closePayload(code), OPCODE_CLOSE)]);
    this.#inner.close();
  }
}
