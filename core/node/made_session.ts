/**
 * The session that a handshake came to, as an engine; and what early data does to it. PROTOCOL §3.6 and §3.14.
 *
 * @module
 */

import { Session } from "../connection/session.ts";
import type { StreamId } from "../connection/session_types.ts";
import type { StreamTable } from "../connection/stream_table.ts";
import type { Environment, Instant } from "../machine.ts";
import type { EndpointConfig, TracedSession } from "./endpoint_types.ts";
import type { HandshakeResult } from "./handshake.ts";
import type { EarlyData } from "./handshake_payload.ts";
import type { Pending } from "./pending_handshake.ts";
import { wipe } from "./pending_handshake.ts";

/** The stream that early data begins: the first one of an initiator, in both directions. */
const EARLY_STREAM: StreamId = 0;

/** What sessions of an endpoint are made from. */
export interface SessionMaking {
  readonly config: EndpointConfig;
  readonly env: Environment;
  /** Room for one package, shared by all sessions. */
  readonly scratch: Uint8Array;
}

/** Makes the session of an agreement, and wipes the secrets of that. */
export function makeSession(pending: Pending, result: HandshakeResult, making: SessionMaking, now: Instant): Session {
  const { facts } = pending.pipe;
  const { config, env, scratch } = making;
  const { trace } = config;
  const role = pending.isInitiator ? "initiator" : "responder";
  const { localConnectionId: connectionId } = result.secrets;
  const traced = (): TracedSession => ({ role, remoteId: pending.remoteId, connectionId, remote: facts.remote });
  const session = new Session(
    {
      role,
      secrets: result.secrets,
      config: config.session,
      remote: result.remote,
      firstPath: pending.rttMs === undefined ? facts : { ...facts, rttMs: pending.rttMs },
      scratch,
      trace: trace && ((from, at) => trace.start(traced, from, at)),
    },
    env,
    now,
  );
  wipe(result);
  return session;
}

/**
 * Opens the stream whose beginning went with the first message and writes it whole; what the peer took is not sent
 * again, and what it did not is lost to nobody. `undefined` when there was no early data.
 */
export function openEarlyStream(pending: Pending, session: Session): StreamId | undefined {
  const { handshake, dial } = pending;
  const early = dial?.early;
  if (early === undefined || handshake.pattern !== "IKpsk1") return undefined;
  const stream = session.openStream();
  if (stream !== EARLY_STREAM || session.write(stream, early.bytes) < early.bytes.length) return undefined;
  if (early.isFinal) session.finish(stream);
  if (handshake.isEarlyTaken) noteTaken(session.earlyStreams, handshake.earlyBytes);
  return stream;
}

/** Gives a session what came with the first message of its initiator. */
export function takeEarly(session: Session, early: EarlyData): StreamId {
  session.earlyStreams.onStream(EARLY_STREAM, 0, early.bytes, early.isFinal);
  return EARLY_STREAM;
}

/** The peer has so many bytes of the only stream: as if they had been sent and acknowledged. */
function noteTaken(streams: StreamTable, bytes: number): void {
  const part = { stream: EARLY_STREAM, start: 0, end: 0, isFin: false };
  for (let taken = 0; taken < bytes; taken = part.end) {
    if (streams.takePart(bytes - taken, part) === undefined) return;
    streams.onPartAcked(part);
  }
}
