/**
 * Who is at the relays, as the relays tell it, each for itself; one node may be at several. PROTOCOL §10.5.
 *
 * The invariant to hold: a node is told as joined when the first relay names it and as left when the last one no longer
 * does; memory is bounded whatever a relay claims, and nothing it claims reaches a screen unchecked.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import { encodeNodeId } from "../crypto/identity.ts";
import type { CryptoProvider } from "../crypto/provider.ts";
import type { PresenceNode, RelayId } from "./node_types.ts";
import type { PresenceChange, PresenceRecord } from "./relay_codec.ts";
import { isRelayName } from "./relay_codec.ts";

/** Nodes that are remembered of one relay; those told later are ignored. */
const NODES_PER_RELAY_MAX = 4096;
/** Names that are remembered of nodes, present or not. */
const NAMES_MAX = 4096;

/** Marks that turn the direction of what follows, and separators of lines: as controls, no place in one line. */
const MARKS: readonly (readonly [number, number])[] = [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0x200e, 0x200f],
  [0x2028, 0x202e],
  [0x2066, 0x2069],
];

/** A change for the application. */
export interface PresenceNews {
  readonly change: "joined" | "left";
  readonly node: PresenceNode;
}

interface RelayList {
  readonly nodes: Map<NodeId, PresenceNode>;
  /** While a list of all is coming: who was named in it. */
  named: Set<NodeId> | undefined;
}

/** The book. */
export class PresenceBook {
  readonly #crypto: CryptoProvider;
  readonly #lists = new Map<RelayId, RelayList>();
  readonly #names = new Map<NodeId, string>();

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto;
  }

  /** Takes what a relay told and returns what is new by it. */
  apply(relay: RelayId, record: PresenceRecord): PresenceNews[] {
    let list = this.#lists.get(relay);
    if (list === undefined) {
      list = { nodes: new Map(), named: undefined };
      this.#lists.set(relay, list);
    }
    if (record.isReset) list.named = new Set();
    const news: PresenceNews[] = [];
    for (const change of record.changes) this.#applyChange(list, change, news);
    if (!record.isComplete || list.named === undefined) return news;
    const { named } = list;
    list.named = undefined;
    for (const [id, node] of list.nodes) if (!named.has(id)) this.#leave(list, node, news);
    return news;
  }

  /** A relay tells nothing any more: who is at no other one has left. */
  forget(relay: RelayId): PresenceNews[] {
    const list = this.#lists.get(relay);
    if (list === undefined) return [];
    const news: PresenceNews[] = [];
    for (const node of [...list.nodes.values()]) this.#leave(list, node, news);
    this.#lists.delete(relay);
    return news;
  }

  /** Everybody, each once. */
  *nodes(): IterableIterator<PresenceNode> {
    const seen = new Set<NodeId>();
    for (const { nodes } of this.#lists.values()) {
      for (const [id, node] of nodes) {
        if (seen.has(id)) continue;
        seen.add(id);
        yield node;
      }
    }
  }

  /** The name that a node was last known by. */
  nameOf(id: NodeId): string | undefined {
    return this.#names.get(id);
  }

  /** A relay named a node in passing. */
  noteName(id: NodeId, name: string): void {
    if (!isRelayName(name)) return;
    this.#names.delete(id);
    this.#names.set(id, name);
    if (this.#names.size <= NAMES_MAX) return;
    for (const oldest of this.#names.keys()) {
      this.#names.delete(oldest);
      return;
    }
  }

  #applyChange(list: RelayList, change: PresenceChange, news: PresenceNews[]): void {
    const { isJoined, name, joinedAtUnixMs } = change;
    if (!isRelayName(name)) return;
    const id = encodeNodeId(change.key, this.#crypto);
    const known = list.nodes.get(id);
    if (!isJoined) {
      list.named?.delete(id);
      if (known !== undefined) this.#leave(list, known, news);
      return;
    }
    if (known === undefined && list.nodes.size >= NODES_PER_RELAY_MAX) return;
    list.named?.add(id);
    const about = printable(change.about);
    if (known?.name === name && known.about === about && known.joinedAtUnixMs === joinedAtUnixMs) return;
    const isNew = !this.#isElsewhere(list, id);
    const node: PresenceNode = { id, name, about, joinedAtUnixMs };
    list.nodes.set(id, node);
    this.noteName(id, name);
    if (isNew) news.push({ change: "joined", node });
  }

  #leave(list: RelayList, node: PresenceNode, news: PresenceNews[]): void {
    list.nodes.delete(node.id);
    if (!this.#isElsewhere(list, node.id)) news.push({ change: "left", node });
  }

  #isElsewhere(list: RelayList, id: NodeId): boolean {
    for (const other of this.#lists.values()) if (other !== list && other.nodes.has(id)) return true;
    return false;
  }
}

/** A text without what would move a cursor or turn a line: each such character becomes U+FFFD. */
function printable(text: string): string {
  let out = "";
  for (const character of text) {
    const code = character.charCodeAt(0);
    out += MARKS.some(([first, last]) => code >= first && code <= last) ? "\ufffd" : character;
  }
  return out;
}
