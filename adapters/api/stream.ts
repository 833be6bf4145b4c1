/**
 * A stream as a program holds it: direct calls beside WHATWG streams, values beside bytes.
 *
 * The invariant to hold: reading grants credit only as the program reads; writing waits as soon as the session's buffer
 * is full; every promise is settled when the stream or its session ends.
 *
 * @module
 */

import type { ReadResult, StreamId } from "../../core/connection/session_types.ts";
import type { ErrorCode } from "../../core/error.ts";
import { ViaductError } from "../../core/error.ts";
import type { Bytes } from "../../core/machine.ts";
import { errorCodeOfStreamCode, streamCodeOf } from "../../core/node/stream_code.ts";
import { isBytes, joinBytes } from "./bytes.ts";
import { checkCode, checkSendOrder, codeOfReason } from "./checks.ts";
import type { PeerHandle } from "./peer.ts";
import type { Peer, Stream, Value, WaitOptions } from "./types.ts";
import { encodeFrame, type FrameFormat, readFrames } from "./value_frames.ts";
import { alsoDisposable, type Deferred, deferred, waitFor } from "./waiting.ts";

const EMPTY: Bytes = new Uint8Array(0);
const DONE: Promise<void> = Promise.resolve();

/** What a stream begins with. */
export interface StreamFacts {
  readonly id: StreamId;
  readonly protocol: string;
  readonly metadata: Uint8Array;
  readonly canSend: boolean;
  readonly canReceive: boolean;
  /** Whether the other side has taken it already. */
  readonly isAccepted: boolean;
  readonly isEarly: boolean;
}

/** A stream of a peer. */
export class StreamHandle implements Stream {
  readonly id: StreamId;
  readonly metadata: Uint8Array;
  readonly isEarly: boolean;
  readonly #peer: PeerHandle;
  readonly #canSend: boolean;
  readonly #canReceive: boolean;
  readonly #accepted = deferred();
  readonly #closed = deferred();
  #protocol: string;
  /** Why the sending half takes no more. */
  #sendError: ViaductError | undefined;
  #isFinished = false;
  #delivered: Deferred<void> | undefined;
  #isDelivered = false;
  /** Resolved by `writable`. */
  #room: Deferred<void> | undefined;
  /** The last of the writes that wait, so that they keep their order. */
  #writeTail: Promise<void> | undefined;
  /** Resolved by `readable`. */
  #arrival: Deferred<void> | undefined;
  #receiveEnd: "open" | "end" | "failed" = "open";
  #receiveError: ViaductError | undefined;
  #isOver = false;
  #readable: ReadableStream<Bytes> | undefined;
  #readableController: ReadableByteStreamController | undefined;
  #writable: WritableStream<Uint8Array> | undefined;
  #writableController: WritableStreamDefaultController | undefined;
  /** Bytes taken from the session that nobody has read: for a view that was too small, or to see what is behind. */
  #leftover: Bytes = EMPTY;

  constructor(peer: PeerHandle, facts: StreamFacts) {
    this.#peer = peer;
    this.id = facts.id;
    this.#protocol = facts.protocol;
    this.metadata = facts.metadata;
    this.isEarly = facts.isEarly;
    this.#canSend = facts.canSend;
    this.#canReceive = facts.canReceive;
    if (facts.isAccepted) this.#accepted.resolve();
  }

  get peer(): Peer {
    return this.#peer;
  }

  get protocol(): string {
    return this.#protocol;
  }

  get accepted(): Promise<void> {
    return this.#accepted.promise;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  // Sending.

  write(bytes: Uint8Array): Promise<void> {
    if (!isBytes(bytes)) return Promise.reject(new TypeError("Cannot write as it must be a Uint8Array"));
    if (this.#sendError !== undefined) return Promise.reject(this.#sendError);
    if (!this.#canSend || this.#isFinished)
      return Promise.reject(new ViaductError("closed", { detail: "Not writable" }));
    if (this.#writeTail === undefined) {
      const taken = this.#peer.node.write(this.#peer.session, this.id, bytes);
      if (taken === bytes.length) return DONE;
      return this.#queueWrite(bytes.slice(taken));
    }
    return this.#queueWrite(bytes.slice());
  }

  async send(value: Value): Promise<void> {
    await this.write(encodeFrame(value, this.#frames));
  }

  async finish(): Promise<void> {
    if (this.#sendError !== undefined) throw this.#sendError;
    if (!this.#canSend) throw new ViaductError("closed", { detail: "Not writable" });
    if (!this.#isFinished) {
      this.#isFinished = true;
      await this.#writeTail;
      this.#peer.node.command((machine, now) => machine.finish(this.#peer.session, this.id, now));
    }
    if (this.#isDelivered) return;
    // The session may have ended while this waited for its turn.
    if (this.#sendError !== undefined) throw this.#sendError;
    this.#delivered ??= deferred();
    await this.#delivered.promise;
  }

  reset(applicationCode = 0): void {
    checkCode("applicationCode", applicationCode);
    this.#resetWith(applicationCode);
  }

  /** Resets for a reason of Viaduct's own. */
  resetFor(code: ErrorCode): void {
    this.#resetWith(streamCodeOf(code));
    this.#stopWith(streamCodeOf(code));
  }

  setSendOrder(sendOrder: number): void {
    checkSendOrder(sendOrder);
    this.#peer.node.command((machine) => machine.setPriority(this.#peer.session, this.id, sendOrder));
  }

  get writable(): WritableStream<Uint8Array> {
    this.#writable ??= new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#writableController = controller;
        if (this.#sendError !== undefined) controller.error(this.#sendError);
      },
      write: (chunk) => this.write(chunk),
      close: () => this.finish(),
      abort: (reason) => this.#resetWith(codeOfReason(reason)),
    });
    return this.#writable;
  }

  // Receiving.

  async read(options?: WaitOptions): Promise<Bytes | undefined> {
    options?.signal?.throwIfAborted();
    for (;;) {
      if (this.#leftover.length > 0) {
        const bytes = this.#leftover;
        this.#leftover = EMPTY;
        return bytes;
      }
      if (this.#receiveEnd === "end" || !this.#canReceive) return undefined;
      if (this.#receiveError !== undefined) throw this.#receiveError;
      const result = this.#peer.node.read(this.#peer.session, this.id);
      if (result !== undefined) {
        if (result.type === "data" && result.bytes.length > 0) return result.bytes;
        this.#onRead(result);
        continue;
      }
      this.#arrival ??= deferred();
      await waitFor(this.#arrival.promise, options, this.#peer.node.runtime);
    }
  }

  messages(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Value> {
    const source = {
      read: (wait?: WaitOptions) => this.read(wait),
      unread: (bytes: Bytes) => {
        if (this.#receiveEnd !== "failed") this.#leftover = joinBytes(bytes, this.#leftover);
      },
    };
    return readFrames(source, this.#frames, options);
  }

  stop(applicationCode = 0): void {
    checkCode("applicationCode", applicationCode);
    this.#stopWith(applicationCode);
  }

  get readable(): ReadableStream<Bytes> {
    this.#readable ??= new ReadableStream({
      type: "bytes",
      start: (controller) => {
        this.#readableController = controller;
      },
      pull: (controller) => this.#pull(controller),
      cancel: (reason) => this.#stopWith(codeOfReason(reason)),
    }) as ReadableStream<Bytes>;
    return this.#readable;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    if (this.#canSend && !this.#isFinished) this.#resetWith(0);
    this.#stopWith(0);
  }

  // What the peer tells of it.

  onAccepted(protocol: string): void {
    this.#protocol = protocol;
    this.#accepted.resolve();
  }

  onRefused(code: ErrorCode, applicationCode?: number): void {
    const error = new ViaductError(code, {
      detail: this.#protocol,
      ...(applicationCode === undefined ? {} : { applicationCode }),
    });
    this.#accepted.reject(error);
    this.#failSend(error);
    this.#failReceive(error);
    this.#end(error);
  }

  onReadable(): void {
    if (this.#arrival === undefined) this.#look();
    else this.#wakeReader();
  }

  onWritable(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }

  onDelivered(): void {
    this.#isDelivered = true;
    this.#delivered?.resolve();
  }

  onStopped(applicationCode: number): void {
    this.#failSend(streamError("stream_stopped", applicationCode));
  }

  /** Both halves are over. */
  onClosed(): void {
    this.#wakeReader();
    this.#end(this.#sendError ?? this.#receiveError);
  }

  /** The session is over. */
  onSessionClosed(error: ViaductError): void {
    this.#accepted.reject(error);
    this.#failSend(error);
    if (this.#receiveEnd === "open") this.#failReceive(error);
    this.#end(error);
  }

  // Private.

  get #frames(): FrameFormat {
    const { node } = this.#peer;
    return { codec: node.codec, bytesMax: node.limits.messageBytesMax };
  }

  #wakeReader(): void {
    const arrival = this.#arrival;
    this.#arrival = undefined;
    arrival?.resolve();
  }

  /**
   * Nobody reads: takes one chunk, so that an end or a reset right behind it, or without any data, is noticed and
   * `closed` settles. The session tells again only of a reset until somebody has read on: it stays at that chunk.
   */
  #look(): void {
    if (!this.#canReceive || this.#receiveEnd !== "open") return;
    const result = this.#peer.node.read(this.#peer.session, this.id);
    if (result !== undefined) this.#onRead(result);
  }

  #onRead(result: NonNullable<ReadResult>): void {
    if (result.type === "data") {
      this.#leftover = this.#leftover.length === 0 ? result.bytes : joinBytes(this.#leftover, result.bytes);
    } else if (result.type === "end") this.#receiveEnd = "end";
    else this.#failReceive(streamError("stream_reset", result.applicationCode));
  }

  #queueWrite(bytes: Bytes): Promise<void> {
    const before = this.#writeTail ?? DONE;
    const tail: Promise<void> = before.then(() => this.#writeAll(bytes));
    this.#writeTail = tail;
    tail.then(
      () => {
        if (this.#writeTail === tail) this.#writeTail = undefined;
      },
      () => {},
    );
    return tail;
  }

  async #writeAll(bytes: Bytes): Promise<void> {
    let rest = bytes;
    for (;;) {
      if (this.#sendError !== undefined) throw this.#sendError;
      const taken = this.#peer.node.write(this.#peer.session, this.id, rest);
      if (taken === rest.length) return;
      rest = rest.subarray(taken);
      this.#room ??= deferred();
      await this.#room.promise;
    }
  }

  async #pull(controller: ReadableByteStreamController): Promise<void> {
    const bytes = await this.read();
    const request = controller.byobRequest;
    if (bytes === undefined) {
      controller.close();
      request?.respond(0);
      return;
    }
    if (request?.view == null) {
      controller.enqueue(bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice());
      return;
    }
    const view = request.view;
    const count = Math.min(view.byteLength, bytes.length);
    new Uint8Array(view.buffer, view.byteOffset, count).set(bytes.subarray(0, count));
    if (count < bytes.length) this.#leftover = bytes.subarray(count);
    request.respond(count);
  }

  #resetWith(code: number): void {
    if (!this.#canSend || this.#isDelivered || this.#sendError !== undefined) return;
    this.#failSend(new ViaductError("stream_reset", { detail: "Reset here" }));
    this.#peer.node.command((machine, now) => machine.reset(this.#peer.session, this.id, code, now));
  }

  #stopWith(code: number): void {
    if (!this.#canReceive || this.#receiveEnd !== "open") return;
    this.#leftover = EMPTY;
    this.#failReceive(new ViaductError("stream_stopped", { detail: "Stopped here" }));
    this.#peer.node.command((machine, now) => machine.stop(this.#peer.session, this.id, code, now));
  }

  #failSend(error: ViaductError): void {
    if (this.#sendError !== undefined || this.#isDelivered) return;
    this.#sendError = error;
    this.#delivered?.reject(error);
    this.#writableController?.error(error);
    this.onWritable();
  }

  #failReceive(error: ViaductError): void {
    if (this.#receiveEnd !== "open") return;
    this.#receiveEnd = "failed";
    this.#receiveError = error;
    if (this.#leftover.length === 0) this.#readableController?.error(error);
    this.#wakeReader();
  }

  #end(error: ViaductError | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.onWritable();
    if (error === undefined) this.#closed.resolve();
    else this.#closed.reject(error);
  }
}

alsoDisposable(StreamHandle);

/** What a number of the other side means. */
function streamError(fallback: "stream_reset" | "stream_stopped", streamCode: number): ViaductError {
  const code = errorCodeOfStreamCode(streamCode);
  return code === undefined ? new ViaductError(fallback, { applicationCode: streamCode }) : new ViaductError(code);
}
