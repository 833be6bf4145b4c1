/**
 * Brings a session back to a path: the side that dialled dials again. PROTOCOL §6.3.
 *
 * The invariant to hold: a session has at most one try under way; a try ends as a path or is followed by a pause.
 *
 * @module
 */

import type { EventQueue } from "../connection/event_queue.ts";
import type { Environment, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { EndpointEvent, EndpointLimits, PipeId } from "./endpoint_types.ts";
import type { PipeTable } from "./pipe_table.ts";
import type { SessionEntry } from "./session_entry.ts";

/** The first try is at once; the pauses before the next ones grow from and up to these. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 8_000;
/** Addresses kept for one session. */
const ADDRESSES_MAX = 16;

/** The way back of one session: its addresses in turn, with exponential back-off and jitter. */
export class Resume {
  readonly #addresses: string[];
  /** The pipe of the try under way. */
  pipe: PipeId | undefined;
  /** When the next try is due, or the one under way is given up. */
  at: Instant = NEVER;
  /** Whether the owner was asked for a pipe since the last path was lost. */
  isOwnerAsked = false;
  #tries = 0;

  /** `addresses` are those that the session was dialled at; none for the side that was dialled. */
  constructor(addresses: readonly string[]) {
    this.#addresses = [...new Set(addresses)].slice(0, ADDRESSES_MAX);
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get isPossible(): boolean {
    return this.#addresses.length > 0;
  }

  /** Whether every address was tried since the last path was lost. */
  get isRoundOver(): boolean {
    return this.#tries >= this.#addresses.length;
  }

  /** Addresses that are newer than the known ones: they are tried first. */
  addAddresses(addresses: readonly string[]): void {
    const all = new Set([...addresses, ...this.#addresses]);
    this.#addresses.splice(0, this.#addresses.length, ...[...all].slice(0, ADDRESSES_MAX));
  }

  /** The last path was lost. */
  restart(): void {
    this.#tries = 0;
    this.isOwnerAsked = false;
  }

  /** The address of a try that begins. */
  takeAddress(): string {
    return this.#addresses[this.#tries++ % this.#addresses.length] as string;
  }

  /** The try came to nothing: the next one is due after a pause. `jitter` is in [0, 1). */
  pause(jitter: number, now: Instant): void {
    this.pipe = undefined;
    const pause = Math.min(PAUSE_MS_MAX, PAUSE_MS_MIN * 2 ** Math.max(0, Math.min(this.#tries - 1, 10)));
    // THREATS t-F9: ±50 %, so that a thousand clients of one relay do not come back as one.
    this.at = now + pause * (0.5 + jitter);
  }

  /** A path is there again, or none is wanted. */
  stop(): void {
    this.pipe = undefined;
    this.at = NEVER;
  }
}

/** Dials for the sessions of an endpoint that lost their last path. */
export class Resumer {
  readonly #limits: EndpointLimits;
  readonly #env: Environment;
  readonly #pipes: PipeTable;
  readonly #events: EventQueue<EndpointEvent>;
  readonly #byPipe = new Map<PipeId, SessionEntry>();

  constructor(options: {
    readonly limits: EndpointLimits;
    readonly env: Environment;
    readonly pipes: PipeTable;
    readonly events: EventQueue<EndpointEvent>;
  }) {
    this.#limits = options.limits;
    this.#env = options.env;
    this.#pipes = options.pipes;
    this.#events = options.events;
  }

  /** The session that a pipe is being dialled for. */
  entryOf(pipe: PipeId): SessionEntry | undefined {
    return this.#byPipe.get(pipe);
  }

  /** The session lost its last path. */
  onSuspended(entry: SessionEntry, now: Instant): void {
    entry.resume.restart();
    if (entry.resume.isPossible) this.#try(entry, now);
    else this.#askOwner(entry);
  }

  /** Tries at once, at these addresses first. */
  hurry(entry: SessionEntry, addresses: readonly string[], now: Instant): void {
    entry.resume.addAddresses(addresses);
    if (entry.resume.pipe === undefined && entry.resume.isPossible) this.#try(entry, now);
  }

  /** The try under way came to nothing; its pipe is the caller's to end. */
  onFailure(entry: SessionEntry, now: Instant): void {
    const { resume } = entry;
    if (resume.pipe === undefined) return;
    this.#byPipe.delete(resume.pipe);
    resume.pause(this.#env.jitter(), now);
    if (resume.isRoundOver) this.#askOwner(entry);
  }

  /** A pause is over. */
  onDue(entry: SessionEntry, now: Instant): void {
    if (entry.resume.pipe === undefined) this.#try(entry, now);
  }

  /** A path is there, or the session is over: a try under way is given up unless it became the path. */
  stop(entry: SessionEntry): void {
    const { pipe } = entry.resume;
    entry.resume.stop();
    if (pipe === undefined) return;
    this.#byPipe.delete(pipe);
    if (this.#pipes.get(pipe) === undefined) this.#pipes.drop(pipe, "destroy");
  }

  #try(entry: SessionEntry, now: Instant): void {
    const { resume } = entry;
    resume.pipe = this.#pipes.dial(resume.takeAddress());
    resume.at = now + this.#limits.attachTimeoutMs;
    this.#byPipe.set(resume.pipe, entry);
  }

  #askOwner(entry: SessionEntry): void {
    if (entry.resume.isOwnerAsked) return;
    entry.resume.isOwnerAsked = true;
    this.#events.push({ type: "needsPath", session: entry.id });
  }
}
