/**
 * The relays of a node: those it stays registered with, and who is there. PROTOCOL §10.
 *
 * The invariant to hold: a relay once added is kept for ever; one that only the target of a connection named goes when
 * nothing uses it any more.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { SessionId } from "./endpoint_types.ts";
import type {
  ExtensionEvent,
  NodeInternals,
  PresenceNode,
  RelayExtension,
  RelayId,
  RelayTarget,
} from "./node_types.ts";
import type { PresenceNews } from "./presence_book.ts";
import { PresenceBook } from "./presence_book.ts";
import { RelayLink } from "./relay_link.ts";

/** A relay that only targets named is looked at this often, and goes when nothing uses it. */
const TEMPORARY_CHECK_MS = 60_000;
/** Who was at a relay that cannot be reached is taken to have left after this. */
const ABSENCE_MS = 60_000;
/** Relays that targets of `connect` may bring in. */
const TEMPORARY_MAX = 16;

/** What hangs on the relays: the circuits. */
export interface RelayClientListener {
  /** A relay can be used now, or no longer. */
  onLinkChanged(link: RelayLink, now: Instant): void;
  /** Whether circuits or sessions depend on a relay. */
  isUsing(link: RelayLink): boolean;
  /** Whether sessions wait to come back over a relay. */
  isUrgent(): boolean;
}

/** The relays of a node. */
export class RelayClient implements RelayExtension {
  readonly #internals: NodeInternals;
  readonly #book: PresenceBook;
  readonly #links = new Map<RelayId, RelayLink>();
  /** When the list of who is at a lost relay is dropped. */
  readonly #absences = new Map<RelayId, Instant>();
  #listener: RelayClientListener | undefined;
  #watchers = 0;
  #nextRelay: RelayId = 1;
  #temporaryCheckAt: Instant = NEVER;
  #isClosed = false;
  #admission: Uint8Array | undefined;

  constructor(internals: NodeInternals) {
    this.#internals = internals;
    this.#admission = internals.config.admission;
    this.#book = new PresenceBook(internals.env.crypto);
  }

  /** Who is told of changes; set once, before anything happens. */
  listen(listener: RelayClientListener): void {
    this.#listener = listener;
  }

  /** All relays, those added first. */
  links(): IterableIterator<RelayLink> {
    return this.#links.values();
  }

  /** Sessions wait to come back over a relay. */
  hurry(now: Instant): void {
    for (const link of this.#links.values()) link.hurry(now);
  }

  /** The relay that a session is registered with. */
  linkOfSession(session: SessionId): RelayLink | undefined {
    for (const link of this.#links.values()) if (link.session === session) return link;
    return undefined;
  }

  addRelay(relay: RelayTarget, now: Instant): RelayId {
    const known = this.#linkOf(relay);
    if (known !== undefined) {
      known.isTemporary = false;
      return known.relay;
    }
    return this.#add(relay, { isTemporary: false }, now).relay;
  }

  /** Shows another admission to the relays: at once, and whenever the node registers from now on. */
  setAdmission(admission: Uint8Array, now: Instant): void {
    this.#admission = admission;
    for (const link of this.#links.values()) link.renew(now);
  }

  /** The relay that a target is said to be at: a known one, or one that is added for the time being. */
  ensure(relay: RelayTarget, now: Instant): RelayLink | undefined {
    const known = this.#linkOf(relay);
    if (known !== undefined || this.#isClosed || relay.addresses.length === 0) return known;
    let temporary = 0;
    for (const link of this.#links.values()) if (link.isTemporary) temporary++;
    if (temporary >= TEMPORARY_MAX) return undefined;
    if (this.#temporaryCheckAt === NEVER) this.#temporaryCheckAt = now + TEMPORARY_CHECK_MS;
    return this.#add(relay, { isTemporary: true }, now);
  }

  watchPresence(now: Instant): void {
    if (++this.#watchers === 1) this.#onWatchChanged(now);
  }

  unwatchPresence(now: Instant): void {
    if (this.#watchers === 0 || --this.#watchers > 0) return;
    this.#onWatchChanged(now);
    // What is not watched any more is not known any more; nobody is told, as nobody watches.
    for (const link of this.#links.values()) this.#book.forget(link.relay);
  }

  presences(): Iterable<PresenceNode> {
    return this.#book.nodes();
  }

  nameOf(id: NodeId): string | undefined {
    return this.#book.nameOf(id);
  }

  /** A relay named a node in passing. */
  noteName(id: NodeId, name: string): void {
    this.#book.noteName(id, name);
  }

  handleNodeEvent(event: ExtensionEvent, now: Instant): boolean {
    switch (event.type) {
      case "connected":
      case "dialFailed":
        for (const link of this.#links.values()) {
          if (link.dial !== event.dial) continue;
          if (event.type === "connected") link.onConnected(event.session, now);
          else link.onDialFailed(event.code, now);
          return true;
        }
        return false;
      case "session": {
        const link = this.linkOfSession(event.session);
        if (link === undefined) return false;
        if (event.event.type === "suspended") link.onSuspended(now);
        else if (event.event.type === "resumed") link.onResumed(now);
        else if (event.event.type === "closed") link.onSessionClosed(event.event.code, now);
        return false;
      }
      case "sessionOpened":
      case "needsPath":
        return false;
      default: {
        if (!("stream" in event)) return false;
        const link = this.linkOfSession(event.session);
        if (link?.stream !== event.stream) return false;
        link.onStreamEvent(event, now);
        return true;
      }
    }
  }

  handleTimeout(now: Instant): void {
    for (const link of [...this.#links.values()]) link.handleTimeout(now);
    for (const [relay, at] of this.#absences) {
      if (now < at) continue;
      this.#absences.delete(relay);
      this.#tell(this.#book.forget(relay));
    }
    if (now >= this.#temporaryCheckAt) this.#checkTemporary(now);
  }

  pollTimeout(): Instant {
    let at = this.#temporaryCheckAt;
    for (const link of this.#links.values()) at = Math.min(at, link.pollTimeout());
    for (const absence of this.#absences.values()) at = Math.min(at, absence);
    return at;
  }

  close(now: Instant): void {
    this.#isClosed = true;
    for (const link of this.#links.values()) link.close(now);
    this.#absences.clear();
    this.#temporaryCheckAt = NEVER;
  }

  #add(relay: RelayTarget, options: { readonly isTemporary: boolean }, now: Instant): RelayLink {
    const link = new RelayLink(this.#nextRelay++, relay, options, {
      internals: this.#internals,
      admission: () => this.#admission,
      isWatching: () => this.#watchers > 0,
      isTaken: (self, id) => this.#isTaken(self, id),
      isUrgent: () => this.#listener?.isUrgent() === true,
      onPresence: (self, record) => {
        if (this.#watchers === 0) return;
        this.#tell(this.#book.apply(self.relay, record));
        if (record.isComplete) this.#internals.emit({ type: "presenceComplete", isTruncated: record.isTruncated });
      },
      onChanged: (self, at) => this.#onChanged(self, at),
    });
    this.#links.set(link.relay, link);
    if (!this.#isClosed) link.start(now);
    return link;
  }

  #onChanged(link: RelayLink, now: Instant): void {
    if (link.isRegistered) this.#absences.delete(link.relay);
    else if (!this.#absences.has(link.relay) && this.#watchers > 0) this.#absences.set(link.relay, now + ABSENCE_MS);
    this.#listener?.onLinkChanged(link, now);
  }

  #onWatchChanged(now: Instant): void {
    for (const link of this.#links.values()) link.onWatchChanged(now);
  }

  #tell(news: readonly PresenceNews[]): void {
    for (const { change, node } of news) this.#internals.emit({ type: "presence", change, node });
  }

  #linkOf(relay: RelayTarget): RelayLink | undefined {
    for (const link of this.#links.values()) {
      const isSame = relay.id !== undefined && (link.target.id ?? link.id) === relay.id;
      if (isSame || relay.addresses.some((address) => link.target.addresses.includes(address))) return link;
    }
    return undefined;
  }

  #isTaken(self: RelayLink, id: NodeId): boolean {
    for (const link of this.#links.values()) {
      if (link !== self && link.id === id && link.session !== undefined) return true;
    }
    return false;
  }

  #checkTemporary(now: Instant): void {
    let isAnyLeft = false;
    for (const link of [...this.#links.values()]) {
      if (!link.isTemporary) continue;
      if (this.#listener?.isUsing(link) === true) {
        isAnyLeft = true;
        continue;
      }
      this.#links.delete(link.relay);
      this.#absences.delete(link.relay);
      this.#tell(this.#book.forget(link.relay));
      link.closeSession(now);
    }
    this.#temporaryCheckAt = isAnyLeft ? now + TEMPORARY_CHECK_MS : NEVER;
  }
}
