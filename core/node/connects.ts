/**
 * Attempts of the application to reach a node: direct addresses first, a circuit over a relay beside them when they
 * fail or are slow; whichever authenticates first wins. A relay costs a third party its bandwidth, so it waits.
 *
 * The invariant to hold: every attempt ends with exactly one event, `connected` or `connectFailed`, unless it was
 * cancelled; what has not won is given up.
 *
 * @module
 */

import { concatBytes } from "../crypto/constant_time.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS } from "../error.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { Endpoint } from "./endpoint.ts";
import type { DialEarly, DialId, DialOptions, SessionId } from "./endpoint_types.ts";
import type {
  CircuitId,
  CircuitOutcome,
  CircuitsExtension,
  CircuitTarget,
  ConnectCommandOptions,
  ConnectTarget,
  EarlyOpened,
  EarlyOpening,
  NodeEvent,
  NodeLimits,
} from "./node_types.ts";
import { encodeStreamHeader } from "./stream_header.ts";
import { TimerHeap } from "./timer_heap.ts";

/** A failure of the direct way that says no more than that there is none: the relay's says more. */
const VAGUE: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["dial_failed", "timeout", "handshake_timeout"]);

interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** One attempt. */
interface Attempt {
  readonly id: DialId;
  readonly target: ConnectTarget;
  readonly options: ConnectCommandOptions;
  /** When it is given up. */
  readonly deadline: Instant;
  direct: DialId | undefined;
  directFailure: Failure | undefined;
  circuit: CircuitId | undefined;
  circuitFailure: Failure | undefined;
  /** When a circuit is tried beside the direct addresses; `NEVER` when it was, or cannot be. */
  circuitAt: Instant;
}

/** What the attempts need around them. */
export interface ConnectsOptions {
  readonly endpoint: Endpoint;
  readonly limits: NodeLimits;
  readonly circuits: () => CircuitsExtension;
  /** The session with a node that can be used at once. */
  readonly sessionOf: (id: NodeId) => SessionId | undefined;
  /** The application asked for this session: it is told of the peer before it is told of the connection. */
  readonly show: (session: SessionId) => void;
  /** The stream that a dial opened with its handshake becomes one of the application. */
  readonly adoptEarly: (session: SessionId, dial: DialId, early: EarlyOpening) => EarlyOpened | undefined;
  readonly emit: (event: NodeEvent) => void;
}

/** All attempts under way. */
export class Connects {
  readonly #options: ConnectsOptions;
  readonly #attempts = new Map<DialId, Attempt>();
  readonly #byDirect = new Map<DialId, Attempt>();
  readonly #byCircuit = new Map<CircuitId, Attempt>();
  readonly #timers = new TimerHeap();
  #nextId: DialId = 1;
  #closedWith: ErrorCode | undefined;

  constructor(options: ConnectsOptions) {
    this.#options = options;
  }

  connect(target: ConnectTarget, options: ConnectCommandOptions, now: Instant): DialId {
    const id = this.#nextId++;
    const { limits } = this.#options;
    const existing = target.id === undefined ? undefined : this.#options.sessionOf(target.id);
    if (this.#closedWith !== undefined) {
      this.#emitFailed(id, { code: this.#closedWith, detail: "The node is closed" });
    } else if (existing !== undefined) {
      this.#emitConnected(id, existing);
    } else if (this.#attempts.size >= limits.connectsMax) {
      this.#emitFailed(id, { code: "limit", detail: `"connectsMax" is ${limits.connectsMax}` });
    } else {
      const deadline = now + (options.timeoutMs ?? limits.connectTimeoutMs);
      this.#begin(id, target, options, deadline, now);
    }
    return id;
  }

  /** Gives an attempt up; nothing follows. */
  cancel(id: DialId, now: Instant): void {
    const attempt = this.#attempts.get(id);
    if (attempt !== undefined) this.#forget(attempt, now);
  }

  handleTimeout(now: Instant): void {
    for (;;) {
      const id = this.#timers.takeDue(now);
      if (id === undefined) return;
      const attempt = this.#attempts.get(id);
      if (attempt === undefined) continue;
      if (now >= attempt.deadline) {
        this.#fail(attempt, { code: "timeout", detail: this.#failureOf(attempt).detail }, now);
      } else {
        if (now >= attempt.circuitAt) this.#startCircuit(attempt, now);
        this.#settle(attempt, now);
      }
    }
  }

  get pollTimeout(): Instant {
    return this.#timers.earliest;
  }

  get size(): number {
    return this.#attempts.size;
  }

  // What happens below.

  /** A dial of the endpoint came to a session. Whether it was one of these. */
  onConnected(dial: DialId, session: SessionId, now: Instant): boolean {
    const attempt = this.#byDirect.get(dial);
    if (attempt === undefined) return false;
    this.#succeed(attempt, session, now);
    return true;
  }

  onDialFailed(dial: DialId, code: ErrorCode, detail: string, now: Instant): boolean {
    const attempt = this.#byDirect.get(dial);
    if (attempt === undefined) return false;
    this.#byDirect.delete(dial);
    attempt.direct = undefined;
    attempt.directFailure = { code, detail };
    if (attempt.circuitAt !== NEVER) this.#startCircuit(attempt, now);
    this.#settle(attempt, now);
    return true;
  }

  onCircuitDone(circuit: CircuitId, outcome: CircuitOutcome, now: Instant): void {
    const attempt = this.#byCircuit.get(circuit);
    if (attempt === undefined) return;
    this.#byCircuit.delete(circuit);
    attempt.circuit = undefined;
    if (outcome.type === "connected") {
      const { endpoint } = this.#options;
      // They were slower, or are not there yet: a relay is used as long as it must be.
      if (attempt.options.via !== "relay") endpoint.addAddresses(outcome.session, attempt.target.addresses, now);
      this.#succeed(attempt, outcome.session, now);
    } else {
      attempt.circuitFailure = { code: outcome.code, detail: outcome.detail };
      this.#settle(attempt, now);
    }
  }

  /** A node that is being sought has come by itself. */
  onSession(remoteId: NodeId, session: SessionId, now: Instant): void {
    if (this.#attempts.size === 0) return;
    for (const attempt of [...this.#attempts.values()]) {
      if (attempt.target.id === remoteId && attempt.options.isAnonymous !== true) this.#succeed(attempt, session, now);
    }
  }

  /** Fails all attempts, and those that come. */
  close(code: ErrorCode, now: Instant): void {
    this.#closedWith = code;
    for (const attempt of [...this.#attempts.values()]) {
      this.#fail(attempt, { code, detail: "The node is closed" }, now);
    }
  }

  #begin(id: DialId, target: ConnectTarget, options: ConnectCommandOptions, deadline: Instant, now: Instant): void {
    const via = options.via ?? "auto";
    const mayDirect = via !== "relay" && target.addresses.length > 0;
    const mayCircuit = via !== "direct" && this.#canReach(target);
    if (!mayDirect && !mayCircuit) {
      this.#emitFailed(id, unreachable(target, via));
      return;
    }
    const attempt: Attempt = {
      id,
      target,
      options,
      deadline,
      direct: undefined,
      directFailure: undefined,
      circuit: undefined,
      circuitFailure: undefined,
      circuitAt: mayCircuit ? now + this.#options.limits.directHeadStartMs : NEVER,
    };
    this.#attempts.set(id, attempt);
    if (mayDirect) {
      attempt.direct = this.#options.endpoint.dial(
        target.id === undefined ? { addresses: target.addresses } : { id: target.id, addresses: target.addresses },
        dialOptions(options, deadline - now),
        now,
      );
      this.#byDirect.set(attempt.direct, attempt);
    } else {
      this.#startCircuit(attempt, now);
    }
    this.#settle(attempt, now);
  }

  #canReach(target: ConnectTarget): boolean {
    const isNamed = target.id !== undefined || target.name !== undefined;
    return isNamed && this.#options.circuits().canReach(circuitTarget(target));
  }

  #startCircuit(attempt: Attempt, now: Instant): void {
    attempt.circuitAt = NEVER;
    const circuits = this.#options.circuits();
    const options = { ...attempt.options, timeoutMs: attempt.deadline - now };
    attempt.circuit = circuits.connect(circuitTarget(attempt.target), options, now);
    this.#byCircuit.set(attempt.circuit, attempt);
  }

  /** Fails an attempt that has nothing left to try, else arms its timer. */
  #settle(attempt: Attempt, now: Instant): void {
    if (!this.#attempts.has(attempt.id)) return;
    if (attempt.direct === undefined && attempt.circuit === undefined && attempt.circuitAt === NEVER) {
      this.#fail(attempt, this.#failureOf(attempt), now);
    } else {
      this.#timers.set(attempt.id, Math.min(attempt.deadline, attempt.circuitAt));
    }
  }

  /** The most telling failure first, the other one as a detail. */
  #failureOf(attempt: Attempt): Failure {
    const { directFailure: direct, circuitFailure: circuit } = attempt;
    if (direct === undefined || circuit === undefined) return direct ?? circuit ?? { code: "timeout", detail: "" };
    const isDirectTelling = !VAGUE.has(direct.code);
    const first = isDirectTelling ? direct : circuit;
    const other = isDirectTelling ? circuit : direct;
    const way = isDirectTelling ? "over a relay" : "directly";
    const reason = `${way}: ${ERRORS[other.code].message}${other.detail === "" ? "" : ` (${other.detail})`}`;
    return { code: first.code, detail: first.detail === "" ? reason : `${first.detail}; ${reason}` };
  }

  #succeed(attempt: Attempt, session: SessionId, now: Instant): void {
    const { direct } = attempt;
    const { early } = attempt.options;
    if (direct !== undefined) this.#byDirect.delete(direct);
    this.#forget(attempt, now);
    const isOwn = direct !== undefined && early !== undefined;
    const opened = isOwn ? this.#options.adoptEarly(session, direct, early) : undefined;
    this.#emitConnected(attempt.id, session, opened);
  }

  #fail(attempt: Attempt, failure: Failure, now: Instant): void {
    this.#forget(attempt, now);
    this.#emitFailed(attempt.id, failure);
  }

  /** Ends an attempt and what is under way for it. */
  #forget(attempt: Attempt, now: Instant): void {
    this.#attempts.delete(attempt.id);
    this.#timers.set(attempt.id, NEVER);
    if (attempt.direct !== undefined) {
      this.#byDirect.delete(attempt.direct);
      this.#options.endpoint.cancelDial(attempt.direct, now);
    }
    if (attempt.circuit !== undefined) {
      this.#byCircuit.delete(attempt.circuit);
      this.#options.circuits().cancel(attempt.circuit, now);
    }
  }

  #emitConnected(dial: DialId, session: SessionId, early?: EarlyOpened): void {
    this.#options.show(session);
    this.#options.emit({ type: "connected", dial, session, ...(early === undefined ? {} : { early }) });
  }

  #emitFailed(dial: DialId, failure: Failure): void {
    this.#options.emit({ type: "connectFailed", dial, code: failure.code, detail: failure.detail });
  }
}

function unreachable(target: ConnectTarget, via: "auto" | "direct" | "relay"): Failure {
  if (target.id === undefined && target.name === undefined && target.addresses.length === 0) {
    return { code: "unreachable", detail: "The target is empty" };
  }
  if (via === "direct") return { code: "unreachable", detail: "No address of it is known" };
  // A name means nothing without a relay; an id without an address is reached by one alone.
  return via === "relay" || target.name !== undefined
    ? { code: "no_relay", detail: "No relay is known" }
    : { code: "unreachable", detail: "No address of it and no relay is known" };
}

function circuitTarget(target: ConnectTarget): CircuitTarget {
  return { id: target.id, name: target.name, relays: target.relays };
}

/** The header and the first bytes of a stream. */
function beginningOf({ open, bytes, isFinal }: EarlyOpening): DialEarly {
  const { protocol, metadata } = open;
  const header = encodeStreamHeader({ name: protocol.name, versions: protocol.versions, metadata });
  return { bytes: concatBytes(header, bytes), isFinal };
}

function dialOptions(options: ConnectCommandOptions, timeoutMs: number): DialOptions {
  return {
    timeoutMs,
    ...(options.isAnonymous === undefined ? {} : { isAnonymous: options.isAnonymous }),
    ...(options.initMessage === undefined ? {} : { initMessage: options.initMessage }),
    ...(options.early === undefined ? {} : { early: beginningOf(options.early) }),
  };
}
