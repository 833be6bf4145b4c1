/**
 * The traces of the sessions of an endpoint or a node.
 *
 * @module
 */

import { SessionTrace } from "../connection/session_trace.ts";
import type { TraceSink } from "../connection/trace.ts";
import type { SessionTracing, TracedSession } from "./endpoint_types.ts";

/**
 * Makes what the option `trace` takes. `open` is asked once for each session, as soon as the peer proved to hold its
 * keys; what it returns is called with every event, `undefined` is no trace.
 */
export function traceSessions(open: (session: TracedSession) => TraceSink | undefined): SessionTracing {
  return { start: (session, facts, now) => new SessionTrace(() => open(session()), facts, now) };
}
