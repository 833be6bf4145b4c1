/**
 * Figures of a session, summed over its paths, those that are gone included.
 *
 * @module
 */

import type { CipherName } from "../crypto/provider.ts";
import type { PathStats, SessionStats } from "./session_types.ts";

/** What was carried by paths that are gone. */
export interface GonePaths {
  bytesSent: number;
  bytesReceived: number;
}

/** Puts the figures together. */
export function sessionStats(from: {
  readonly cipher: CipherName;
  readonly paths: readonly PathStats[];
  readonly gone: Readonly<GonePaths>;
  readonly streams: { readonly size: number };
  readonly datagrams: { readonly sent: number; readonly received: number; readonly dropped: number };
  readonly rekeys: number;
  readonly packagesRejected: number;
}): SessionStats {
  let { bytesSent, bytesReceived } = from.gone;
  for (const path of from.paths) {
    bytesSent += path.bytesSent;
    bytesReceived += path.bytesReceived;
  }
  return {
    cipher: from.cipher,
    paths: from.paths,
    streamsOpen: from.streams.size,
    bytesSent,
    bytesReceived,
    datagramsSent: from.datagrams.sent,
    datagramsReceived: from.datagrams.received,
    datagramsDropped: from.datagrams.dropped,
    rekeys: from.rekeys,
    packagesRejected: from.packagesRejected,
  };
}
