/**
 * Default limits and times of an endpoint, each with the reason for its number. They hold on the open internet.
 *
 * @module
 */

import type { EndpointLimits } from "./endpoint_types.ts";

/** What an endpoint uses where its owner says nothing. */
export const DEFAULT_ENDPOINT_LIMITS: EndpointLimits = Object.freeze({
  // THREATS t-A5: at most 1,024 pending, 16 of one IPv4 address or IPv6 /64, 10 s in all.
  handshakesMax: 1024,
  handshakesPerHostMax: 16,
  handshakeTimeoutMs: 10_000,
  pipesMax: 16_384,
  // Many users may share one address behind a NAT or a proxy; a relay behind a proxy raises it.
  pipesPerHostMax: 1024,
  // THREATS t-A6: 5 per second with a burst of 50 is the profile of a relay.
  pipeBurstPerHost: 50,
  pipesPerHostPerSecond: 5,
  isLoopbackExempt: true,
  sessionsMax: 10_000,
  dialsMax: 1024,
  // THREATS t-G9: at most 16 candidates are believed from anyone.
  addressesMax: 16,
  addressesParallelMax: 4,
  // RFC 8305 §8: Connection Attempt Delay.
  addressDelayMs: 250,
  dialTimeoutMs: 15_000,
  attachTimeoutMs: 5_000,
  // PROTOCOL §6.3.
  resumeDelayMsMin: 250,
  resumeDelayMsMax: 8_000,
  // Four round trips around the world: the other handshake is over by then, or it is stuck.
  tieWaitMs: 1_000,
  // THREATS t-C3.
  resetsPerSecond: 50,
});
