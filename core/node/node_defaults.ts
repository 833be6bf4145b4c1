/**
 * Default limits and times of a node above its endpoint, each with the reason for its number.
 *
 * @module
 */

import type { NodeLimits } from "./node_types.ts";

/** What a node uses where its owner says nothing. */
export const DEFAULT_NODE_LIMITS: NodeLimits = Object.freeze({
  messageBytesMax: 1024 * 1024,
  // As one stream's window: a peer that is not listened to holds this much and no more.
  messageQueueBytes: 4 * 1024 * 1024,
  requestsMax: 1024,
  // Four windows of a session: enough for a burst of large answers over a slow path, and a bound for one never read.
  responseQueueBytes: 64 * 1024 * 1024,
  // As the handshake: THREATS t-A5.
  streamHeaderTimeoutMs: 10_000,
  // RFC 8305 §8 waits 250 ms between addresses of one host; here the alternative costs a third party its bandwidth.
  directHeadStartMs: 1_000,
  connectTimeoutMs: 30_000,
  connectsMax: 1024,
  closeTimeoutMs: 5_000,
});
