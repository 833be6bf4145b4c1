/**
 * One relay that a node stays registered with: dials it, asks for the name, tells what the relay said, and begins again
 * whenever the session or the registration is lost. Implements PROTOCOL §10.3 for the client.
 *
 * The invariant to hold: a link wants to be registered for ever; what a relay says changes when it tries again, and
 * under which name, never whether.
 *
 * @module
 */

import type { StreamId } from "../connection/session_types.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { errorCodeOfWire, ProtocolError } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { DialId, SessionId } from "./endpoint_types.ts";
import type { NodeInternals, NodeStreamEvent, RelayEvent, RelayId, RelayTarget } from "./node_types.ts";
import type { ClientRecord, PresenceRecord, RefusedRecord, RegisteredRecord } from "./relay_codec.ts";
import {
  ControlRecordReader,
  decodeControlRecord,
  encodeControlRecord,
  isRelayName,
  RELAY_PROTOCOL,
  RELAY_PROTOCOL_VERSION,
} from "./relay_codec.ts";
import { errorCodeOfStreamCode, streamCodeOf } from "./stream_code.ts";

/** Pauses between tries grow from and up to these, ±50 %. THREATS t-F9. */
const PAUSE_MS_MIN = 500;
const PAUSE_MS_MAX = 30_000;
/** While sessions wait to come back over a relay, which they do for a minute, pauses stay below this. */
const URGENT_PAUSE_MS_MAX = 4_000;
/** While a relay that went away said that it will be back, pauses stay below this. */
const DRAIN_PAUSE_MS_MAX = 2_000;
/** A restarted relay is dialled again after at most this long: a thousand clients notice at the same time. */
const RESTART_SPREAD_MS = 250;
/** A relay that was taken over by another connection of this node is left alone for this long. */
const REPLACED_PAUSE_MS = 30_000;
/** A registration that is not answered in this time is given up. */
const ANSWER_TIMEOUT_MS = 10_000;
const EMPTY = new Uint8Array(0);

/** What a link needs around it. */
export interface LinkHost {
  readonly internals: NodeInternals;
  /** What an operator signed for the node. */
  readonly admission: () => Uint8Array | undefined;
  /** Whether clients of the node want to know who is at the relays. */
  readonly isWatching: () => boolean;
  /** Whether another link holds this session or is registered with this relay. */
  readonly isTaken: (link: RelayLink, id: NodeId) => boolean;
  /** Whether sessions wait to come back over a relay. */
  readonly isUrgent: () => boolean;
  readonly onPresence: (link: RelayLink, record: PresenceRecord) => void;
  /** The link is registered, or no longer. */
  readonly onChanged: (link: RelayLink, now: Instant) => void;
}

/** Where a link stands. */
export type LinkState = "idle" | "dialling" | "registering" | "registered" | "waiting" | "refused" | "closed";

/** A relay to stay registered with. */
export class RelayLink {
  readonly relay: RelayId;
  readonly target: RelayTarget;
  /** Whether only targets of `connect` brought it in: it goes when nothing needs it. */
  isTemporary: boolean;
  readonly #host: LinkHost;
  #state: LinkState = "idle";
  #dial: DialId | undefined;
  #session: SessionId | undefined;
  #id: NodeId | undefined;
  #stream: StreamId | undefined;
  /** Whether the session was made by this link and is ended with it. */
  #isOwnSession = false;
  #reader = new ControlRecordReader();
  /** Records that the stream has not taken. */
  #unsent: Uint8Array[] = [];
  #wakeAt: Instant = NEVER;
  #tries = 0;
  #error: ErrorCode | undefined;
  /** The name given last, and the token to show; `undefined` once the relay refused what was configured. */
  #name: string | undefined;
  #token: Uint8Array | undefined;
  #isNameGiven = false;
  #limits: { readonly bytesPerSecond: number; readonly circuitsMax: number } = { bytesPerSecond: 0, circuitsMax: 0 };
  #drain: { readonly earliestAt: Instant; readonly until: Instant } | undefined;

  constructor(relay: RelayId, target: RelayTarget, options: { readonly isTemporary: boolean }, host: LinkHost) {
    this.relay = relay;
    this.target = target;
    this.isTemporary = options.isTemporary;
    this.#host = host;
    const { config } = host.internals;
    this.#id = target.id;
    this.#name = config.name;
    this.#token = config.token;
  }

  get state(): LinkState {
    return this.#state;
  }

  get dial(): DialId | undefined {
    return this.#dial;
  }

  get session(): SessionId | undefined {
    return this.#session;
  }

  get stream(): StreamId | undefined {
    return this.#stream;
  }

  /** The relay's id, once it is known. */
  get id(): NodeId | undefined {
    return this.#id;
  }

  get isRegistered(): boolean {
    return this.#state === "registered";
  }

  /** Tries that failed in a row. */
  get failures(): number {
    return this.#tries;
  }

  /** Why the last try failed. */
  get error(): ErrorCode | undefined {
    return this.#error;
  }

  /** What the relay lets the node send through circuits in a second; 0 for no limit. */
  get bytesPerSecond(): number {
    return this.#limits.bytesPerSecond;
  }

  /** Begins, or tries again. */
  start(now: Instant): void {
    if (this.#state === "closed") return;
    this.#wakeAt = NEVER;
    const { endpoint } = this.#host.internals;
    if (this.#stream !== undefined) {
      this.#register(now);
      return;
    }
    if (this.#id !== undefined && this.#host.isTaken(this, this.#id)) {
      this.#wait("replaced", REPLACED_PAUSE_MS, now);
      return;
    }
    this.#state = "dialling";
    this.#emit("connecting");
    const existing = this.target.id === undefined ? undefined : endpoint.sessionOf(this.target.id);
    if (existing !== undefined && endpoint.session(existing)?.isClosed === false) {
      this.#isOwnSession = false;
      this.#onSession(existing, now);
      return;
    }
    this.#isOwnSession = true;
    this.#dial = endpoint.dial(this.target, {}, now);
  }

  /** The node closes, or needs the relay no longer. */
  close(now: Instant): void {
    if (this.#state === "closed") return;
    const { internals } = this.#host;
    if (this.#dial !== undefined) internals.endpoint.cancelDial(this.#dial, now);
    if (this.#session !== undefined && this.#stream !== undefined) internals.finish(this.#session, this.#stream, now);
    this.#dial = undefined;
    this.#wakeAt = NEVER;
    this.#state = "closed";
    this.#host.onChanged(this, now);
  }

  /** Ends the session too, if nothing but this link needed it. */
  closeSession(now: Instant): void {
    const session = this.#session;
    this.close(now);
    if (session !== undefined && this.#isOwnSession) {
      this.#host.internals.endpoint.closeSession(session, { code: "closed" }, now);
    }
  }

  /** There is another admission to show: a registration goes on with it, a refused one is tried again. */
  renew(now: Instant): void {
    if (this.isTemporary) return;
    if (this.isRegistered) this.#sendRegister(now);
    else if (this.#state === "refused") this.start(now);
  }

  /** Sessions wait to come back over a relay: a long pause is cut short. */
  hurry(now: Instant): void {
    if (this.#state !== "waiting" || this.#drain !== undefined || this.#error === "replaced") return;
    const latest = now + URGENT_PAUSE_MS_MAX * (0.5 + this.#host.internals.env.jitter());
    this.#wakeAt = Math.min(this.#wakeAt, latest);
  }

  /** The wish to know who is at the relay has changed. */
  onWatchChanged(now: Instant): void {
    if (this.isRegistered) this.#send({ type: "watch", isOn: this.#host.isWatching() }, now);
  }

  handleTimeout(now: Instant): void {
    if (now < this.#wakeAt) return;
    this.#wakeAt = NEVER;
    if (this.#state === "registering") this.#restart("timeout", now);
    else this.start(now);
  }

  pollTimeout(): Instant {
    return this.#wakeAt;
  }

  // Events of its dial, session and stream.

  onConnected(session: SessionId, now: Instant): void {
    this.#dial = undefined;
    this.#onSession(session, now);
  }

  onDialFailed(code: ErrorCode, now: Instant): void {
    this.#dial = undefined;
    this.#wait(code, 0, now);
  }

  /** The session has no connection at present: it resumes by itself. */
  onSuspended(now: Instant): void {
    if (!this.isRegistered) return;
    this.#emit("connecting");
    this.#host.onChanged(this, now);
  }

  onResumed(now: Instant): void {
    if (!this.isRegistered) return;
    this.#emitRegistered();
    this.#host.onChanged(this, now);
  }

  onSessionClosed(code: ErrorCode, now: Instant): void {
    const wasRegistered = this.isRegistered;
    this.#session = this.#stream = undefined;
    if (this.#state === "closed") return;
    if (code === "session_lost" && wasRegistered) {
      // The relay was restarted: it is there, and knows the token by itself.
      this.#wait(code, 1 + this.#host.internals.env.jitter() * RESTART_SPREAD_MS, now, { isExact: true });
    } else {
      this.#wait(code, code === "replaced" ? REPLACED_PAUSE_MS : 0, now);
    }
  }

  onStreamEvent(event: NodeStreamEvent, now: Instant): void {
    switch (event.type) {
      case "readable":
        this.#read(now);
        return;
      case "writable":
        this.#flush(now);
        return;
      case "streamRefused":
        this.#stream = undefined;
        this.#restart(event.code, now);
        return;
      case "stopped":
        this.#restart(errorCodeOfStreamCode(event.applicationCode) ?? "refused", now);
        return;
      case "streamClosed":
        if (this.#state !== "closed") this.#restart("refused", now);
        return;
      default:
    }
  }

  #onSession(session: SessionId, now: Instant): void {
    const { internals } = this.#host;
    const id = internals.endpoint.remoteIdOf(session);
    if (id === undefined || id === internals.config.endpoint.identity.id || this.#host.isTaken(this, id)) {
      this.#wait("replaced", REPLACED_PAUSE_MS, now);
      return;
    }
    this.#session = session;
    this.#id = id;
    this.#stream = internals.openStream(
      session,
      { protocol: { name: RELAY_PROTOCOL, versions: [RELAY_PROTOCOL_VERSION] }, priority: 1 },
      now,
    );
    if (this.#stream === undefined) {
      this.#restart("limit", now);
      return;
    }
    this.#reader = new ControlRecordReader();
    this.#unsent = [];
    this.#register(now);
  }

  #register(now: Instant): void {
    this.#state = "registering";
    this.#wakeAt = now + ANSWER_TIMEOUT_MS;
    this.#sendRegister(now);
  }

  #sendRegister(now: Instant): void {
    const { about } = this.#host.internals.config;
    const admission = this.#host.admission();
    // Whoever made a target names its relays: they are not shown what admits its bearer elsewhere.
    const shown = admission === undefined || this.isTemporary ? {} : { admission };
    this.#send({ type: "register", name: this.#name ?? "", token: this.#token ?? EMPTY, about, ...shown }, now);
  }

  #read(now: Instant): void {
    const { internals } = this.#host;
    try {
      for (;;) {
        const bytes = this.#reader.next();
        if (bytes !== undefined) {
          this.#onRecord(bytes, now);
          if (this.#stream === undefined) return;
          continue;
        }
        const session = this.#session as SessionId;
        const result = internals.read(session, this.#stream as StreamId);
        if (result === undefined) return;
        if (result.type === "data") {
          this.#reader.push(result.bytes);
          continue;
        }
        const code = result.type === "reset" ? errorCodeOfStreamCode(result.applicationCode) : "going_away";
        this.#restart(code ?? "refused", now);
        return;
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#restart("protocol_violation", now);
    }
  }

  #onRecord(bytes: Uint8Array, now: Instant): void {
    const record = decodeControlRecord(bytes);
    switch (record?.type) {
      case "registered":
        this.#onRegistered(record, now);
        return;
      case "refused":
        this.#onRefused(record, now);
        return;
      case "presence":
        if (this.isRegistered) this.#host.onPresence(this, record);
        return;
      case "drain": {
        const earliestAt = now + record.reconnectInMs;
        this.#drain = { earliestAt, until: earliestAt + record.tryForMs };
        return;
      }
      case "notice":
      case undefined:
        return;
      default:
        throw new ProtocolError("protocol_violation", "A record of a client came from a relay");
    }
  }

  #onRegistered(record: RegisteredRecord, now: Instant): void {
    if (!isRelayName(record.name)) throw new ProtocolError("protocol_violation", "A name is malformed");
    this.#isNameGiven = record.name !== this.#host.internals.config.name;
    this.#name = record.name;
    this.#token = record.token.slice();
    this.#limits = { bytesPerSecond: record.bytesPerSecond, circuitsMax: record.circuitsMax };
    this.#tries = 0;
    this.#error = undefined;
    this.#drain = undefined;
    this.#wakeAt = NEVER;
    this.#state = "registered";
    this.#emitRegistered();
    if (this.#host.isWatching()) this.#send({ type: "watch", isOn: true }, now);
    this.#host.onChanged(this, now);
  }

  #onRefused(record: RefusedRecord, now: Instant): void {
    const code = errorCodeOfWire(record.wireCode);
    const wasRegistered = this.isRegistered;
    const { config } = this.#host.internals;
    if (code === "token_refused" && this.#token !== undefined) {
      // Another relay's, or one that the relay no longer knows: the name may be free all the same.
      this.#token = undefined;
      this.#emit("refused", { error: code, retryInMs: 0 });
      this.#register(now);
      return;
    }
    const isNameLost = code === "replaced" && record.retryAfterMs === 0;
    if (this.#isNameGiven && (isNameLost || code === "name_taken")) {
      // A name that the relay gave is nobody's wish: another one will do.
      this.#name = config.name;
      this.#token = undefined;
      this.#isNameGiven = false;
      this.#register(now);
      if (wasRegistered) this.#host.onChanged(this, now);
      return;
    }
    // What was configured is tried again from the beginning.
    this.#token = config.token;
    this.#tries++;
    this.#error = code;
    this.#state = "refused";
    const isHopeless = code === "name_invalid";
    const pauseMs = Math.max(record.retryAfterMs, isNameLost ? REPLACED_PAUSE_MS : this.#pauseMs());
    this.#wakeAt = isHopeless ? NEVER : now + pauseMs;
    this.#emit("refused", { error: code, ...(isHopeless ? {} : { retryInMs: pauseMs }) });
    this.#host.onChanged(this, now);
  }

  /** The stream is of no more use: gives it up and begins again after a pause. */
  #restart(code: ErrorCode, now: Instant): void {
    const { internals } = this.#host;
    const { endpoint } = internals;
    if (this.#session !== undefined && this.#stream !== undefined) {
      internals.reset(this.#session, this.#stream, streamCodeOf("closed"), now);
      internals.stop(this.#session, this.#stream, streamCodeOf("closed"), now);
    }
    const session = this.#session;
    this.#session = this.#stream = undefined;
    // A relay that does not answer on a session is dialled anew, unless the program uses the session as well.
    if (session !== undefined && this.#isOwnSession) endpoint.closeSession(session, { code: "closed" }, now);
    this.#wait(code, 0, now);
  }

  #wait(code: ErrorCode, pauseMsMin: number, now: Instant, options: { readonly isExact?: boolean } = {}): void {
    if (this.#state === "closed") return;
    this.#error = code;
    this.#state = "waiting";
    let pauseMs = options.isExact === true ? pauseMsMin : Math.max(pauseMsMin, this.#pauseMs());
    this.#tries++;
    if (this.#drain !== undefined) {
      if (now < this.#drain.until) {
        const { earliestAt } = this.#drain;
        const spread = Math.min(DRAIN_PAUSE_MS_MAX, this.#drain.until - earliestAt);
        pauseMs =
          Math.max(0, earliestAt - now) + Math.min(pauseMs, spread * (0.5 + this.#host.internals.env.jitter() / 2));
      } else this.#drain = undefined;
    }
    this.#wakeAt = now + pauseMs;
    this.#emit("waiting", { error: code, retryInMs: pauseMs });
    this.#host.onChanged(this, now);
  }

  #pauseMs(): number {
    const most = this.#host.isUrgent() ? URGENT_PAUSE_MS_MAX : PAUSE_MS_MAX;
    const pause = Math.min(most, PAUSE_MS_MIN * 2 ** Math.min(this.#tries, 10));
    return pause * (0.5 + this.#host.internals.env.jitter());
  }

  #send(record: ClientRecord, now: Instant): void {
    this.#unsent.push(encodeControlRecord(record));
    this.#flush(now);
  }

  #flush(now: Instant): void {
    if (this.#session === undefined || this.#stream === undefined) return;
    for (;;) {
      const bytes = this.#unsent[0];
      if (bytes === undefined) return;
      const taken = this.#host.internals.write(this.#session, this.#stream, bytes, now);
      if (taken < bytes.length) {
        this.#unsent[0] = bytes.subarray(taken);
        return;
      }
      this.#unsent.shift();
    }
  }

  #emitRegistered(): void {
    this.#emit("registered", { name: this.#name as string, token: (this.#token as Uint8Array).slice() as Bytes });
  }

  #emit(state: RelayEvent["state"], facts: Pick<RelayEvent, "name" | "token" | "error" | "retryInMs"> = {}): void {
    this.#host.internals.emit({
      type: "relay",
      relay: this.relay,
      state,
      id: this.#id,
      address: this.target.addresses[0] ?? "",
      ...facts,
    });
  }
}
