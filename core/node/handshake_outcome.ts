/**
 * What handshakes come to.
 *
 * @module
 */

import type { Session } from "../connection/session.ts";
import type { PathId, StreamId } from "../connection/session_types.ts";
import type { ErrorCode } from "../error.ts";
import type { SessionId } from "./endpoint_types.ts";
import type { HandshakeResult } from "./handshake.ts";
import type { Pending } from "./pending_handshake.ts";
import type { PipeState } from "./pipe_table.ts";
import type { SessionEntry } from "./session_entry.ts";

/** What became of a handshake. */
export type HandshakeOutcome =
  | {
      readonly type: "established";
      readonly pending: Pending;
      readonly result: HandshakeResult;
      readonly session: Session;
      /** The pipe that is its first path here, and which path. */
      readonly pipe: PipeState;
      readonly path: PathId;
      /** The PING that proves us to the peer; 0 when the peer proved itself to us. */
      readonly confirmToken: number;
      /** The stream that began with early data, on either side. */
      readonly earlyStream?: StreamId | undefined;
      /** Whether the peer has proved nothing yet but that it holds a ticket: its early data was taken. */
      readonly isEarly?: boolean;
    }
  /** Our dial is not needed any more: there is a session. */
  | { readonly type: "superseded"; readonly pending: Pending; readonly entry: SessionEntry }
  | { readonly type: "failed"; readonly pending: Pending; readonly code: ErrorCode; readonly detail: string }
  /** The owner is to decide. */
  | { readonly type: "incoming"; readonly pending: Pending; readonly session: SessionId };
