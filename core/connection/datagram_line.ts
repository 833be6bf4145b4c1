/**
 * What a session needs of whoever keeps its datagrams: `DatagramQueue` sends each once, `RepairedDatagrams` also brings
 * lost ones back and is handed in by the config, so that who needs none of it does not load it. PROTOCOL §5.5.
 *
 * @module
 */

import type { Bytes, Instant } from "../machine.ts";

/** How one datagram is sent. */
export interface DatagramSendOptions {
  /** Milliseconds after which it is not sent any more, if it still waits then; 0 or `null` is never. Never. */
  readonly maxAgeMs?: number | null;
  /**
   * How often it is sent, up to 8 times about a frame of a game apart, or `adaptive`: up to 3 times, as the measured
   * loss of the path asks for. Once. Over UDP alone, and where both ends know of it.
   */
  readonly redundancy?: number | "adaptive";
  /**
   * Datagrams of a group, up to 32, whose XOR follows it and brings back any one of them; 0 is none. Over UDP alone,
   * and where both ends know of it. 0.
   */
  readonly fec?: number;
}

/** Figures of the datagrams of a session, from this end. */
export interface DatagramCounts {
  /** Each is counted once, however often it was sent. */
  datagramsSent: number;
  /** Each is counted once, those that came back from a copy or a parity included. */
  datagramsReceived: number;
  /** Datagrams of this end that were dropped before they left: too many waited, or the path carries none as large. */
  datagramsDropped: number;
  /** Datagrams of this end that grew too old before they left. */
  datagramsExpired: number;
  /** Copies and parities that this end sent. */
  datagramRepairsSent: number;
  /** Datagrams of which only a later copy came in time. */
  datagramsRecoveredByRedundancy: number;
  /** Datagrams that were made anew from the rest of their group. */
  datagramsRecoveredByFec: number;
}

/** A frame that holds a datagram. */
export interface OutgoingDatagram {
  readonly type: number;
  readonly bytes: Bytes;
}

/** What is looked at of the path that a datagram goes by. */
export interface DatagramCarrier {
  readonly packagesSent: number;
  /** Absent where nothing gets lost. */
  readonly datagrams: { readonly packagesLost: number; readonly spuriousLosses: number } | undefined;
}

/** The datagrams of a session, both ways. */
export interface DatagramLine {
  readonly counts: Readonly<DatagramCounts>;
  /**
   * Takes a datagram, which it owns from here on; `room` is how much longer one could be. Returns `false` when it can
   * never leave. When too many wait, the oldest go.
   */
  push(bytes: Bytes, options: DatagramSendOptions, room: number, now: Instant): boolean;
  /** Bytes that the next frame holds; -1 when nothing is to be sent now. */
  nextBytes(now: Instant): number;
  /** Takes the frame that `nextBytes` told of: it goes by `path`. */
  take(path: DatagramCarrier, now: Instant): OutgoingDatagram;
  /** Gives it up: it does not fit the path. */
  drop(now: Instant): void;
  /** Takes a frame that came, and returns the datagrams that it brings. Throws `ProtocolError` for an unknown type. */
  receive(type: number, bytes: Bytes, now: Instant): readonly Bytes[];
  /** When something that waits may leave, or is to be forgotten. */
  pollTimeout(): Instant;
  handleTimeout(now: Instant): void;
  clear(): void;
}

/** Makes the datagrams of a session that brings lost ones back. */
export type DatagramRepair = (limits: {
  /** Datagrams that wait to be sent. */
  readonly datagramsMax: number;
  /** Datagrams of a group that the other end takes; 0 when it knows nothing of repairs. */
  readonly groupMax: number;
  /** Whether everything goes by a second path as well: then each is numbered, so that it comes out once. */
  readonly isRedundant: boolean;
}) => DatagramLine;
