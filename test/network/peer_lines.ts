/**
 * The lines that the peer program reads and writes.
 *
 * @module
 */

import type { SessionStats } from "../../core/connection/session_types.ts";

/** What a process is to do. */
export interface Job {
  readonly job: number;
  /** Whom to connect to, and where. */
  readonly id: string;
  readonly addresses: readonly string[];
  /** Bytes to the server, and bytes back, on one stream at once. */
  readonly push: number;
  readonly fetch: number;
  /** Paths that must be there before it begins. */
  readonly paths: number;
  /** Instead of a stream, so many sessions at once; 0 for the stream. */
  readonly connects: number;
}

/** What came of it. */
export interface JobResult {
  /** Sessions that came about. */
  readonly connected: number;
  /** Every byte arrived as it was sent, both ways; or every session came about. */
  readonly isWhole: boolean;
  readonly handshakeMs: number;
  readonly ms: number;
  /** How often all paths were gone. */
  readonly suspensions: number;
  readonly stats: SessionStats | undefined;
}

/** A line of output. */
export type PeerLine =
  | { readonly type: "ready"; readonly runtime: string; readonly id: string; readonly addresses: readonly string[] }
  | { readonly type: "connected"; readonly job: number }
  | ({ readonly type: "done"; readonly job: number } & JobResult)
  | { readonly type: "failed"; readonly job: number; readonly reason: string };
