/**
 * Default policy and limits of a relay, each with the reason for its number.
 *
 * @module
 */

import type { SessionConfig } from "../connection/session_types.ts";
import type { RegistryConfig } from "./registry_types.ts";
import type { RelayConfig } from "./relay_types.ts";

/** What a registry uses where its operator says nothing. */
export const DEFAULT_REGISTRY_CONFIG: RegistryConfig = Object.freeze({
  admission: "open",
  tokens: [],
  allowChosenNames: true,
  // Names under which people would look for the service itself.
  reservedNames: [
    ...["relay", "admin", "administrator", "root", "system", "viaduct", "server", "support", "operator", "moderator"],
    ...[
      "host",
      "localhost",
      "broadcast",
      "everyone",
      "all",
      "here",
      "anonymous",
      "unknown",
      "null",
      "undefined",
      "www",
    ],
  ],
  // A page that was closed by mistake, a laptop that slept through a meeting.
  leaseMs: { anonymous: 600_000, token: 86_400_000 },
  // THREATS t-G7.
  restMs: 86_400_000,
  isTrustingOnRestart: true,
  // About 50 MB when it is full.
  namesMax: 100_000,
  // THREATS t-G7.
  namesPerTokenMax: 3,
  namesPerAddressMax: 10,
  registrationsPerMinute: 60,
  // THREATS t-F7.
  tokenFailuresPerMinute: 10,
});

/** What a relay uses where its operator says nothing. */
export const DEFAULT_RELAY_CONFIG: RelayConfig = Object.freeze({
  registry: DEFAULT_REGISTRY_CONFIG,
  classes: {
    anonymous: {
      bytesPerSecond: 8 * 1024 * 1024,
      burstBytes: 16 * 1024 * 1024,
      circuitsMax: 64,
      incomingCircuitsMax: 256,
    },
    token: { bytesPerSecond: 0, burstBytes: 0, circuitsMax: 256, incomingCircuitsMax: 1024 },
  },
  bytesPerSecond: 0,
  burstBytes: 0,
  clientsMax: 10_000,
  // At 2 MiB for each in the worst case (1 MiB in each direction: a full window in, a full buffer out), 8 GiB: lower it
  // where memory is short.
  circuitsMax: 4096,
  circuitsPerAddressMax: 256,
  // Two nodes need one; a second one while the first has not been noticed to be dead.
  circuitsPerPairMax: 8,
  // After a restart a client brings all its sessions back at once: the burst is a client's largest number of circuits.
  circuitOpensPerSecond: 32,
  // THREATS t-F8.
  circuitFailuresPerSecond: 10,
  recordsPerSecond: 20,
  stallTimeoutMs: 30_000,
  presenceGraceMs: 5_000,
  isPresencePublic: true,
  presencesMax: 1_000,
  presenceDelayMs: 50,
  // THREATS t-F4.
  takeoversPerMinute: 3,
});

/** How long an identity must wait that two connections fought for. THREATS t-F4. */
export const TAKEOVER_BLOCK_MS = 60_000;

/** Bytes of a circuit's stream that wait on their way into the relay, and again on their way out. */
const CIRCUIT_WINDOW_BYTES = 512 * 1024;
/** Bytes of all streams of a client: receivers that stall must not stop what their senders send to others. */
const CLIENT_WINDOW_BYTES = 64 * 1024 * 1024;

/**
 * The session config of a relay: that of a node with windows that bound what each direction of a circuit holds to
 * 1 MiB. Smaller windows stay as they are.
 */
export function relaySessionConfig(base: SessionConfig): SessionConfig {
  return {
    ...base,
    streamWindowBytes: Math.min(base.streamWindowBytes, CIRCUIT_WINDOW_BYTES),
    sendBufferBytes: Math.min(base.sendBufferBytes, CIRCUIT_WINDOW_BYTES),
    sessionWindowBytes: Math.max(base.sessionWindowBytes, CLIENT_WINDOW_BYTES),
    sessionWindowStartBytes: CLIENT_WINDOW_BYTES,
  };
}
