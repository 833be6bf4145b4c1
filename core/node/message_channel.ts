/**
 * Messages and requests of one session. Implements PROTOCOL §8.
 *
 * Three message streams lead each way, opened when first needed: one for messages, one for requests, one for answers.
 * A program that takes no messages stops those alone; answers always get through, so that two nodes that ask each other
 * cannot wait for each other.
 *
 * The invariant to hold: a message arrives whole, once and in order, or the session ends; a request is answered once,
 * fails once, or was cancelled; everything that a peer makes us hold has a limit.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS, errorCodeOfWire, ProtocolError } from "../error.ts";
import type { Instant } from "../machine.ts";
import { utf8Bytes } from "../wire/utf8.ts";
import type { SessionId } from "./endpoint_types.ts";
import { MESSAGE_OVERHEAD_BYTES, MessageCredit } from "./message_credit.ts";
import type { RecordWriter } from "./message_record.ts";
import {
  RECORD_CANCEL,
  RECORD_ERROR,
  RECORD_MESSAGE,
  RECORD_NAME_BYTES_MAX,
  RECORD_REQUEST,
  RECORD_RESPONSE,
} from "./message_record.ts";
import type { NameCache } from "./name_cache.ts";
import type { NodeEvent, NodeLimits, RequestId } from "./node_types.ts";
import { RecordReader } from "./record_reader.ts";
import type { RecordStreams } from "./record_sender.ts";
import { RecordSender } from "./record_sender.ts";

/** The protocol of message streams. */
export const MESSAGE_PROTOCOL = "viaduct.message";
export const MESSAGE_VERSION = 1;

/** Message streams that a peer may have open: one is enough, this implementation uses three. */
export const MESSAGE_STREAMS_MAX = 4;

/** Refusals that wait because the peer asks without reading. THREATS t-C8. */
const REFUSED_BYTES_MAX = 256 * 1024;
const REFUSAL_BYTES = 16;

/** What a channel needs from its node. */
export interface MessageChannelOptions {
  readonly session: SessionId;
  readonly limits: NodeLimits;
  readonly streams: RecordStreams;
  /** Shared by all sessions of a node. */
  readonly writer: RecordWriter;
  readonly names: NameCache;
  readonly emit: (event: NodeEvent) => void;
}

/** The receiving end of one message stream. */
interface Inbound {
  readonly stream: StreamId;
  readonly reader: RecordReader;
  /** Why nothing more is read from it now. */
  pausedBy: "messages" | "requests" | undefined;
}

/** A request of the peer that has not been answered. */
interface InboundRequest {
  readonly costBytes: number;
  isCancelled: boolean;
}

/** Messages and requests of one session. Methods that read throw `ProtocolError` on a violation by the peer. */
export class MessageChannel {
  readonly #session: SessionId;
  readonly #limits: NodeLimits;
  readonly #streams: RecordStreams;
  readonly #writer: RecordWriter;
  readonly #names: NameCache;
  readonly #emit: (event: NodeEvent) => void;

  readonly #messages: RecordSender;
  readonly #requests: RecordSender;
  readonly #answers: RecordSender;
  #isSendingOver = false;
  /** The application was told that there is no room. */
  #isMessageRefused = false;
  #isRequestRefused = false;
  #refusedBytes = 0;

  readonly #inbound = new Map<StreamId, Inbound>();
  readonly #credit = new MessageCredit();
  #requestBytes = 0;

  #nextRequest: RequestId = 0;
  /** Requests of ours that wait for an answer. */
  readonly #waiting = new Set<RequestId>();
  #lastInboundRequest: RequestId = -1;
  readonly #answering = new Map<RequestId, InboundRequest>();

  constructor(options: MessageChannelOptions) {
    this.#session = options.session;
    this.#limits = options.limits;
    this.#streams = options.streams;
    this.#writer = options.writer;
    this.#names = options.names;
    this.#emit = options.emit;
    this.#messages = new RecordSender(options.streams);
    this.#requests = new RecordSender(options.streams);
    this.#answers = new RecordSender(options.streams);
  }

  // Commands.

  /** Takes a message in full, or returns `false` and takes nothing: `messagesWritable` follows. */
  sendMessage(topic: string, value: Uint8Array, now: Instant): boolean {
    this.#check("message", topic, value);
    if (value.length === 0) throw new RangeError("Cannot send message as its value is empty");
    if (!this.#messages.isClear) {
      this.#isMessageRefused = true;
      return false;
    }
    this.#writer.message(topic, value);
    this.#messages.send(this.#writer, now);
    return true;
  }

  /** Takes a request in full, or returns `undefined` and takes nothing: `messagesWritable` follows. */
  sendRequest(name: string, value: Uint8Array, now: Instant): RequestId | undefined {
    this.#check("request", name, value);
    if (!this.#requests.isClear) {
      this.#isRequestRefused = true;
      return undefined;
    }
    const request = this.#nextRequest++;
    this.#waiting.add(request);
    this.#writer.request(request, name, value);
    this.#requests.send(this.#writer, now);
    return request;
  }

  /** Waits for the answer no longer; one that comes all the same is dropped. */
  cancelRequest(request: RequestId, now: Instant): void {
    if (!this.#waiting.delete(request)) return;
    this.#writer.cancel(request);
    this.#requests.send(this.#writer, now);
  }

  /** Answers a request. One that was answered already, or is not known, is left alone. */
  respond(request: RequestId, value: Uint8Array, now: Instant): void {
    if (value.length > this.#limits.messageBytesMax) {
      this.respondError(request, "message_too_large", "The answer is larger than the limit", now);
    } else if (this.#answers.queuedBytes + value.length > this.#limits.responseQueueBytes) {
      this.respondError(request, "limit", "Too many answers wait to be read", now);
    } else if (this.#isAnswerDue(request)) {
      this.#writer.response(request, value);
      this.#answers.send(this.#writer, now);
    }
    this.#resume("requests", now);
  }

  /** Answers a request with an error. */
  respondError(request: RequestId, code: ErrorCode, detail: string, now: Instant): void {
    if (this.#isAnswerDue(request)) {
      this.#writer.error(request, ERRORS[code].wire, detail);
      this.#answers.send(this.#writer, now);
    }
    this.#resume("requests", now);
  }

  /** The application took messages with so many bytes together. */
  releaseMessage(bytes: number, now: Instant): void {
    this.#credit.release(bytes);
    this.#resume("messages", now);
  }

  /** Takes nothing more and ends the streams behind what was taken. */
  finish(now: Instant): void {
    this.#isSendingOver = true;
    for (const sender of this.#senders) sender.finish(now);
  }

  /** Whether the peer has everything that was taken. */
  get isDelivered(): boolean {
    return this.#messages.isDone && this.#requests.isDone && this.#answers.isDone;
  }

  // What happens to streams.

  /** Whether a stream is one of the channel's. */
  owns(stream: StreamId): boolean {
    if (this.#inbound.has(stream)) return true;
    return this.#messages.stream === stream || this.#requests.stream === stream || this.#answers.stream === stream;
  }

  /** The peer opened a message stream; `leftover` came behind its header. Returns `false` when there are too many. */
  accept(stream: StreamId, leftover: Uint8Array | undefined, now: Instant): boolean {
    if (this.#inbound.size >= MESSAGE_STREAMS_MAX) return false;
    const reader = new RecordReader({ valueBytesMax: this.#limits.messageBytesMax, names: this.#names });
    const inbound: Inbound = { stream, reader, pausedBy: undefined };
    this.#inbound.set(stream, inbound);
    if (leftover !== undefined) reader.push(leftover);
    this.#read(inbound, now);
    return true;
  }

  onReadable(stream: StreamId, now: Instant): void {
    const inbound = this.#inbound.get(stream);
    if (inbound !== undefined) this.#read(inbound, now);
  }

  onWritable(stream: StreamId, now: Instant): void {
    for (const sender of this.#senders) if (sender.stream === stream) sender.flush(now);
    this.#tellWritable();
  }

  /** A stream can be opened that could not before. */
  onStreamsAvailable(now: Instant): void {
    for (const sender of this.#senders) sender.flush(now);
    this.#tellWritable();
  }

  onDelivered(stream: StreamId): void {
    for (const sender of this.#senders) if (sender.stream === stream) sender.onDelivered();
  }

  /** The peer reads a message stream no more. */
  onStopped(): void {
    throw new ProtocolError("protocol_violation", "A message stream was stopped");
  }

  onStreamClosed(stream: StreamId): void {
    this.#inbound.delete(stream);
  }

  /** The session is over: what arrived whole is handed on, and nothing is waited for. */
  onClosed(code: ErrorCode, now: Instant): void {
    this.#isSendingOver = true;
    for (const inbound of this.#inbound.values()) {
      inbound.pausedBy = undefined;
      try {
        while (inbound.reader.next()) this.#dispatch(inbound, now);
      } catch (error) {
        // The session has its reason to end already.
        if (!(error instanceof ProtocolError)) throw error;
      }
    }
    this.#inbound.clear();
    for (const request of this.#waiting) {
      this.#emit({ type: "requestFailed", session: this.#session, request, code, detail: "The session ended" });
    }
    this.#waiting.clear();
    for (const [request, { isCancelled }] of this.#answering) {
      if (!isCancelled) this.#emit({ type: "requestCancelled", session: this.#session, request });
    }
    this.#answering.clear();
  }

  get #senders(): readonly RecordSender[] {
    return [this.#messages, this.#requests, this.#answers];
  }

  #check(what: string, name: string, value: Uint8Array): void {
    // A character has at most three bytes: long names alone are counted.
    if (name.length * 3 > RECORD_NAME_BYTES_MAX && utf8Bytes(name) > RECORD_NAME_BYTES_MAX) {
      throw new RangeError(`Cannot send ${what} as its name has more than ${RECORD_NAME_BYTES_MAX} bytes: "${name}"`);
    }
    if (value.length > this.#limits.messageBytesMax) {
      throw new RangeError(
        `Cannot send ${what} as "messageBytesMax" is ${this.#limits.messageBytesMax}: its value has ${value.length}`,
      );
    }
  }

  #tellWritable(): void {
    const isMessageFree = this.#isMessageRefused && this.#messages.isClear;
    const isRequestFree = this.#isRequestRefused && this.#requests.isClear;
    if (this.#answers.isClear) this.#refusedBytes = 0;
    if (this.#isSendingOver || (!isMessageFree && !isRequestFree)) return;
    if (isMessageFree) this.#isMessageRefused = false;
    if (isRequestFree) this.#isRequestRefused = false;
    this.#emit({ type: "messagesWritable", session: this.#session });
  }

  // Receiving.

  #read(inbound: Inbound, now: Instant): void {
    for (;;) {
      while (inbound.pausedBy === undefined && inbound.reader.next()) this.#dispatch(inbound, now);
      if (inbound.pausedBy !== undefined) return;
      const result = this.#streams.read(inbound.stream);
      if (result === undefined) return;
      if (result.type === "data") {
        inbound.reader.push(result.bytes);
        continue;
      }
      // PROTOCOL §8.2: only the end between two records is orderly.
      if (result.type === "reset") throw new ProtocolError("protocol_violation", "A message stream was reset");
      if (inbound.reader.isInsideRecord) {
        throw new ProtocolError("protocol_violation", "A message stream ended inside a record");
      }
      return;
    }
  }

  /** Reads on where the application has made room. */
  #resume(by: "messages" | "requests", now: Instant): void {
    if (this.#isFull(by)) return;
    for (const inbound of this.#inbound.values()) {
      if (inbound.pausedBy !== by) continue;
      inbound.pausedBy = undefined;
      this.#read(inbound, now);
    }
  }

  #isFull(by: "messages" | "requests"): boolean {
    const heldBytes = by === "messages" ? this.#credit.heldBytes : this.#requestBytes;
    return heldBytes >= this.#limits.messageQueueBytes;
  }

  #dispatch(inbound: Inbound, now: Instant): void {
    const { reader } = inbound;
    const session = this.#session;
    switch (reader.kind) {
      case RECORD_MESSAGE:
        if (reader.value.length === 0) throw new ProtocolError("protocol_violation", "A message has no value");
        this.#credit.add(reader.value.length);
        this.#emit({ type: "message", session, topic: reader.text, bytes: reader.value });
        if (this.#isFull("messages")) inbound.pausedBy = "messages";
        return;
      case RECORD_REQUEST:
        this.#onRequest(inbound, now);
        return;
      case RECORD_RESPONSE:
        if (this.#isAnswerAwaited(reader.id)) {
          this.#emit({ type: "response", session, request: reader.id, bytes: reader.value });
        }
        return;
      case RECORD_ERROR:
        if (this.#isAnswerAwaited(reader.id)) {
          const code = errorCodeOfWire(reader.wireCode);
          this.#emit({ type: "requestFailed", session, request: reader.id, code, detail: reader.text });
        }
        return;
      case RECORD_CANCEL: {
        const answering = this.#answering.get(reader.id);
        if (reader.id > this.#lastInboundRequest) {
          throw new ProtocolError("protocol_violation", "A request was cancelled that was never sent");
        }
        if (answering === undefined || answering.isCancelled) return;
        // It counts until the application is done with it: else asking and cancelling would know no limit.
        answering.isCancelled = true;
        this.#emit({ type: "requestCancelled", session, request: reader.id });
        return;
      }
    }
  }

  #onRequest(inbound: Inbound, now: Instant): void {
    const { reader } = inbound;
    if (reader.id <= this.#lastInboundRequest) {
      throw new ProtocolError("protocol_violation", "The ids of requests do not increase");
    }
    this.#lastInboundRequest = reader.id;
    if (this.#answering.size >= this.#limits.requestsMax) {
      this.#refuse(reader.id, now);
      return;
    }
    const costBytes = reader.value.length + MESSAGE_OVERHEAD_BYTES;
    this.#requestBytes += costBytes;
    this.#answering.set(reader.id, { costBytes, isCancelled: false });
    this.#emit({
      type: "request",
      session: this.#session,
      request: reader.id,
      name: reader.text,
      bytes: reader.value,
    });
    if (this.#isFull("requests")) inbound.pausedBy = "requests";
  }

  #refuse(request: RequestId, now: Instant): void {
    if (!this.#answers.isClear) {
      this.#refusedBytes += REFUSAL_BYTES;
      if (this.#refusedBytes > REFUSED_BYTES_MAX) {
        throw new ProtocolError("limit", "Too many requests were sent without reading the answers");
      }
    }
    if (this.#isSendingOver) return;
    this.#writer.error(request, ERRORS.limit.wire, "");
    this.#answers.send(this.#writer, now);
  }

  /** Whether an answer of the peer is for a request that waits. */
  #isAnswerAwaited(request: RequestId): boolean {
    if (this.#waiting.delete(request)) return true;
    if (request >= this.#nextRequest) {
      throw new ProtocolError("protocol_violation", "A request was answered that was never sent");
    }
    return false; // cancelled, or answered twice
  }

  /** Forgets a request of the peer; whether it still wants its answer. */
  #isAnswerDue(request: RequestId): boolean {
    const answering = this.#answering.get(request);
    if (answering === undefined) return false;
    this.#answering.delete(request);
    this.#requestBytes -= answering.costBytes;
    return !answering.isCancelled && !this.#isSendingOver;
  }
}
