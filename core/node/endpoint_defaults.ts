/**
 * Default limits of an endpoint, each with the reason for its number. They hold on the open internet.
 *
 * @module
 */

import type { EndpointLimits } from "./endpoint_types.ts";

/** What an endpoint uses where its owner says nothing. */
export const DEFAULT_ENDPOINT_LIMITS: EndpointLimits = Object.freeze({
  sessionsMax: 10_000,
  pipesMax: 10_000,
  // Many users may share one address behind a NAT; who serves behind a proxy raises it.
  pipesPerHostMax: 256,
  // THREATS t-A6 has 5 per second with a burst of 50 for a relay; a node behind the NAT of a company needs more.
  pipeBurstPerHost: 200,
  pipesPerHostPerSecondMax: 20,
  isLoopbackExempt: true,
  // THREATS t-A5: pending at most 1024 in total, 16 from one address, 10 s from the first byte to the last.
  handshakesMax: 1024,
  handshakesPerHostMax: 16,
  // A quiet node answers at once; one that is flooded computes nothing for an address that may be made up.
  retryAboveHandshakes: 32,
  handshakeTimeoutMs: 10_000,
  dialsMax: 1024,
  // THREATS t-G9.
  addressesMax: 16,
  dialTimeoutMs: 15_000,
  attachTimeoutMs: 5_000,
  // Several round trips around the world: by then the other handshake is over or stuck.
  tieWaitMs: 1_000,
  // THREATS t-C3.
  resetsPerSecondMax: 50,
});
