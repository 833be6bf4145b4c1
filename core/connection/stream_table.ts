/**
 * All streams of a session: opening, limits, flow control at both levels, and what the application does with them.
 * RFC 9000 §2 to §4. Frames go in by `on…`; what is to be sent comes out by `nextStreamFrame` and the control queue.
 *
 * The invariant to hold: every number from the peer is checked against what it was granted before anything moves; an
 * id that was closed never lives again.
 *
 * @module
 */

import { ProtocolError } from "../error.ts";
import { LazyMap, LazySet } from "../lazy_collections.ts";
import type { Bytes, Instant } from "../machine.ts";
import type { ControlFrame, ControlNumbers } from "./control_frames.ts";
import type { StreamFrameSink } from "./frame_parser.ts";
import { ReceiveWindow } from "./receive_window.ts";
import { startWindows } from "./session_defaults.ts";
import type { ReadResult, Role, SessionConfig, SessionEvent, StreamId, TransportParameters } from "./session_types.ts";
import type { Stream } from "./stream.ts";
import { ReceiveHalf, SendHalf } from "./stream.ts";
import { StreamScheduler } from "./stream_scheduler.ts";

const UNIDIRECTIONAL_BIT = 2;
/** The session's window is so many times the largest of its streams at least: one that stalls must not stop all. */
const SESSION_WINDOW_FACTOR = 4;
const STREAMS_MAX = 2 ** 32;
/** Bytes that one stream sends before an equal one has its turn. */
const FAIR_SHARE_BYTES = 16 * 1024;

/** Streams of one kind that this end opened. */
interface OwnStreams {
  next: number;
  max: number;
  /** The application was told that there is no room. */
  isWaiting: boolean;
}

/** Streams of one kind that the peer opened. */
interface PeerStreams {
  /** Index after the highest one seen. */
  seen: number;
  max: number;
  /** Indices below `seen` whose frames are still on a slower path. Bounded by the streams allowed at once. */
  readonly skipped: LazySet<number>;
  closedSinceGrant: number;
}

/** A part of a stream to be put into a package. */
export interface StreamPart {
  stream: StreamId;
  start: number;
  end: number;
  isFin: boolean;
}

/** What a table needs from its session. */
export interface StreamTableOptions {
  readonly role: Role;
  readonly config: SessionConfig;
  readonly remote: TransportParameters;
  readonly emit: (event: SessionEvent) => void;
  readonly control: (frame: ControlFrame) => void;
  /** What time it is; while the application reads it may be that of the last package. */
  readonly now: () => Instant;
  /** The round trip of the slowest path in use. */
  readonly rttMs: () => number | undefined;
}

/** The streams of one session. */
export class StreamTable implements ControlNumbers, StreamFrameSink {
  readonly #config: SessionConfig;
  readonly #remote: TransportParameters;
  readonly #emit: (event: SessionEvent) => void;
  readonly #control: (frame: ControlFrame) => void;
  readonly #now: () => Instant;
  readonly #rttMs: () => number | undefined;
  /** 1 when the peer's ids are odd. */
  readonly #peerBit: number;
  readonly #streams = new LazyMap<StreamId, Stream>();
  readonly #scheduler = new StreamScheduler<SendHalf>();
  /** Have data, but the session has no credit. */
  readonly #starved = new LazySet<SendHalf>();
  readonly #own: readonly [OwnStreams, OwnStreams];
  readonly #peer: readonly [PeerStreams, PeerStreams];
  /** Sending, on all streams together. */
  #sendMax: number;
  #sentBytes = 0;
  /** Receiving, on all streams together. */
  readonly #window: ReceiveWindow;
  /** Of a stream before the peer was granted more. */
  readonly #streamStartBytes: number;
  #receivedBytes = 0;

  constructor(options: StreamTableOptions) {
    this.#config = options.config;
    this.#remote = options.remote;
    this.#emit = options.emit;
    this.#control = options.control;
    this.#now = options.now;
    this.#rttMs = options.rttMs;
    this.#peerBit = options.role === "initiator" ? 1 : 0;
    this.#own = [
      { next: 0, max: options.remote.streamsBidirectionalMax, isWaiting: false },
      { next: 0, max: options.remote.streamsUnidirectionalMax, isWaiting: false },
    ];
    this.#peer = [
      { seen: 0, max: options.config.streamsMax, skipped: new LazySet(), closedSinceGrant: 0 },
      { seen: 0, max: options.config.streamsMax, skipped: new LazySet(), closedSinceGrant: 0 },
    ];
    this.#sendMax = options.remote.sessionWindowBytes;
    const { streamWindowBytes, sessionWindowBytes } = startWindows(options.config);
    this.#streamStartBytes = streamWindowBytes;
    this.#window = new ReceiveWindow(sessionWindowBytes, options.config.sessionWindowBytes);
  }

  /** How many streams are open. */
  get size(): number {
    return this.#streams.size;
  }

  /** Whether a stream may have something to send. */
  get hasSendable(): boolean {
    return this.#scheduler.size > 0;
  }

  /** The sending half of a stream that is not forgotten. */
  sendHalf(id: StreamId): SendHalf | undefined {
    return this.#streams.get(id)?.send;
  }

  /** Bytes written and never sent. */
  get unsentBytes(): number {
    let bytes = 0;
    for (const { send } of this.#streams.values()) bytes += send?.buffer.unsentBytes ?? 0;
    return bytes;
  }

  /** Whether something arrived that the application has not read yet. */
  get hasUnread(): boolean {
    for (const { receive } of this.#streams.values()) {
      if (receive === undefined || receive.isStopped || receive.isDone) continue;
      if (receive.buffer.hasReady || receive.state === "resetReceived") return true;
      if (receive.finalSize === receive.buffer.readOffset) return true;
    }
    return false;
  }

  // What the application does.

  /** Opens a stream, or returns `undefined` when the peer allows no more now. */
  open(isUnidirectional: boolean, priority: number): StreamId | undefined {
    const own = this.#own[isUnidirectional ? 1 : 0];
    if (own.next >= own.max) {
      own.isWaiting = true;
      return undefined;
    }
    const id = own.next++ * 4 + (isUnidirectional ? UNIDIRECTIONAL_BIT : 0) + (1 - this.#peerBit);
    this.#create(id, priority);
    return id;
  }

  /** Takes a prefix of `bytes` and returns its length. */
  write(id: StreamId, bytes: Uint8Array): number {
    const half = this.#streams.get(id)?.send;
    if (half === undefined || half.state !== "sending") return 0;
    const room = this.#config.sendBufferBytes - half.buffer.heldBytes;
    if (bytes.length > room) half.isWriterWaiting = true;
    if (room <= 0) return 0;
    const taken = bytes.length <= room ? bytes : bytes.subarray(0, room);
    if (taken.length > 0) {
      half.buffer.append(taken);
      this.#schedule(half);
    }
    return taken.length;
  }

  /** Bytes that `write` would take now. */
  writeRoom(id: StreamId): number {
    const half = this.#streams.get(id)?.send;
    if (half === undefined || half.state !== "sending") return 0;
    return Math.max(0, this.#config.sendBufferBytes - half.buffer.heldBytes);
  }

  /** Asks for a `writable` event as soon as there is room. */
  awaitRoom(id: StreamId): void {
    const half = this.#streams.get(id)?.send;
    if (half !== undefined) half.isWriterWaiting = true;
  }

  finish(id: StreamId): void {
    const half = this.#streams.get(id)?.send;
    if (half === undefined || !half.move("finish")) return;
    half.isFinPending = true;
    this.#schedule(half);
  }

  reset(id: StreamId, code: number): void {
    const half = this.#streams.get(id)?.send;
    if (half !== undefined) this.#resetSend(half, code);
  }

  /** Reads no more: the peer is told to stop, what arrives is dropped. */
  stop(id: StreamId, code: number): void {
    const stream = this.#streams.get(id);
    const half = stream?.receive;
    if (stream === undefined || half === undefined || half.isStopped || half.isDone) return;
    half.isStopped = true;
    this.#discard(half);
    if (half.state === "resetReceived") half.move("resetRead");
    else if (half.finalSize !== undefined) half.move("endRead");
    else this.#control({ type: "stopSending", stream: id, code });
    this.#forgetIfDone(stream);
  }

  read(id: StreamId): ReadResult {
    const stream = this.#streams.get(id);
    const half = stream?.receive;
    if (stream === undefined || half === undefined || half.isStopped || half.isDone) return undefined;
    if (half.state === "resetReceived") {
      half.move("resetRead");
      this.#forgetIfDone(stream);
      return { type: "reset", applicationCode: half.resetCode };
    }
    const bytes = half.buffer.read();
    if (bytes !== undefined) {
      this.#onConsumed(half, bytes.length);
      return { type: "data", bytes };
    }
    if (half.finalSize === half.buffer.readOffset) {
      half.move("endRead");
      this.#forgetIfDone(stream);
      return { type: "end" };
    }
    half.isReaderWaiting = true;
    return undefined;
  }

  setPriority(id: StreamId, priority: number): void {
    const half = this.#streams.get(id)?.send;
    if (half !== undefined) this.#scheduler.setPriority(half, priority);
  }

  // What the peer does.

  onStream(id: StreamId, offset: number, bytes: Bytes, isFin: boolean): void {
    const stream = this.#require(id, "receive");
    if (stream === undefined) return;
    const half = stream.receive as ReceiveHalf;
    const end = offset + bytes.length;
    if (!Number.isSafeInteger(end) || end > half.maxOffset) {
      throw new ProtocolError("flow_control", "More than the stream's window was sent");
    }
    this.#checkFinalSize(half, end, isFin);
    this.#onHighest(half, end);
    if (half.state !== "receiving" && half.state !== "sizeKnown") return;
    if (isFin && half.finalSize === undefined) {
      half.finalSize = end;
      half.move("fin");
    }
    const isNew = half.buffer.insert(offset, bytes);
    if (half.isStopped) {
      this.#discard(half);
      // What is still missing would be dropped as well: knowing the size is enough.
      if (half.finalSize !== undefined) half.move("endRead");
      this.#forgetIfDone(stream);
      return;
    }
    const isAtEnd = half.finalSize !== undefined && half.buffer.contiguousEnd === half.finalSize;
    if ((isNew || isAtEnd) && half.isReaderWaiting) this.#emitReadable(half);
  }

  onResetStream(id: StreamId, code: number, finalSize: number): void {
    const stream = this.#require(id, "receive");
    if (stream === undefined) return;
    const half = stream.receive as ReceiveHalf;
    if (finalSize > half.maxOffset) throw new ProtocolError("flow_control", "A final size is beyond the window");
    this.#checkFinalSize(half, finalSize, true);
    this.#onHighest(half, finalSize);
    half.finalSize = finalSize;
    if (!half.move("reset")) return;
    half.resetCode = code;
    this.#discard(half);
    if (half.isStopped) {
      half.move("resetRead");
      this.#forgetIfDone(stream);
    } else {
      // Even a reader that still has data is told at once: the data was dropped. RFC 9000 §3.2.
      this.#emitReadable(half);
    }
  }

  onStopSending(id: StreamId, code: number): void {
    const stream = this.#require(id, "send");
    if (stream === undefined) return;
    const half = stream.send as SendHalf;
    if (half.state !== "sending" && half.state !== "finished") return;
    this.#emit({ type: "stopped", stream: id, applicationCode: code });
    // RFC 9000 §3.5: STOP_SENDING is answered with RESET_STREAM of the same code.
    this.#resetSend(half, code);
  }

  onMaxData(max: number): boolean {
    if (max <= this.#sendMax) return false;
    this.#sendMax = max;
    const starved = [...this.#starved];
    this.#starved.clear();
    for (const half of starved) this.#schedule(half);
    return true;
  }

  onMaxStreamData(id: StreamId, max: number): boolean {
    const stream = this.#require(id, "send");
    if (stream === undefined) return true;
    const half = stream.send as SendHalf;
    if (max <= half.maxOffset) return false;
    half.maxOffset = max;
    this.#schedule(half);
    return true;
  }

  onMaxStreams(isUnidirectional: boolean, max: number): boolean {
    if (max > STREAMS_MAX) throw new ProtocolError("stream_limit", "A limit of streams is out of range");
    const own = this.#own[isUnidirectional ? 1 : 0];
    if (max <= own.max) return false;
    own.max = max;
    if (own.isWaiting) {
      own.isWaiting = false;
      this.#emit({ type: "streamsAvailable", isUnidirectional });
    }
    return true;
  }

  // What is to be sent.

  /**
   * Finds the next part to send within `bytesMax`, filled into `out`, and notes it as in flight. Returns the half whose
   * buffer holds it, or `undefined` when nothing can be sent.
   */
  takePart(bytesMax: number, out: StreamPart): SendHalf | undefined {
    for (;;) {
      const half = this.#scheduler.take();
      if (half === undefined) return undefined;
      const room = this.#sendMax - this.#sentBytes;
      if (!half.canSend(room)) {
        if (half.buffer.unsentBytes > 0 && room <= 0) this.#starved.add(half);
        continue;
      }
      const { buffer } = half;
      const share = this.#scheduler.hasRivalOf(half) ? Math.min(bytesMax, FAIR_SHARE_BYTES) : bytesMax;
      const end = buffer.next(share, Math.min(half.maxOffset, buffer.sentEnd + room));
      const start = buffer.nextStart;
      this.#sentBytes += Math.max(0, end - buffer.sentEnd);
      buffer.onSent(start, end);
      const isFin = half.isFinPending && end === buffer.end && !buffer.hasLost && half.state === "finished";
      if (isFin) half.isFinPending = false;
      out.stream = half.id;
      out.start = start;
      out.end = end;
      out.isFin = isFin;
      this.#schedule(half);
      return half;
    }
  }

  /** The peer has this part. */
  onPartAcked(part: StreamPart): void {
    const stream = this.#streams.get(part.stream);
    const half = stream?.send;
    if (stream === undefined || half === undefined) return;
    const freed = part.end > part.start ? half.buffer.onAcked(part.start, part.end) : 0;
    if (part.isFin) half.isFinAcked = true;
    if (half.isFinAcked && half.buffer.isAllAcked && half.move("allAcked")) {
      this.#emit({ type: "delivered", stream: half.id });
      this.#forgetIfDone(stream);
    } else if (freed > 0 && half.isWriterWaiting && half.buffer.heldBytes * 2 <= this.#config.sendBufferBytes) {
      half.isWriterWaiting = false;
      this.#emit({ type: "writable", stream: half.id });
    }
  }

  /** The path that carried this part is gone. */
  onPartLost(part: StreamPart): void {
    const half = this.#streams.get(part.stream)?.send;
    if (half === undefined || (half.state !== "sending" && half.state !== "finished")) return;
    if (part.end > part.start) half.buffer.onLost(part.start, part.end);
    if (part.isFin && !half.isFinAcked) half.isFinPending = true;
    this.#schedule(half);
  }

  /** The peer has a control frame that moves a stream on. */
  onControlAcked(frame: ControlFrame): void {
    if (frame.type !== "resetStream") return;
    const stream = this.#streams.get(frame.stream);
    if (stream?.send?.move("resetAcked")) this.#forgetIfDone(stream);
  }

  /** Whether a control frame that was lost still matters. */
  isStillDue(frame: ControlFrame): boolean {
    if (frame.type === "resetStream") return this.#streams.get(frame.stream)?.send?.state === "resetSent";
    if (frame.type === "stopSending") {
      const half = this.#streams.get(frame.stream)?.receive;
      return half !== undefined && half.state === "receiving";
    }
    return true;
  }

  get maxData(): number {
    return this.#window.grant(this.#now(), this.#rttMs());
  }

  maxStreamData(id: StreamId): number | undefined {
    const half = this.#streams.get(id)?.receive;
    if (half === undefined || half.finalSize !== undefined) return undefined;
    const max = half.window.grant(this.#now(), this.#rttMs());
    this.#window.raise(half.window.bytes * SESSION_WINDOW_FACTOR);
    return max;
  }

  maxStreams(isUnidirectional: boolean): number {
    return this.#peer[isUnidirectional ? 1 : 0].max;
  }

  /** Forgets everything: the session ended. */
  clear(): void {
    this.#streams.clear();
    this.#scheduler.clear();
    this.#starved.clear();
  }

  #create(id: StreamId, priority: number): Stream {
    const isOwn = (id & 1) !== this.#peerBit;
    const isUnidirectional = (id & UNIDIRECTIONAL_BIT) !== 0;
    const { streamWindowBytes } = this.#config;
    const stream: Stream = {
      id,
      send: isOwn || !isUnidirectional ? new SendHalf(id, priority, this.#remote.streamWindowBytes) : undefined,
      receive: !isOwn || !isUnidirectional ? new ReceiveHalf(id, this.#streamStartBytes, streamWindowBytes) : undefined,
    };
    this.#streams.set(id, stream);
    return stream;
  }

  /** The stream that a frame speaks of, made when the peer just opened it; `undefined` when it was closed already. */
  #require(id: StreamId, half: "send" | "receive"): Stream | undefined {
    const known = this.#streams.get(id);
    if (known !== undefined) {
      if (known[half] === undefined) throw new ProtocolError("stream_state", "A frame is for the wrong direction");
      return known;
    }
    const index = Math.floor(id / 4);
    const kind = (id & UNIDIRECTIONAL_BIT) === 0 ? 0 : 1;
    if ((id & 1) !== this.#peerBit) {
      if (index >= this.#own[kind].next)
        throw new ProtocolError("stream_state", "A frame is for a stream never opened");
      return undefined;
    }
    if (kind === 1 && half === "send") throw new ProtocolError("stream_state", "A frame is for the wrong direction");
    const peer = this.#peer[kind];
    if (index >= peer.max) throw new ProtocolError("stream_limit", "More streams were opened than allowed");
    if (index < peer.seen) {
      if (!peer.skipped.delete(index)) return undefined;
    } else {
      // THREATS t-C10: ids below are noted as numbers, no stream is made for them.
      for (let skipped = peer.seen; skipped < index; skipped++) peer.skipped.add(skipped);
      peer.seen = index + 1;
    }
    const stream = this.#create(id, 0);
    this.#emit({ type: "streamOpened", stream: id });
    return stream;
  }

  #schedule(half: SendHalf): void {
    if (half.isQueued) return;
    const room = this.#sendMax - this.#sentBytes;
    if (half.canSend(room)) this.#scheduler.add(half);
    else if (room <= 0 && half.buffer.unsentBytes > 0) this.#starved.add(half);
  }

  #resetSend(half: SendHalf, code: number): void {
    if (!half.move("reset")) return;
    half.resetCode = code;
    this.#scheduler.remove(half);
    this.#starved.delete(half);
    const finalSize = half.buffer.sentEnd;
    half.buffer.clear();
    half.isFinPending = half.isWriterWaiting = false;
    this.#control({ type: "resetStream", stream: half.id, code, finalSize });
  }

  /** RFC 9000 §4.5. */
  #checkFinalSize(half: ReceiveHalf, end: number, isFinal: boolean): void {
    if (half.finalSize !== undefined ? end > half.finalSize || (isFinal && end !== half.finalSize) : false) {
      throw new ProtocolError("final_size", "The final size of a stream changed");
    }
    if (isFinal && end < half.highestOffset) {
      throw new ProtocolError("final_size", "The final size of a stream is below what was sent");
    }
  }

  /** RFC 9000 §4.1: the session's window counts the highest offset of each stream. */
  #onHighest(half: ReceiveHalf, end: number): void {
    if (end <= half.highestOffset) return;
    this.#receivedBytes += end - half.highestOffset;
    half.highestOffset = end;
    if (this.#receivedBytes > this.#window.max) {
      throw new ProtocolError("flow_control", "More than the session's window was sent");
    }
  }

  #emitReadable(half: ReceiveHalf): void {
    half.isReaderWaiting = false;
    this.#emit({ type: "readable", stream: half.id });
  }

  #onConsumed(half: ReceiveHalf, count: number): void {
    const now = this.#now();
    if (this.#window.onRead(count, now)) this.#control({ type: "maxData" });
    if (half.window.onRead(count, now) && half.finalSize === undefined) {
      this.#control({ type: "maxStreamData", stream: half.id });
    }
  }

  /** Gives back the session's credit for what will never be read. */
  #discard(half: ReceiveHalf): void {
    const unread = half.highestOffset - half.creditedEnd;
    half.buffer.clear();
    half.discardedEnd = half.highestOffset;
    if (unread > 0 && this.#window.onDropped(unread)) this.#control({ type: "maxData" });
  }

  #forgetIfDone(stream: Stream): void {
    if (stream.send !== undefined && !stream.send.isDone) return;
    if (stream.receive !== undefined && !stream.receive.isDone) return;
    if (!this.#streams.delete(stream.id)) return;
    if ((stream.id & 1) === this.#peerBit) {
      const kind = (stream.id & UNIDIRECTIONAL_BIT) === 0 ? 0 : 1;
      const peer = this.#peer[kind];
      peer.max++;
      peer.closedSinceGrant++;
      if (peer.closedSinceGrant * 8 >= this.#config.streamsMax) {
        peer.closedSinceGrant = 0;
        this.#control({ type: "maxStreams", isUnidirectional: kind === 1 });
      }
    }
    this.#emit({ type: "streamClosed", stream: stream.id });
  }
}
