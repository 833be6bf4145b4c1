/**
 * `viaduct/trace`: what sessions do, told to a callback or written down as qlog. The same in every runtime; nothing of
 * it is in the main entry point.
 *
 * @module
 */

import { QlogEncoder, type QlogVersion } from "../../core/connection/qlog.ts";
import type { SessionTracing, TracedSession } from "../../core/node/endpoint_types.ts";
import { traceSessions } from "../../core/node/trace_sessions.ts";

export { QlogEncoder, type QlogOptions, type QlogVersion } from "../../core/connection/qlog.ts";
export type { PathId, PathKind, Role, StreamId } from "../../core/connection/session_types.ts";
export type * from "../../core/connection/trace.ts";
export type { NodeId } from "../../core/crypto/identity.ts";
export type { CipherName } from "../../core/crypto/provider.ts";
export type { ErrorCode } from "../../core/error.ts";
export type { Instant } from "../../core/machine.ts";
export type { TracedSession } from "../../core/node/endpoint_types.ts";
export { traceSessions } from "../../core/node/trace_sessions.ts";

/** Where the text of one session goes, such as a stream of `node:fs`. One that throws gets nothing more. */
export interface QlogSink {
  /** Takes a record: the header first, then one for each event. */
  write(text: string): unknown;
  /** There will be no more. */
  end?(): unknown;
}

/** How traces are written. */
export interface QlogTraceOptions {
  /** `0.3` is what qvis reads, `quic-13` the latest draft. `0.3`. */
  readonly version?: QlogVersion;
  /** A name for the traces, for people. The address of the other side. */
  readonly title?: string;
}

/**
 * Makes what the option `trace` of a node takes. `open` is asked once for each session, relays' included, as soon as
 * the other side proved to hold its keys, and says where the text goes; `undefined` is no trace. A session makes a file
 * of JSON text sequences (RFC 7464); qvis knows them by the ending `.sqlog`.
 */
export function qlogTrace(
  open: (session: TracedSession) => QlogSink | undefined,
  options: QlogTraceOptions = {},
): SessionTracing {
  return traceSessions((session) => {
    const sink = open(session);
    if (sink === undefined) return undefined;
    const { title = `Session with ${session.remote}`, version = "0.3" } = options;
    const today = new Date();
    const startedAt = { unixMs: today.getTime(), rfc3339: today.toISOString() };
    const encoder = new QlogEncoder({ role: session.role, title, version, startedAt });
    sink.write(encoder.header());
    return (event) => {
      sink.write(encoder.encode(event));
      if (event.type === "sessionClosed") sink.end?.();
    };
  });
}
