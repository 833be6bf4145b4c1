/**
 * What a session is made from and how it is ended.
 *
 * @module
 */

import type { ErrorCode } from "../error.ts";
import type { Instant } from "../machine.ts";
import type { SessionTrace, SessionTraceFacts } from "./session_trace.ts";
import type { PathFacts, Role, SessionConfig, SessionSecrets, TransportParameters } from "./session_types.ts";

/** What makes a session. */
export interface SessionOptions {
  readonly role: Role;
  readonly secrets: SessionSecrets;
  readonly config: SessionConfig;
  /** What the peer offered; bounded by `boundedParameters` before. */
  readonly remote: TransportParameters;
  /** Path 0: the pipe that the handshake ran on. */
  readonly firstPath: PathFacts;
  /** 64 KiB to build packages in; may be shared by sessions that are polled one after another. */
  readonly scratch?: Uint8Array;
  /** Makes the trace of what happens, where somebody wants one: whoever wants none need not load what makes it. */
  readonly trace?: ((facts: SessionTraceFacts, now: Instant) => SessionTrace) | undefined;
}

/** Ends a session on this side. */
export interface CloseOptions {
  readonly code: ErrorCode;
  readonly applicationCode?: number;
  readonly reason?: string;
}
