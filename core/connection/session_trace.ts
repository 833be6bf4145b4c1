/**
 * Tells a sink what a session does. The session reports what happens; what changed besides (round trips, windows,
 * timers, sizes, keys) is found by comparing with what was told last.
 *
 * The invariants to hold: without a sink nothing is computed; the sink is not asked for before somebody proved to hold
 * the keys, so that strangers cannot make an owner write anything; whatever the sink does, the session goes on.
 *
 * @module
 */

import type { ErrorCode } from "../error.ts";
import type { Instant } from "../machine.ts";
import { NEVER } from "../machine.ts";
import type { DatagramRecovery } from "./datagram_recovery.ts";
import type { Path } from "./path.ts";
import type { SentPackage } from "./sent_package.ts";
import type { PathFacts, PathId, Role, SessionSecrets } from "./session_types.ts";
import type {
  TraceCongestionState,
  TraceDropReason,
  TraceEvent,
  TraceMetrics,
  TraceOpener,
  TracePackage,
  TraceSink,
} from "./trace.ts";
import { describeFrames } from "./trace_frames.ts";

const PHASES = 4;

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

/** What was told of a path last. */
interface Told {
  readonly metrics: Mutable<TraceMetrics>;
  state: TraceCongestionState | undefined;
  mtu: number | undefined;
  lossAt: Instant;
  isProbeArmed: boolean;
  probeTimeouts: number;
  /** Recovery ends with an acknowledgement of this number or a later one. RFC 9002 §7.3.2. */
  recoveryEnd: number | undefined;
}

/** What a trace begins with. */
export interface SessionTraceFacts {
  readonly role: Role;
  readonly secrets: Pick<SessionSecrets, "cipher" | "localConnectionId" | "remoteConnectionId">;
  readonly firstPath: PathFacts;
}

/** The trace of one session. */
export class SessionTrace {
  #open: TraceOpener | undefined;
  #sink: TraceSink | undefined;
  /** What happened before the sink was there. */
  readonly #held: TraceEvent[] = [];
  readonly #told = new Map<PathId, Told>();
  readonly #generations = { send: 0, receive: 0 };

  constructor(open: TraceOpener, facts: SessionTraceFacts, now: Instant) {
    this.#open = open;
    const { cipher, localConnectionId, remoteConnectionId } = facts.secrets;
    const { kind, remote } = facts.firstPath;
    const ids = { localConnectionId, remoteConnectionId };
    this.#emit({ at: now, type: "sessionStarted", role: facts.role, cipher, ...ids, kind, remote });
  }

  /** A path is there, or its other end moved. */
  onPathAssigned(path: Path, now: Instant): void {
    const { kind, remote } = path.facts;
    this.#emit({ at: now, type: "pathAssigned", path: path.id, kind, remote });
  }

  onPathValidated(path: Path, now: Instant): void {
    this.#emit({ at: now, type: "pathValidated", path: path.id });
  }

  onPathAbandoned(path: Path, now: Instant): void {
    this.#emit({ at: now, type: "pathAbandoned", path: path.id });
    this.#told.delete(path.id);
  }

  /** A package is about to be counted as sent. */
  onSent(
    path: Path,
    sent: {
      readonly bytes: number;
      readonly plaintext: Uint8Array;
      readonly phase: number;
      readonly isMtuProbe: boolean;
    },
    now: Instant,
  ): void {
    if (!this.#begin()) return;
    this.#noteKey("send", sent.phase, now);
    const { bytes, plaintext, phase, isMtuProbe } = sent;
    const frames = describeFrames(plaintext);
    const content: TracePackage = { number: path.nextPackageNumber, bytes, phase, frames };
    const isProbe = path.isProbeDue;
    this.#emit({ at: now, type: "packageSent", path: path.id, package: content, isMtuProbe, isProbe });
  }

  /** An authentic package came; its frames were not handled yet. */
  onReceived(
    path: Path,
    received: {
      readonly number: number;
      readonly bytes: number;
      readonly plaintext: Uint8Array;
      readonly phase: number;
    },
    now: Instant,
  ): void {
    if (!this.#begin()) return;
    const { number, bytes, plaintext, phase } = received;
    this.#noteKey("receive", phase, now);
    const content: TracePackage = { number, bytes, phase, frames: describeFrames(plaintext) };
    this.#emit({ at: now, type: "packageReceived", path: path.id, package: content });
  }

  onDropped(bytes: number, reason: TraceDropReason, now: Instant): void {
    if (this.#open === undefined) this.#emit({ at: now, type: "packageDropped", bytes, reason });
  }

  onLost(path: Path, sent: SentPackage, cause: "reordering" | "time", now: Instant): void {
    const { packageNumber: number, bytes, isMtuProbe } = sent;
    this.#emit({ at: now, type: "packageLost", path: path.id, number, bytes, isMtuProbe, cause });
  }

  onClosed(code: ErrorCode, applicationCode: number | undefined, isRemote: boolean, now: Instant): void {
    if (this.#open === undefined) this.#emit({ at: now, type: "sessionClosed", code, applicationCode, isRemote });
    this.#open = this.#sink = undefined;
    this.#held.length = 0;
    this.#told.clear();
  }

  /** Tells what changed on a path since the last look. */
  observe(path: Path, now: Instant): void {
    if (this.#sink === undefined) return;
    let told = this.#told.get(path.id);
    if (told === undefined) {
      told = {
        metrics: {},
        state: undefined,
        mtu: undefined,
        lossAt: NEVER,
        isProbeArmed: false,
        probeTimeouts: 0,
        recoveryEnd: undefined,
      };
      this.#told.set(path.id, told);
    }
    if (path.datagrams !== undefined) {
      this.#tellTimers(path, path.datagrams, told, now);
      this.#tellState(path, path.datagrams, told, now);
      this.#tellSize(path, path.datagrams.mtu.packageBytesMax, told, now);
    }
    this.#tellMetrics(path, told, now);
  }

  #tellMetrics(path: Path, told: Told, now: Instant): void {
    const { rtt, datagrams } = path;
    const metrics: Mutable<TraceMetrics> = {};
    const note = (name: keyof TraceMetrics, value: number | undefined): void => {
      if (value === undefined || told.metrics[name] === value) return;
      told.metrics[name] = value;
      metrics[name] = value;
    };
    note("leastRttMs", rtt.leastMs);
    note("smoothedRttMs", rtt.smoothedMs);
    note("latestRttMs", rtt.latestMs);
    note("rttVarianceMs", rtt.varianceMs);
    if (datagrams !== undefined) {
      note("probeTimeouts", datagrams.timeouts);
      note("windowBytes", datagrams.controller.windowBytes);
      note("slowStartThreshold", datagrams.controller.slowStartThreshold);
      note("pacingBytesPerMs", datagrams.controller.pacingBytesPerMs);
      note("bytesInFlight", path.bytesInFlight);
      note("packagesInFlight", path.packagesInFlight);
    }
    if (Object.keys(metrics).length > 0) this.#emit({ at: now, type: "metricsUpdated", path: path.id, metrics });
  }

  #tellState(path: Path, { controller, largestAcked }: DatagramRecovery, told: Told, now: Instant): void {
    const { slowStartThreshold: threshold, windowBytes } = controller;
    const { slowStartThreshold: before = Number.POSITIVE_INFINITY } = told.metrics;
    // Only a loss lowers the window and sets the threshold, maybe to more than after the loss before: the end of the
    // slow start without one sets the threshold alone, and smaller packages the window alone.
    const isReduced = threshold !== before && windowBytes < (told.metrics.windowBytes ?? windowBytes);
    if (isReduced) told.recoveryEnd = path.nextPackageNumber;
    else if (told.recoveryEnd !== undefined && largestAcked >= told.recoveryEnd) told.recoveryEnd = undefined;
    let to: TraceCongestionState = "recovery";
    if (told.recoveryEnd === undefined) to = windowBytes < threshold ? "slowStart" : "congestionAvoidance";
    if (to === told.state) return;
    const { state: from } = told;
    told.state = to;
    this.#emit({ at: now, type: "congestionState", path: path.id, from, to });
  }

  #tellSize(path: Path, to: number, told: Told, now: Instant): void {
    if (to === told.mtu) return;
    const { mtu: from } = told;
    told.mtu = to;
    this.#emit({ at: now, type: "mtuUpdated", path: path.id, from, to });
  }

  /** The probe timer moves with every package: told is when it starts, stops and expires. */
  #tellTimers(path: Path, datagrams: DatagramRecovery, told: Told, now: Instant): void {
    const { lossAt, timeouts } = datagrams;
    if (lossAt !== told.lossAt) {
      const ended = told.lossAt <= now ? "expired" : "cancelled";
      if (lossAt === NEVER) this.#tellTimer(path, "loss", ended, undefined, now);
      else this.#tellTimer(path, "loss", "set", lossAt - now, now);
      told.lossAt = lossAt;
    }
    const isExpired = timeouts > told.probeTimeouts;
    if (isExpired) this.#tellTimer(path, "probe", "expired", undefined, now);
    if (path.hasInFlight !== told.isProbeArmed || isExpired) {
      told.isProbeArmed = path.hasInFlight;
      if (told.isProbeArmed) this.#tellTimer(path, "probe", "set", datagrams.probeAt - now, now);
      else this.#tellTimer(path, "probe", "cancelled", undefined, now);
    }
    told.probeTimeouts = timeouts;
  }

  #tellTimer(
    path: Path,
    timer: "loss" | "probe",
    change: "set" | "expired" | "cancelled",
    inMs: number | undefined,
    now: Instant,
  ): void {
    this.#emit({ at: now, type: "timer", path: path.id, timer, change, inMs });
  }

  /** A package of the phase before may still come late: only the next one is news. */
  #noteKey(direction: "send" | "receive", phase: number, now: Instant): void {
    if (phase !== (this.#generations[direction] + 1) % PHASES) return;
    const generation = ++this.#generations[direction];
    this.#emit({ at: now, type: "keyUpdated", direction, generation });
  }

  /** Asks for the sink, once. Returns whether there is one. */
  #begin(): boolean {
    const open = this.#open;
    if (open === undefined) return this.#sink !== undefined;
    this.#open = undefined;
    try {
      this.#sink = open();
    } catch {
      // A trace is not worth a session.
    }
    for (const event of this.#held.splice(0)) this.#emit(event);
    return this.#sink !== undefined;
  }

  #emit(event: TraceEvent): void {
    if (this.#open !== undefined) {
      this.#held.push(event);
      return;
    }
    try {
      this.#sink?.(event);
    } catch {
      this.#sink = undefined;
    }
  }
}
