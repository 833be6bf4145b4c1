/**
 * Default limits of an endpoint.
 *
 * @module
 */

import type { EndpointLimits } from "./endpoint_types.ts";

/** What an endpoint uses where its owner says nothing. */
export const DEFAULT_ENDPOINT_LIMITS: EndpointLimits = Object.freeze({
  sessionsMax: 10_000,
  pipesMax: 10_000,
  pipesPerHostMax: 256,
  // THREATS t-A5: pending at most 1024 in total, 16 from one address.
  handshakesMax: 1024,
  handshakesPerHostMax: 16,
  handshakeTimeoutMs: 10_000,
  dialTimeoutMs: 15_000,
  // THREATS t-C3.
  resetsPerSecondMax: 50,
});
