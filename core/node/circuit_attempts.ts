/**
 * Attempts to reach a node over relays: one relay after another until the node itself has answered. PROTOCOL §10.6.
 *
 * The invariant to hold: every attempt ends with one `circuitDone`, never inside the call that began it, unless it was
 * cancelled; only the node's own handshake makes it a success.
 *
 * @module
 */

import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { CircuitPipe } from "./circuit_pipe.ts";
import type { DialId, DialOptions, EndpointEvent, SessionId } from "./endpoint_types.ts";
import type { CircuitId, CircuitOutcome, CircuitTarget, ConnectCommandOptions, NodeInternals } from "./node_types.ts";
import type { RelayClient } from "./relay_client.ts";
import { isRelayName } from "./relay_codec.ts";
import type { RelayLink } from "./relay_link.ts";

/** A relay that failed this often in a row is not waited for: the program is told instead. */
const LINK_FAILURES_MAX = 2;

/** How little a failure tells, the least telling last. */
const VAGUENESS: readonly ErrorCode[] = ["not_here", "closed", "no_relay", "timeout"];

interface Failure {
  readonly code: ErrorCode;
  readonly detail: string;
}

interface Attempt {
  readonly id: CircuitId;
  readonly target: CircuitTarget;
  readonly options: ConnectCommandOptions;
  readonly deadline: Instant;
  readonly tried: Set<RelayLink>;
  pipe: CircuitPipe | undefined;
  dial: DialId | undefined;
  failure: Failure | undefined;
  /** When it goes on without being told to: the call that began it has returned by then. */
  wakeAt: Instant;
}

/** What the attempts need around them. */
export interface AttemptsHost {
  readonly internals: NodeInternals;
  readonly relays: RelayClient;
  readonly openCircuit: (
    link: RelayLink,
    target: { readonly id: NodeId } | { readonly name: string },
    now: Instant,
  ) => CircuitPipe | undefined;
  /** Ends a circuit that is not needed. */
  readonly abandon: (pipe: CircuitPipe, now: Instant) => void;
  readonly onConnected: (session: SessionId) => void;
}

/** All attempts under way. */
export class CircuitAttempts {
  readonly #host: AttemptsHost;
  readonly #attempts = new Map<CircuitId, Attempt>();
  readonly #byDial = new Map<DialId, Attempt>();
  #nextId: CircuitId = 1;

  constructor(host: AttemptsHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#attempts.size;
  }

  /** Whether some relay could be asked for a node. */
  canReach(target: CircuitTarget): boolean {
    if (target.relays.some((relay) => relay.addresses.length > 0)) return true;
    for (const link of this.#host.relays.links()) if (link.id !== target.id || target.id === undefined) return true;
    return false;
  }

  connect(target: CircuitTarget, options: ConnectCommandOptions, now: Instant): CircuitId {
    const { config } = this.#host.internals;
    const attempt: Attempt = {
      id: this.#nextId++,
      target,
      options,
      deadline: now + (options.timeoutMs ?? config.limits.connectTimeoutMs),
      tried: new Set(),
      pipe: undefined,
      dial: undefined,
      failure: undefined,
      wakeAt: now,
    };
    this.#attempts.set(attempt.id, attempt);
    for (const relay of target.relays) this.#host.relays.ensure(relay, now);
    return attempt.id;
  }

  /** Gives an attempt up; nothing follows. */
  cancel(id: CircuitId, now: Instant): void {
    const attempt = this.#attempts.get(id);
    if (attempt !== undefined) this.#forget(attempt, now);
  }

  /** A relay can be used now, or no longer, or failed once more. */
  onLinkChanged(now: Instant): void {
    for (const attempt of this.#attempts.values()) if (attempt.pipe === undefined) attempt.wakeAt = now;
  }

  /** Whether a dial was one of these. */
  onDialEvent(event: Extract<EndpointEvent, { type: "connected" | "dialFailed" }>, now: Instant): boolean {
    const attempt = this.#byDial.get(event.dial);
    if (attempt === undefined) return false;
    this.#byDial.delete(event.dial);
    attempt.dial = undefined;
    if (event.type === "connected") {
      attempt.pipe = undefined;
      this.#host.onConnected(event.session);
      this.#finish(attempt, { type: "connected", session: event.session }, now);
    } else this.#onFailure(attempt, { code: event.code, detail: event.detail }, now);
    return true;
  }

  /** A circuit was ended by the relay or behind it. */
  onPipeLost(pipe: CircuitPipe, code: ErrorCode, now: Instant): void {
    for (const attempt of this.#attempts.values()) {
      if (attempt.pipe !== pipe) continue;
      this.#endDial(attempt, now);
      attempt.pipe = undefined;
      this.#onFailure(attempt, failureOfCircuit(code, attempt.target), now);
      return;
    }
  }

  handleTimeout(now: Instant): void {
    for (const attempt of [...this.#attempts.values()]) {
      if (now >= attempt.deadline) {
        this.#fail(attempt, attempt.failure ?? { code: "no_relay", detail: "No relay answered in time" }, now);
      } else if (now >= attempt.wakeAt) this.#advance(attempt, now);
    }
  }

  pollTimeout(): Instant {
    let at = NEVER;
    for (const attempt of this.#attempts.values()) at = Math.min(at, attempt.wakeAt, attempt.deadline);
    return at;
  }

  close(now: Instant): void {
    for (const attempt of [...this.#attempts.values()]) {
      this.#fail(attempt, { code: "closed", detail: "The node is closed" }, now);
    }
  }

  /** Asks the next relay, waits for one, or gives up. */
  #advance(attempt: Attempt, now: Instant): void {
    attempt.wakeAt = NEVER;
    const { target } = attempt;
    const wanted = target.id === undefined ? { name: target.name?.toLowerCase() ?? "" } : { id: target.id };
    if ("name" in wanted && !isRelayName(wanted.name)) {
      this.#fail(attempt, { code: "name_invalid", detail: "" }, now);
      return;
    }
    let isAnyComing = false;
    for (const link of this.#candidates(attempt)) {
      if (attempt.tried.has(link)) continue;
      if (!link.isRegistered) {
        if (isComing(link)) isAnyComing = true;
        else attempt.failure = worse(attempt.failure, failureOf(link));
        continue;
      }
      const pipe = this.#host.openCircuit(link, wanted, now);
      if (pipe === undefined) {
        isAnyComing = true; // Its connection is being made anew, or it takes no more streams just now.
        continue;
      }
      attempt.tried.add(link);
      attempt.pipe = pipe;
      const options = dialOptions(attempt, now);
      const { endpoint } = this.#host.internals;
      attempt.dial = endpoint.dialOnPipe(pipe.pipe, target.id === undefined ? {} : { id: target.id }, options, now);
      this.#byDial.set(attempt.dial, attempt);
      return;
    }
    if (!isAnyComing) this.#fail(attempt, attempt.failure ?? { code: "no_relay", detail: "" }, now);
  }

  /** The target's relays first, then those that this node is registered with. */
  #candidates(attempt: Attempt): Set<RelayLink> {
    const links = [...this.#host.relays.links()].filter(
      (link) => link.id === undefined || link.id !== attempt.target.id,
    );
    const isNamed = (link: RelayLink): boolean =>
      attempt.target.relays.some(
        (relay) =>
          (relay.id !== undefined && relay.id === link.id) ||
          relay.addresses.some((address) => link.target.addresses.includes(address)),
      );
    // A relay that another target brought in has nothing to do with this one.
    return new Set([...links.filter(isNamed), ...links.filter((link) => !link.isTemporary)]);
  }

  #onFailure(attempt: Attempt, failure: Failure, now: Instant): void {
    const { pipe } = attempt;
    attempt.pipe = undefined;
    if (pipe !== undefined) this.#host.abandon(pipe, now);
    attempt.failure = worse(attempt.failure, failure);
    attempt.wakeAt = now;
  }

  #finish(attempt: Attempt, outcome: CircuitOutcome, now: Instant): void {
    this.#attempts.delete(attempt.id);
    this.#host.internals.circuitDone(attempt.id, outcome, now);
  }

  #fail(attempt: Attempt, failure: Failure, now: Instant): void {
    this.#forget(attempt, now);
    this.#host.internals.circuitDone(attempt.id, { type: "failed", ...failure }, now);
  }

  #forget(attempt: Attempt, now: Instant): void {
    this.#attempts.delete(attempt.id);
    this.#endDial(attempt, now);
    const { pipe } = attempt;
    attempt.pipe = undefined;
    if (pipe !== undefined) this.#host.abandon(pipe, now);
  }

  #endDial(attempt: Attempt, now: Instant): void {
    if (attempt.dial === undefined) return;
    this.#byDial.delete(attempt.dial);
    this.#host.internals.endpoint.cancelDial(attempt.dial, now);
    attempt.dial = undefined;
  }
}

/** What the end of a circuit means to the one who wanted a session by it. */
function failureOfCircuit(code: ErrorCode, target: CircuitTarget): Failure {
  if (code === "not_here" && target.id === undefined) return { code: "unknown_name", detail: target.name ?? "" };
  return code === "closed"
    ? { code: "handshake_failed", detail: "The other side closed the circuit" }
    : { code, detail: "" };
}

/** Whether a relay may be there in a moment. */
function isComing(link: RelayLink): boolean {
  return link.state !== "closed" && link.state !== "refused" && link.failures < LINK_FAILURES_MAX;
}

function failureOf(link: RelayLink): Failure {
  const code = link.state === "refused" ? (link.error ?? "no_relay") : "no_relay";
  return { code, detail: link.target.addresses[0] ?? "" };
}

/** The more telling of two failures. */
function worse(known: Failure | undefined, failure: Failure): Failure {
  if (known === undefined) return failure;
  return VAGUENESS.indexOf(failure.code) < VAGUENESS.indexOf(known.code) ? failure : known;
}

function dialOptions(attempt: Attempt, now: Instant): DialOptions {
  const { isAnonymous, initMessage } = attempt.options;
  return {
    timeoutMs: Math.max(1, attempt.deadline - now),
    ...(isAnonymous === undefined ? {} : { isAnonymous }),
    ...(initMessage === undefined ? {} : { initMessage }),
  };
}
