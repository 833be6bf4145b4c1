/**
 * Keeps as many direct paths to a session's node as are wanted: opens more beside the first one, brings back those that
 * were lost, and finds a way around a relay where there is one. PROTOCOL §6.4.
 *
 * The invariant to hold: a session has at most one such try under way; a try ends as a path or is followed by a pause
 * that grows, so an address that leads nowhere costs little.
 *
 * @module
 */

import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { PipeId, SessionId } from "./endpoint_types.ts";
import type { PipeTable } from "./pipe_table.ts";
import type { SessionEntry } from "./session_entry.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Pauses after a round of tries that brought nothing. */
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 60_000;
/** A try is given up after this long; the path's own deadline runs beside it. */
const TRY_MS_MAX = 10_000;
/** A path that held this long was worth its try. */
const PATH_IS_GOOD_MS = 30_000;

interface Keeping {
  readonly entry: SessionEntry;
  /** The try under way. */
  pipe: PipeId | undefined;
  /** When the next try is due, or the one under way is given up. */
  at: Instant;
  /** When the last try became a path. */
  attachedAt: Instant;
  /** Addresses that were tried since a path was last gained or lost. */
  readonly tried: Set<string>;
  rounds: number;
}

/** The keeper of all sessions of an endpoint. */
export class PathKeeper {
  readonly #pipes: PipeTable;
  readonly #env: Environment;
  readonly #wanted: number;
  readonly #bySession = new Map<SessionId, Keeping>();
  readonly #byPipe = new Map<PipeId, Keeping>();
  readonly #timers = new TimerHeap();

  constructor(options: { readonly pipes: PipeTable; readonly env: Environment; readonly wanted: number }) {
    this.#pipes = options.pipes;
    this.#env = options.env;
    this.#wanted = options.wanted;
  }

  /** The session that a pipe is being dialled for. */
  entryOf(pipe: PipeId): SessionEntry | undefined {
    return this.#byPipe.get(pipe)?.entry;
  }

  /** The paths of a session changed, its addresses, or its life. */
  onChange(entry: SessionEntry, now: Instant): void {
    const keeping = this.#bySession.get(entry.id);
    if (entry.session.isClosed) {
      if (keeping !== undefined) this.#stop(keeping);
      return;
    }
    if (!this.#isWanting(entry)) {
      // What was tried is remembered: a path that is lost again at once must not be tried again at once.
      if (keeping?.pipe === undefined) this.#timers.set(entry.id, NEVER);
      return;
    }
    if (keeping !== undefined) {
      if (keeping.pipe === undefined) this.#try(keeping, now);
      return;
    }
    const fresh: Keeping = {
      entry,
      pipe: undefined,
      at: now,
      attachedAt: Number.NEGATIVE_INFINITY,
      tried: new Set(),
      rounds: 0,
    };
    this.#bySession.set(entry.id, fresh);
    this.#try(fresh, now);
  }

  /** New addresses were told: they are worth a try at once. */
  onAddresses(entry: SessionEntry, now: Instant): void {
    const keeping = this.#bySession.get(entry.id);
    if (keeping !== undefined && keeping.pipe === undefined) keeping.at = now;
    this.onChange(entry, now);
  }

  /** The pipe of a try became a path that is still to prove itself, or came to nothing. */
  onPipe(pipe: PipeId, isAttached: boolean, now: Instant): void {
    const keeping = this.#byPipe.get(pipe);
    if (keeping === undefined) return;
    this.#byPipe.delete(pipe);
    keeping.pipe = undefined;
    keeping.at = now;
    if (isAttached) {
      // One that lived long is brought back at once, one that died young is not.
      if (now - keeping.attachedAt > PATH_IS_GOOD_MS) keeping.rounds = 0;
      keeping.attachedAt = now;
      keeping.tried.clear();
      keeping.at = now + this.#pause(keeping);
    }
    this.onChange(keeping.entry, now);
  }

  handleTimeout(now: Instant): void {
    for (;;) {
      const session = this.#timers.takeDue(now);
      if (session === undefined) return;
      const keeping = this.#bySession.get(session);
      if (keeping === undefined) continue;
      if (keeping.pipe !== undefined) {
        const { pipe } = keeping;
        if (this.#pipes.get(pipe) === undefined) this.#pipes.drop(pipe, "destroy");
        this.onPipe(pipe, false, now);
      } else this.onChange(keeping.entry, now);
    }
  }

  pollTimeout(): Instant {
    return this.#timers.earliest;
  }

  /** Whether a session has addresses and fewer direct paths than it should. */
  #isWanting(entry: SessionEntry): boolean {
    if (!entry.session.isActive || entry.resume.addresses.length === 0) return false;
    // A package on a second path that overtakes those of the first would make the peer give the first one up: it means
    // that who dialled came back on another pipe. PROTOCOL §3.6; RFC 9000 §9 forbids a move before that, too.
    if (!entry.isConfirmed) return false;
    const wanted = Math.max(this.#wanted, entry.pathsWanted);
    let direct = 0;
    for (const id of entry.pipes.values()) if (this.#pipes.get(id)?.facts.kind !== "relay") direct++;
    return direct < wanted;
  }

  #try(keeping: Keeping, now: Instant): void {
    if (now < keeping.at) {
      this.#timers.set(keeping.entry.id, keeping.at);
      return;
    }
    const { entry } = keeping;
    const used = new Set<string | undefined>();
    for (const id of entry.pipes.values()) used.add(this.#pipes.get(id)?.address);
    const address = entry.resume.addresses.find((one) => !used.has(one) && !keeping.tried.has(one));
    if (address === undefined) {
      keeping.tried.clear();
      keeping.at = now + this.#pause(keeping);
    } else {
      keeping.tried.add(address);
      keeping.pipe = this.#pipes.dial(address);
      keeping.at = now + TRY_MS_MAX;
      this.#byPipe.set(keeping.pipe, keeping);
    }
    this.#timers.set(entry.id, keeping.at);
  }

  #pause(keeping: Keeping): number {
    const pause = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.min(keeping.rounds++, 10));
    return pause * (0.5 + this.#env.jitter());
  }

  #stop(keeping: Keeping): void {
    const { entry, pipe } = keeping;
    this.#bySession.delete(entry.id);
    this.#timers.set(entry.id, NEVER);
    if (pipe === undefined) return;
    this.#byPipe.delete(pipe);
    if (this.#pipes.get(pipe)?.binding === undefined) this.#pipes.drop(pipe, "destroy");
  }
}
