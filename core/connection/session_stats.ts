/**
 * Figures of a session, summed over its paths, those that are gone included.
 *
 * @module
 */

import type { CipherName } from "../crypto/provider.ts";
import type { DatagramCounts } from "./datagram_line.ts";
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
  readonly datagrams: { readonly counts: Readonly<DatagramCounts> };
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
    ...from.datagrams.counts,
    rekeys: from.rekeys,
    packagesRejected: from.packagesRejected,
  };
}
