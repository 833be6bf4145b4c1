/**
 * One stream of a session: its sending half, its receiving half, or both. RFC 9000 §2 and §3.
 *
 * The invariant to hold: a half moves only along `SEND_MOVES` and `RECEIVE_MOVES`; its terminal states are left never.
 *
 * @module
 */

import { ReceiveBuffer } from "./receive_buffer.ts";
import { ReceiveWindow } from "./receive_window.ts";
import { SendBuffer } from "./send_buffer.ts";
import type { StreamId } from "./session_types.ts";
import type { Schedulable } from "./stream_scheduler.ts";

/** States of a sending half. RFC 9000 §3.1. */
export type SendState = "sending" | "finished" | "delivered" | "resetSent" | "resetDelivered";
/** What moves a sending half. */
export type SendMove = "finish" | "allAcked" | "reset" | "resetAcked";

/** Every legal move of a sending half. RFC 9000 figure 2. */
export const SEND_MOVES: Record<SendMove, Partial<Record<SendState, SendState>>> = {
  finish: { sending: "finished" },
  allAcked: { finished: "delivered" },
  reset: { sending: "resetSent", finished: "resetSent" },
  resetAcked: { resetSent: "resetDelivered" },
};

/** States of a receiving half. RFC 9000 §3.2. */
export type ReceiveState = "receiving" | "sizeKnown" | "ended" | "resetReceived" | "resetRead";
/** What moves a receiving half. */
export type ReceiveMove = "fin" | "endRead" | "reset" | "resetRead";

/** Every legal move of a receiving half. RFC 9000 figure 3; a reset after everything was read changes nothing. */
export const RECEIVE_MOVES: Record<ReceiveMove, Partial<Record<ReceiveState, ReceiveState>>> = {
  fin: { receiving: "sizeKnown" },
  endRead: { sizeKnown: "ended" },
  reset: { receiving: "resetReceived", sizeKnown: "resetReceived" },
  resetRead: { resetReceived: "resetRead" },
};

/** The sending half of a stream. */
export class SendHalf implements Schedulable {
  readonly id: StreamId;
  priority: number;
  isQueued = false;
  readonly buffer: SendBuffer = new SendBuffer();
  state: SendState = "sending";
  /** Offset up to which the peer lets us send. */
  maxOffset: number;
  /** Whether the end is to be sent (again). */
  isFinPending = false;
  isFinAcked = false;
  /** `write` took less than it was given: tell when there is room. */
  isWriterWaiting = false;
  /** The number given to `reset`, or by the peer to STOP_SENDING. */
  resetCode = 0;

  constructor(id: StreamId, priority: number, maxOffset: number) {
    this.id = id;
    this.priority = priority;
    this.maxOffset = maxOffset;
  }

  /** Makes a move; `false` when the state does not allow it. */
  move(move: SendMove): boolean {
    const next = SEND_MOVES[move][this.state];
    if (next === undefined) return false;
    this.state = next;
    return true;
  }

  get isDone(): boolean {
    return this.state === "delivered" || this.state === "resetDelivered";
  }

  /** Whether the stream has something to send now, given the room on the whole session. */
  canSend(sessionRoomBytes: number): boolean {
    if (this.state !== "sending" && this.state !== "finished") return false;
    if (this.buffer.hasLost) return true;
    if (this.buffer.unsentBytes > 0) return sessionRoomBytes > 0 && this.buffer.sentEnd < this.maxOffset;
    return this.isFinPending;
  }
}

/** The receiving half of a stream. */
export class ReceiveHalf {
  readonly id: StreamId;
  readonly buffer: ReceiveBuffer = new ReceiveBuffer();
  state: ReceiveState = "receiving";
  readonly window: ReceiveWindow;
  /** Offset after the highest byte that arrived. */
  highestOffset = 0;
  finalSize: number | undefined;
  resetCode = 0;
  /** The application reads no more. */
  isStopped = false;
  /** A `readable` event is due with the next arrival: `read` returned nothing, or was never called. */
  isReaderWaiting = true;
  /** Offset up to which unread bytes were dropped and their credit given back. */
  discardedEnd = 0;

  constructor(id: StreamId, startBytes: number, limitBytes: number) {
    this.id = id;
    this.window = new ReceiveWindow(startBytes, limitBytes);
  }

  /** Offset up to which the peer may send. */
  get maxOffset(): number {
    return this.window.max;
  }

  /** Offset up to which the session's credit was given back: read or dropped. */
  get creditedEnd(): number {
    return Math.max(this.discardedEnd, this.buffer.readOffset);
  }

  /** Makes a move; `false` when the state does not allow it. */
  move(move: ReceiveMove): boolean {
    const next = RECEIVE_MOVES[move][this.state];
    if (next === undefined) return false;
    this.state = next;
    return true;
  }

  get isDone(): boolean {
    return this.state === "ended" || this.state === "resetRead";
  }
}

/** A stream: both halves, or one. */
export interface Stream {
  readonly id: StreamId;
  readonly send: SendHalf | undefined;
  readonly receive: ReceiveHalf | undefined;
}
