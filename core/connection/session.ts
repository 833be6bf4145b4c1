/**
 * The engine: one session of two nodes over one path or several. It seals and opens packages, carries streams and
 * datagrams, acknowledges, moves what a dead path had in flight to another one, and waits for a new path when none is
 * left. PROTOCOL §4 to §6.
 *
 * The invariant to hold: what was acknowledged to the caller arrives once and in order, or the session ends with a code
 * that says why; there is one way to the end (`#end`) and one terminal event.
 *
 * The four kinds of method: `handle…` takes what happened outside, commands are verbs, `poll…` gives outputs, nouns
 * are reads. After any of the first two: drain `pollTransmit`, then `pollEvent`, then read `pollTimeout`.
 *
 * @module
 */

import type { ErrorCode } from "../error.ts";
import { ERRORS, errorCodeOfWire, ProtocolError } from "../error.ts";
import { LazySet } from "../lazy_collections.ts";
import type { Bytes, Environment, Instant, Machine } from "../machine.ts";
import { NEVER } from "../machine.ts";
import { PACKAGE_BYTES_MAX } from "../wire/package.ts";
import { type ControlFrame, isOfPath, isQueued } from "./control_frames.ts";
import type { DatagramLine, DatagramSendOptions } from "./datagram_line.ts";
import { DatagramQueue } from "./datagram_queue.ts";
import { EventQueue } from "./event_queue.ts";
import type { AckFrame, FrameSink } from "./frame_parser.ts";
import { ACK_AT_ONCE, ACK_ELICITING, parseFrames } from "./frame_parser.ts";
import { CHALLENGE_BYTES } from "./frame_types.ts";
import { IdleBudget } from "./idle_budget.ts";
import { datagramRoom, PackageBuilder } from "./package_builder.ts";
import { PROTECTION_BYTES_MAX, ReceiveProtection, readProtectedHeader, SendProtection } from "./package_protection.ts";
import { ACK, HEADER, READER } from "./package_scratch.ts";
import type { AckSink, Path } from "./path.ts";
import { choosePath, quietestPath, slowestRttMs } from "./path_choice.ts";
import { QuietTime } from "./quiet_time.ts";
import type { SentPackage } from "./sent_package.ts";
import type { CloseOptions, SessionOptions } from "./session_options.ts";
import { SessionPaths } from "./session_paths.ts";
import { sessionStats } from "./session_stats.ts";
import type { SessionTrace } from "./session_trace.ts";
import type {
  PathFacts,
  PathId,
  ReadResult,
  Role,
  SessionConfig,
  SessionEvent,
  SessionInput,
  SessionOutput,
  SessionSecrets,
  SessionStats,
  StreamId,
  TransportParameters,
} from "./session_types.ts";
import { StreamTable } from "./stream_table.ts";
import type { TraceDropReason } from "./trace.ts";

/** A session that the peer closed lets the application read what had arrived for this long. PROTOCOL §6.5. */
const LINGER_MS = 30_000;
const PLAINTEXT_BYTES_MAX: number = PACKAGE_BYTES_MAX - PROTECTION_BYTES_MAX;

/** A session. */
export class Session implements Machine<SessionInput, SessionOutput, SessionEvent>, FrameSink, AckSink {
  readonly role: Role;
  readonly #config: SessionConfig;
  readonly #remote: TransportParameters;
  readonly #env: Environment;
  readonly #cipher: SessionSecrets["cipher"];
  readonly #localConnectionId: number;
  readonly #send: SendProtection;
  readonly #receive: ReceiveProtection;
  readonly #streams: StreamTable;
  readonly #datagrams: DatagramLine;
  readonly #events = new EventQueue<SessionEvent>();
  readonly #paths: SessionPaths;
  readonly #controls: ControlFrame[] = [];
  readonly #builder: PackageBuilder;

  readonly #resumeWindowMs: number;
  /** `closing`: our CLOSE is to be sent. `lingering`: the peer's CLOSE came, what arrived before is still read. */
  #state: "open" | "closing" | "lingering" | "closed" = "open";
  /** Set while a package is handled: frames come in by it. */
  #current: Path | undefined;
  #now: Instant;
  readonly #quiet: QuietTime;
  readonly #trace: SessionTrace | undefined;
  #suspendedAt: Instant = NEVER;
  #resumeBy: Instant = NEVER;
  #nextPingToken = 1;
  readonly #idleBudget: IdleBudget;
  #closing: CloseOptions | undefined;
  #lingerUntil: Instant = NEVER;
  /** Paths that still have to carry the CLOSE frame. */
  readonly #closeOn = new LazySet<Path>();
  #packagesRejected = 0;

  constructor(options: SessionOptions, env: Environment, now: Instant) {
    this.role = options.role;
    this.#config = options.config;
    this.#remote = options.remote;
    this.#env = env;
    this.#now = now;
    const { cipher, sendKey, receiveKey, localConnectionId, remoteConnectionId } = options.secrets;
    this.#cipher = cipher;
    this.#localConnectionId = localConnectionId;
    this.#send = new SendProtection(
      { crypto: env.crypto, cipher, key: sendKey, connectionId: remoteConnectionId, limits: options.config },
      now,
    );
    this.#receive = new ReceiveProtection({ crypto: env.crypto, cipher, key: receiveKey });
    this.#streams = new StreamTable({
      role: options.role,
      config: options.config,
      remote: options.remote,
      emit: (event) => this.#events.push(event),
      control: (frame) => this.#queueControl(frame),
      now: () => this.#now,
      rttMs: () => slowestRttMs(this.#paths.byId.values()),
    });
    const { datagramRepair, datagramsMax, pathPolicy } = options.config;
    const { datagramGroupMax: groupMax } = options.remote;
    this.#datagrams =
      datagramRepair?.({ datagramsMax, groupMax, isRedundant: pathPolicy === "redundant" }) ??
      new DatagramQueue(datagramsMax);
    this.#builder = new PackageBuilder({
      streams: this.#streams,
      datagrams: this.#datagrams,
      send: this.#send,
      scratch: options.scratch ?? new Uint8Array(PLAINTEXT_BYTES_MAX),
    });
    this.#resumeWindowMs = Math.min(options.config.resumeWindowMs, options.remote.resumeWindowMs);
    const idleTimeoutMs = Math.min(options.config.idleTimeoutMs, options.remote.idleTimeoutMs);
    this.#quiet = new QuietTime({ keepAliveMs: options.config.keepAliveMs, idleTimeoutMs }, now);
    this.#idleBudget = new IdleBudget(now);
    this.#trace = options.trace?.(options, now);
    this.#paths = new SessionPaths(options, this.#trace);
    this.#paths.add(0, options.firstPath, "active", now);
  }

  handleInput(input: SessionInput, now: Instant): void {
    this.handlePackage(input, now);
  }

  /**
   * Takes a package and tells the path that it belongs to: a known one, or one that it opened. `undefined` when it was
   * not authentic, a replay, or not allowed; its pipe deserves no further trust then.
   */
  handlePackage(input: SessionInput, now: Instant): PathId | undefined {
    if (this.#state !== "open") return undefined;
    const header = HEADER;
    if (!readProtectedHeader(input.package, header) || header.connectionId !== this.#localConnectionId) {
      return this.#reject(input, "invalid", now);
    }
    let path = this.#paths.byId.get(header.path);
    const { packageNumber, phase } = header;
    if (path === undefined ? !this.#paths.numbers.mayPeerOpen(header.path) : path.isDuplicate(packageNumber)) {
      return this.#reject(input, path === undefined ? "pathRefused" : "duplicate", now);
    }
    const plaintext = this.#receive.open(input.package, header);
    if (plaintext === undefined) return this.#reject(input, "notAuthentic", now);
    this.#now = this.#quiet.lastActivityAt = now;
    // THREATS t-C20: state for a path is made only after its first package proved authentic.
    path ??= this.#acceptPath(header.path, input.facts, now);
    this.#current = path;
    const bytes = input.package.end - input.package.start;
    this.#trace?.onReceived(path, { number: packageNumber, bytes, plaintext, phase }, now);
    try {
      READER.reset(plaintext);
      const flags = parseFrames(READER, this, this.#streams, ACK);
      path.onReceived(packageNumber, bytes, (flags & ACK_ELICITING) !== 0, (flags & ACK_AT_ONCE) !== 0, now);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close({ code: error.code, reason: error.message }, now);
    } finally {
      this.#current = undefined;
    }
    this.#trace?.observe(path, now);
    return path.id;
  }

  handleTimeout(now: Instant): void {
    if (this.#state === "lingering" && now >= this.#lingerUntil) this.#end(this.#closing as CloseOptions, true);
    if (this.#state !== "open") return;
    this.#now = now;
    if (now >= this.#resumeBy) {
      this.#end({ code: this.#resumeWindowMs === 0 ? "truncated" : "resume_timeout" }, false);
      return;
    }
    if (now >= this.#quiet.endsAt(this.#suspendedAt !== NEVER)) {
      this.close({ code: "idle_timeout" }, now);
      return;
    }
    this.#datagrams.handleTimeout(now);
    for (const path of [...this.#paths.byId.values()]) {
      if (now >= path.awaitingSince + this.#config.pathTimeoutMs) {
        this.#dropPath(path, "idle_timeout", now);
        continue;
      }
      if (now >= this.#quiet.pingAt(path)) path.controls.push({ type: "ping", token: 0 });
      path.onTimeout(this, now);
      // What a silent path holds must not wait for its end when there is another way.
      if (path.isDoubted && this.#paths.best?.isDoubted === false) path.requeueInFlight(this);
      this.#trace?.observe(path, now);
    }
  }

  /** The pipe of a path is gone: what it had in flight moves to another path, or waits for one. */
  closePath(id: PathId, now: Instant): void {
    const path = this.#paths.byId.get(id);
    if (path === undefined) return;
    this.#now = now;
    this.#removePath(path, now);
  }

  /** The other end of a path of datagrams has another address now: it must prove that it is there. RFC 9000 §9. */
  movePath(id: PathId, facts: PathFacts, now: Instant): void {
    const path = this.#paths.byId.get(id);
    if (path === undefined) return;
    path.facts = facts;
    path.datagrams?.reset(now);
    this.#trace?.onPathAssigned(path, now);
    this.#challenge(path);
  }

  /** Back-pressure: nothing is polled for a path that cannot take it. */
  setPathWritable(id: PathId, isWritable: boolean): void {
    const path = this.#paths.byId.get(id);
    if (path !== undefined) path.isWritable = isWritable;
  }

  // Commands.

  /** Attaches a fresh pipe as a new path, or returns `undefined` when there are enough or the session ended. */
  openPath(facts: PathFacts, now: Instant): PathId | undefined {
    if (this.#state !== "open" || this.#paths.isFull) return undefined;
    const id = this.#paths.numbers.take();
    this.#challenge(this.#paths.add(id, facts, "opening", now));
    return id;
  }

  /** Opens a stream, or returns `undefined` when the peer allows no more: `streamsAvailable` follows. */
  openStream(options: { readonly isUnidirectional?: boolean; readonly priority?: number } = {}): StreamId | undefined {
    if (this.#state !== "open") return undefined;
    return this.#streams.open(options.isUnidirectional ?? false, options.priority ?? 0);
  }

  /** The streams, for what early data does to them before the first package. PROTOCOL §3.14. */
  get earlyStreams(): StreamTable {
    return this.#streams;
  }

  /** Copies a prefix of `bytes` and returns its length; less than given means `writable` follows. */
  write(stream: StreamId, bytes: Uint8Array): number {
    return this.#state === "open" ? this.#streams.write(stream, bytes) : 0;
  }

  /** Bytes that `write` takes now. */
  writeRoom(stream: StreamId): number {
    return this.#state === "open" ? this.#streams.writeRoom(stream) : 0;
  }

  /** Asks for a `writable` event when there is room again. */
  awaitRoom(stream: StreamId): void {
    this.#streams.awaitRoom(stream);
  }

  /** Ends the sending half after what was written; `delivered` follows. */
  finish(stream: StreamId): void {
    if (this.#state === "open") this.#streams.finish(stream);
  }

  /** Gives the sending half up: what is not acknowledged is dropped. */
  reset(stream: StreamId, applicationCode: number): void {
    if (this.#state === "open") this.#streams.reset(stream, applicationCode);
  }

  /** Reads no more and tells the peer. */
  stop(stream: StreamId, applicationCode: number): void {
    if (this.#state === "open" || this.#state === "lingering") this.#streams.stop(stream, applicationCode);
    if (this.#state === "lingering" && !this.#streams.hasUnread) this.#end(this.#closing as CloseOptions, true);
  }

  /** What arrived next on a stream; the caller owns the bytes. Reading grants the peer new credit. */
  read(stream: StreamId): ReadResult {
    const result = this.#streams.read(stream);
    if (this.#state === "lingering" && !this.#streams.hasUnread) this.#end(this.#closing as CloseOptions, true);
    return result;
  }

  /** Streams with a higher priority go first. */
  setPriority(stream: StreamId, priority: number): void {
    this.#streams.setPriority(stream, priority);
  }

  /** Queues a datagram; `false` when it is too large or the session ended. The oldest is dropped when too many wait. */
  sendDatagram(bytes: Uint8Array, options: DatagramSendOptions, now: Instant): boolean {
    const room = this.datagramBytesMax - bytes.length;
    return this.#state === "open" && room >= 0 && this.#datagrams.push(bytes.slice(), options, room, now);
  }

  /** Asks the peer for a sign of life; `pong` with the returned token follows. */
  ping(now: Instant): number {
    this.#now = now;
    const token = this.#nextPingToken++;
    this.#queueControl({ type: "ping", token });
    return token;
  }

  /** Whether PINGs keep an unused session alive. */
  setKeepAlive(isKeepingAlive: boolean, now: Instant): void {
    this.#quiet.setKeepAlive(isKeepingAlive, now);
  }

  /** Ends the session and tells the peer on every path. What is not delivered is dropped. */
  close(options: CloseOptions, now: Instant): void {
    if (this.#state !== "open") return;
    this.#now = now;
    this.#state = "closing";
    this.#closing = options;
    for (const path of this.#paths.byId.values()) if (path.state === "active") this.#closeOn.add(path);
    if (this.#closeOn.size === 0) this.#end(options, false);
  }

  /** Ends the session without a word to the peer. */
  drop(code: ErrorCode, now: Instant): void {
    if (this.#state === "closed") return;
    this.#now = now;
    this.#end({ code }, false);
  }

  // Outputs.

  pollTransmit(now: Instant): SessionOutput | undefined {
    this.#now = now;
    if (this.#state === "closing") return this.#pollClose(now);
    if (this.#state !== "open") return undefined;
    for (const path of this.#paths.byId.values()) path.hasRoom = path.recovery.canSend(path.bytesInFlight, now);
    const { pathPolicy } = this.#config;
    const unsent = pathPolicy === "aggregate" && this.#paths.byId.size > 1 ? this.#streams.unsentBytes : 0;
    const best = choosePath(this.#paths.byId.values(), pathPolicy, unsent);
    // Before the next package: a builder remembers the last one alone.
    const other = pathPolicy === "redundant" && this.#builder.hasRepeatable ? this.#paths.besides(best) : undefined;
    const copy = other && this.#builder.repeat(other, now);
    if (other !== undefined && copy !== undefined) return { path: other.id, bytes: copy };
    for (const path of this.#paths.byId.values()) {
      if (!path.isWritable) continue;
      const isBest = path === best;
      const mayAsk = path.hasRoom && (isBest || path.controls.length > 0 || path.isProbeDue);
      if (!mayAsk && now < path.ackDueAt) continue;
      const bytes = mayAsk
        ? this.#builder.build(path, isBest ? this.#controls : undefined, now)
        : this.#builder.buildAck(path, now);
      if (bytes === undefined) continue;
      this.#quiet.lastActivityAt = now;
      return { path: path.id, bytes };
    }
    return undefined;
  }

  pollEvent(): SessionEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Instant {
    if (this.#state === "lingering") return this.#lingerUntil;
    if (this.#state !== "open") return NEVER;
    const endsAt = this.#quiet.endsAt(this.#suspendedAt !== NEVER);
    let at = Math.min(this.#resumeBy, endsAt, this.#datagrams.pollTimeout());
    for (const path of this.#paths.byId.values()) {
      // What cannot leave must not wake anybody up: the pipe tells when it takes more.
      if (path.isWritable) at = Math.min(at, path.ackDueAt);
      at = Math.min(at, path.awaitingSince + this.#config.pathTimeoutMs, this.#quiet.pingAt(path));
      if (path.isWritable) at = Math.min(at, path.pollTimeout());
    }
    return at;
  }

  // Reads.

  /** Whether a path is there. */
  get isActive(): boolean {
    return this.#state === "open" && this.#suspendedAt === NEVER;
  }

  get isClosed(): boolean {
    return this.#state !== "open";
  }

  get paths(): PathId[] {
    return [...this.#paths.byId.keys()];
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Bytes of the largest datagram that the peer takes and the path in use carries. */
  get datagramBytesMax(): number {
    const pathBytes = this.#paths.best?.recovery.packageBytesMax ?? PACKAGE_BYTES_MAX;
    return Math.min(this.#remote.datagramBytesMax, datagramRoom(pathBytes));
  }

  /** A path, for reads of whoever carries it. */
  path(id: PathId): Path | undefined {
    return this.#paths.byId.get(id);
  }

  stats(): SessionStats {
    return sessionStats({
      cipher: this.#cipher,
      paths: [...this.#paths.byId.values()].map((path) => path.stats()),
      gone: this.#paths.gone,
      streams: this.#streams,
      datagrams: this.#datagrams,
      rekeys: this.#send.rekeys,
      packagesRejected: this.#packagesRejected,
    });
  }

  // Frames of the package being handled. Called by the parser only.

  onAckFrame(ack: AckFrame): void {
    const path = this.#paths.byId.get(ack.path);
    if (path === undefined) return; // A path that is gone: its frames are sent again anyway.
    // Datagrams overtake each other: an older acknowledgement that comes later is no offence.
    if (!path.onAck(ack, this, this.#now) && path.datagrams === undefined) this.onIdleFrame();
  }

  onPackageAcked(sent: SentPackage, path: Path, now: Instant): void {
    this.#send.onAcked(sent.phase);
    for (const part of sent.parts) this.#streams.onPartAcked(part);
    for (const frame of sent.controls) {
      if (frame.type !== "ping") this.#streams.onControlAcked(frame);
      else if (frame.token > 0) {
        this.#events.push({ type: "pong", token: frame.token, rttMs: now - sent.sentAt, path: path.id });
      }
    }
  }

  onPackageLost(sent: SentPackage, path: Path): void {
    for (const part of sent.parts) this.#streams.onPartLost(part);
    for (const frame of sent.controls) {
      if (isOfPath(frame)) path.requeueControl(frame);
      else if (this.#streams.isStillDue(frame) && !isQueued(frame, this.#controls)) this.#queueControl(frame);
    }
  }

  onPathChallengeFrame(data: Uint8Array): void {
    const path = this.#current as Path;
    // RFC 9000 §8.2.2: the response goes back on the path that the challenge came by.
    if (path.controls.length < 8) path.controls.push({ type: "pathResponse", data: data.slice() });
  }

  onPathResponseFrame(data: Uint8Array): void {
    const path = this.#current as Path;
    if (!path.settleChallenge(data)) this.onIdleFrame();
    else if (path.state === "opening") this.#activate(path);
  }

  onPathAbandonFrame(id: number): void {
    const path = this.#paths.byId.get(id);
    if (path === undefined || path === this.#current) this.onIdleFrame();
    else this.#dropPath(path, "closed", this.#now);
  }

  onDatagramFrame(type: number, bytes: Bytes): void {
    if (bytes.length > this.#config.datagramBytesMax) {
      throw new ProtocolError("protocol_violation", "A datagram is larger than allowed");
    }
    for (const datagram of this.#datagrams.receive(type, bytes, this.#now)) {
      this.#events.push({ type: "datagram", bytes: datagram });
    }
  }

  onCloseFrame(wireCode: number, applicationCode: number | undefined, reason: string): void {
    const code = errorCodeOfWire(wireCode);
    this.#closing = { code, reason, ...(applicationCode === undefined ? {} : { applicationCode }) };
    if (!this.#streams.hasUnread) {
      this.#end(this.#closing, true);
      return;
    }
    this.#trace?.onClosed(code, applicationCode, true, this.#now);
    // What the peer was told to have arrived must reach the application although the session is over.
    this.#state = "lingering";
    this.#lingerUntil = this.#now + LINGER_MS;
    this.#paths.byId.clear();
    this.#controls.length = 0;
  }

  onIdleFrame(): void {
    this.#idleBudget.spend(this.#now);
  }

  #pollClose(now: Instant): SessionOutput | undefined {
    for (const path of this.#closeOn) {
      this.#closeOn.delete(path);
      const { code, applicationCode, reason = "" } = this.#closing as CloseOptions;
      const bytes = this.#builder.buildClose(path, { wireCode: ERRORS[code].wire, applicationCode, reason }, now);
      if (this.#closeOn.size === 0) this.#end(this.#closing as CloseOptions, false);
      return { path: path.id, bytes };
    }
    return undefined;
  }

  #challenge(path: Path): void {
    const data = new Uint8Array(CHALLENGE_BYTES);
    this.#env.random(data);
    path.startChallenge(data);
  }

  #acceptPath(id: PathId, facts: PathFacts, now: Instant): Path {
    this.#paths.numbers.onPeerOpened(id);
    // A peer that roams leaves paths behind that are dead without our knowing: the one silent for longest goes.
    while (this.#paths.isFull) this.#dropPath(quietestPath(this.#paths.byId.values()) as Path, "limit", now);
    const path = this.#paths.add(id, facts, "active", now);
    this.#activate(path);
    return path;
  }

  #activate(path: Path): void {
    path.state = "active";
    this.#trace?.onPathValidated(path, this.#now);
    this.#events.push({ type: "pathUp", path: path.id });
    if (this.#suspendedAt === NEVER) return;
    this.#suspendedAt = this.#resumeBy = NEVER;
    this.#events.push({ type: "resumed" });
  }

  /** Ends a path by our own decision: the peer is told on another one. */
  #dropPath(path: Path, code: ErrorCode, now: Instant): void {
    this.#events.push({ type: "pathDown", path: path.id, code });
    this.#removePath(path, now);
  }

  #removePath(path: Path, now: Instant): void {
    this.#paths.remove(path);
    this.#trace?.onPathAbandoned(path, now);
    this.#closeOn.delete(path);
    if (this.#state === "closing") {
      if (this.#closeOn.size === 0) this.#end(this.#closing as CloseOptions, false);
      return;
    }
    for (const sent of path.takeInFlight()) this.onPackageLost(sent, path);
    // The peer may not have noticed yet: it must not wait for its own timeout. draft-ietf-quic-multipath.
    this.#queueControl({ type: "pathAbandon", path: path.id });
    if (this.#suspendedAt !== NEVER || this.#paths.hasActive) return;
    this.#suspendedAt = now;
    this.#resumeBy = now + this.#resumeWindowMs;
    this.#events.push({ type: "suspended" });
  }

  #queueControl(frame: ControlFrame): void {
    if (this.#state !== "open") return;
    this.#controls.push(frame);
    // THREATS t-C8. Reached only by a peer that lets us answer and takes no answer.
    if (this.#controls.length > this.#config.controlFramesMax) {
      this.close({ code: "protocol_violation", reason: "Too many control frames wait" }, this.#now);
    }
  }

  #reject(input: SessionInput, reason: TraceDropReason, now: Instant): undefined {
    this.#packagesRejected++;
    this.#trace?.onDropped(input.package.end - input.package.start, reason, now);
    return undefined;
  }

  #end(options: CloseOptions, isRemote: boolean): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#trace?.onClosed(options.code, options.applicationCode, isRemote, this.#now);
    this.#paths.byId.clear();
    this.#closeOn.clear();
    this.#controls.length = 0;
    this.#streams.clear();
    this.#datagrams.clear();
    this.#send.destroy();
    this.#receive.destroy();
    this.#resumeBy = this.#suspendedAt = NEVER;
    this.#events.push({
      type: "closed",
      code: options.code,
      applicationCode: options.applicationCode,
      reason: options.reason ?? "",
      isRemote,
    });
  }
}
