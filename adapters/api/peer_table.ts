/**
 * The peers of a node, by session and by id, and what those that are gone have carried.
 *
 * @module
 */

import type { SessionClosed } from "../../core/connection/session_types.ts";
import type { SessionId } from "../../core/node/endpoint_types.ts";
import type { PeerHandle } from "./peer.ts";
import type { NodeId } from "./types.ts";

/** All peers of a node. */
export class PeerTable {
  readonly #bySession = new Map<SessionId, PeerHandle>();
  readonly #byId = new Map<NodeId, PeerHandle>();
  #pastBytesSent = 0;
  #pastBytesReceived = 0;

  /** Those that show a key. */
  get byId(): ReadonlyMap<NodeId, PeerHandle> {
    return this.#byId;
  }

  get(session: SessionId): PeerHandle | undefined {
    return this.#bySession.get(session);
  }

  all(): IterableIterator<PeerHandle> {
    return this.#bySession.values();
  }

  add(peer: PeerHandle): void {
    this.#bySession.set(peer.session, peer);
    if (peer.id !== undefined) this.#byId.set(peer.id, peer);
  }

  /** The session of a peer is over. */
  remove(peer: PeerHandle, closed: SessionClosed): void {
    this.#bySession.delete(peer.session);
    if (peer.id !== undefined && this.#byId.get(peer.id) === peer) this.#byId.delete(peer.id);
    peer.onClosed(closed);
    this.#pastBytesSent += peer.lastStats?.bytesSent ?? 0;
    this.#pastBytesReceived += peer.lastStats?.bytesReceived ?? 0;
  }

  /** Bytes of all sessions, those that are over too. */
  bytes(): { readonly bytesSent: number; readonly bytesReceived: number } {
    let bytesSent = this.#pastBytesSent;
    let bytesReceived = this.#pastBytesReceived;
    for (const peer of this.#bySession.values()) {
      const stats = peer.stats();
      bytesSent += stats.bytesSent;
      bytesReceived += stats.bytesReceived;
    }
    return { bytesSent, bytesReceived };
  }
}
