/**
 * The sessions of an endpoint: by number, by connection id, by the node they are with; whose turn it is to send, and
 * when each wants to be woken up.
 *
 * The invariant to hold: whoever touches a session calls `touch` (or `markDirty` where it can cause no event): then its
 * events are drained here and nowhere else, and it gets its turn. Idle sessions cost nothing per call. THREATS t-I7.
 *
 * @module
 */

import type { EventQueue } from "../connection/event_queue.ts";
import type { PathId, SessionEvent } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Package } from "../wire/package.ts";
import type { EndpointConfig, EndpointEvent, EndpointOutput, SessionId } from "./endpoint_types.ts";
import type { Flow } from "./flow_table.ts";
import type { PipeState, PipeTable } from "./pipe_table.ts";
import { Resumer } from "./resumer.ts";
import type { SessionEntry } from "./session_entry.ts";
import { TimerHeap } from "./timer_heap.ts";

/** What other parts of the endpoint must learn of a session. */
export interface SessionNotice {
  readonly type: "confirmed" | "resumed" | "paths" | "closed";
  readonly entry: SessionEntry;
}

/** All sessions of an endpoint. */
export class SessionTable {
  readonly #env: Environment;
  readonly #pipes: PipeTable;
  readonly #events: EventQueue<EndpointEvent>;
  readonly #limits: EndpointConfig["limits"];
  readonly #ownId: NodeId;
  readonly #entries = new Map<SessionId, SessionEntry>();
  /** `undefined` for an id that a handshake has reserved. */
  readonly #byConnectionId = new Map<number, SessionEntry | undefined>();
  readonly #byRemoteId = new Map<NodeId, SessionEntry>();
  /** Sessions that may have something to send, in turn. */
  readonly #dirty = new Set<SessionEntry>();
  readonly #timers = new TimerHeap();
  readonly #notices: SessionNotice[] = [];
  readonly resumer: Resumer;
  #nextId: SessionId = 1;

  constructor(options: {
    readonly config: EndpointConfig;
    readonly env: Environment;
    readonly pipes: PipeTable;
    readonly events: EventQueue<EndpointEvent>;
  }) {
    this.#env = options.env;
    this.#pipes = options.pipes;
    this.#events = options.events;
    this.#limits = options.config.limits;
    this.#ownId = options.config.identity.id;
    this.resumer = new Resumer({ ...options, limits: options.config.limits });
  }

  get size(): number {
    return this.#entries.size;
  }

  get(id: SessionId): SessionEntry | undefined {
    return this.#entries.get(id);
  }

  /** The one session with a node that both sides know by key. */
  ofNode(id: NodeId): SessionEntry | undefined {
    return this.#byRemoteId.get(id);
  }

  ofConnectionId(connectionId: number): SessionEntry | undefined {
    return this.#byConnectionId.get(connectionId);
  }

  ids(): IterableIterator<SessionId> {
    return this.#entries.keys();
  }

  all(): SessionEntry[] {
    return [...this.#entries.values()];
  }

  allocateId(): SessionId {
    return this.#nextId++;
  }

  /** Reserves a number by which packages may name a session here: random, so that nobody guesses one. */
  reserveConnectionId(): number {
    const bytes = new Uint8Array(4);
    for (;;) {
      this.#env.random(bytes);
      const [a = 0, b = 0, c = 0, d = 0] = bytes;
      const id = (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
      if (id === 0 || this.#byConnectionId.has(id)) continue;
      this.#byConnectionId.set(id, undefined);
      return id;
    }
  }

  /** Gives back a number that no session came to have. */
  releaseConnectionId(id: number): void {
    if (this.#byConnectionId.get(id) === undefined) this.#byConnectionId.delete(id);
  }

  /** Takes a new session in, with the pipe that is its first path. */
  add(entry: SessionEntry, pipe: PipeState, path: PathId): void {
    this.#entries.set(entry.id, entry);
    this.#byConnectionId.set(entry.localConnectionId, entry);
    // Of the two ends of a session with oneself, the one that dialled is the one to use.
    const isUsed = entry.isInitiator || entry.remoteId !== this.#ownId;
    if (entry.remoteId !== undefined && isUsed && !entry.isAnonymous) this.#byRemoteId.set(entry.remoteId, entry);
    this.#bind(pipe, entry, path, true, NEVER);
  }

  /** Makes an open pipe a path of a session. `false` when the session takes no more. */
  attach(entry: SessionEntry, pipe: PipeState, now: Instant): boolean {
    const path = entry.session.openPath(pipe.facts, now);
    if (path === undefined) return false;
    this.#bind(pipe, entry, path, false, now + this.#limits.attachTimeoutMs);
    this.touch(entry, now);
    return true;
  }

  /**
   * Gives a package to the session that it names. Returns `false` when it is not authentic: on a reliable pipe nothing
   * is damaged or mixed up by itself, so whoever is there is not the peer. THREATS t-A8.
   */
  onPackage(entry: SessionEntry, pipe: PipeState, input: Package, now: Instant): boolean {
    const { session } = entry;
    if (session.isClosed) return true; // Its end is under way, with the pipe's.
    const path = session.handlePackage({ package: input, facts: pipe.facts }, now);
    const isRight = path !== undefined && (pipe.binding === undefined || pipe.binding.path === path);
    if (isRight) {
      if (pipe.binding === undefined) this.#bind(pipe, entry, path, true, NEVER);
      if (!entry.isConfirmed) this.#confirm(entry);
      pipe.lastMessage = undefined; // Nobody asks for it again.
    }
    this.touch(entry, now);
    return isRight || session.isClosed;
  }

  /**
   * Takes a package of a path that comes by another flow: the peer's address changed, or somebody sends its packages
   * on. The path moves there at once and must prove that the peer is there. RFC 9000 §9.3. `false` when it is not
   * authentic.
   */
  onMovedPackage(entry: SessionEntry, pipe: PipeState, flow: Flow, input: Package, now: Instant): boolean {
    const { session } = entry;
    const { facts } = pipe;
    const path = session.handlePackage({ package: input, facts }, now);
    if (path !== undefined && session.path(path)?.isNewest === true && pipe.binding?.path === path) {
      this.#pipes.moveTo(pipe, flow);
      session.movePath(path, pipe.facts, now);
    }
    this.touch(entry, now);
    return path !== undefined || session.isClosed;
  }

  /** The pipe of a path is gone, or is given up: the session goes on without it. */
  onPathLost(pipe: PipeState, code: ErrorCode, now: Instant): void {
    if (pipe.binding === undefined) return;
    const { entry, path, isUp } = pipe.binding;
    pipe.binding = undefined;
    entry.pipes.delete(path);
    this.#notices.push({ type: "paths", entry });
    if (isUp && entry.session.paths.includes(path)) {
      this.#events.push({ type: "session", session: entry.id, event: { type: "pathDown", path, code } });
    }
    if (entry.resume.pipe === pipe.id) this.resumer.onFailure(entry, now);
    entry.session.closePath(path, now);
    this.touch(entry, now);
  }

  /** Drains the events of a session that was touched; its turn to send comes. */
  touch(entry: SessionEntry, now: Instant): void {
    this.#dirty.add(entry);
    this.#drain(entry, now);
  }

  /** The session may have something to send. */
  markDirty(entry: SessionEntry): void {
    this.#dirty.add(entry);
  }

  handleTimeout(now: Instant): void {
    for (;;) {
      const id = this.#timers.takeDue(now);
      if (id === undefined) return;
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      entry.session.handleTimeout(now);
      this.touch(entry, now);
      if (now >= entry.resume.at) this.#onResumeDue(entry, now);
    }
  }

  /** The next package of the session whose turn it is. */
  pollTransmit(now: Instant): EndpointOutput | undefined {
    for (;;) {
      const entry = this.#dirty.values().next().value;
      if (entry === undefined) return undefined;
      this.#dirty.delete(entry);
      const sent = entry.session.pollTransmit(now);
      if (sent === undefined) {
        this.#drain(entry, now);
        if (this.#entries.has(entry.id)) {
          this.#timers.set(entry.id, Math.min(entry.session.pollTimeout(), entry.resume.at));
        }
        continue;
      }
      this.#dirty.add(entry); // Behind the others: sessions take turns.
      const pipe = entry.pipes.get(sent.path);
      const output = pipe === undefined ? undefined : this.#pipes.outputFor(pipe, sent.bytes);
      if (output !== undefined) return output;
    }
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }

  pollNotice(): SessionNotice | undefined {
    return this.#notices.shift();
  }

  #bind(pipe: PipeState, entry: SessionEntry, path: PathId, isUp: boolean, deadline: Instant): void {
    this.#pipes.bind(pipe, { entry, path, isUp }, deadline);
    entry.pipes.set(path, pipe.id);
    if (!pipe.isWritable) entry.session.setPathWritable(path, false);
  }

  #confirm(entry: SessionEntry): void {
    entry.isConfirmed = true;
    this.#notices.push({ type: "confirmed", entry });
  }

  #onResumeDue(entry: SessionEntry, now: Instant): void {
    const { pipe: id } = entry.resume;
    if (id === undefined) {
      this.resumer.onDue(entry, now);
    } else {
      const pipe = this.#pipes.get(id);
      if (pipe === undefined) this.resumer.onFailure(entry, now);
      else this.onPathLost(pipe, "timeout", now);
      this.#pipes.drop(id, "destroy");
    }
    this.#dirty.add(entry);
  }

  #drain(entry: SessionEntry, now: Instant): void {
    for (;;) {
      const event = entry.session.pollEvent();
      if (event === undefined) return;
      this.#onEvent(entry, event, now);
    }
  }

  #onEvent(entry: SessionEntry, event: SessionEvent, now: Instant): void {
    if (event.type === "pong" && event.token === entry.confirmToken) return;
    // Before the rest of the endpoint acts on it, so that the owner hears of causes before effects.
    this.#events.push({ type: "session", session: entry.id, event });
    switch (event.type) {
      case "pathUp":
        this.#onPathUp(entry, event.path);
        this.#notices.push({ type: "paths", entry });
        return;
      case "pathDown": {
        const pipe = this.#pipes.get(entry.pipes.get(event.path) ?? 0);
        if (pipe === undefined) return;
        entry.pipes.delete(event.path);
        this.#notices.push({ type: "paths", entry });
        if (entry.resume.pipe === pipe.id) this.resumer.onFailure(entry, now);
        this.#pipes.drop(pipe.id, "destroy");
        return;
      }
      case "suspended":
        this.resumer.onSuspended(entry, now);
        return;
      case "resumed":
        this.resumer.stop(entry);
        this.#notices.push({ type: "resumed", entry });
        return;
      case "closed":
        this.#forget(entry);
        return;
      default:
    }
  }

  #onPathUp(entry: SessionEntry, path: PathId): void {
    const pipe = this.#pipes.get(entry.pipes.get(path) ?? 0);
    if (pipe?.binding === undefined) return;
    pipe.binding.isUp = true;
    this.#pipes.setDeadline(pipe, NEVER);
  }

  #forget(entry: SessionEntry): void {
    this.#entries.delete(entry.id);
    this.#byConnectionId.delete(entry.localConnectionId);
    if (entry.remoteId !== undefined && this.#byRemoteId.get(entry.remoteId) === entry) {
      this.#byRemoteId.delete(entry.remoteId);
    }
    this.#dirty.delete(entry);
    this.#timers.set(entry.id, NEVER);
    this.resumer.stop(entry);
    for (const pipe of entry.pipes.values()) this.#pipes.drop(pipe, "close");
    entry.pipes.clear();
    this.#notices.push({ type: "closed", entry });
  }
}
