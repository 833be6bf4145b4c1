/**
 * The endpoint: pipes in, sessions out. It shakes hands, demultiplexes packages by connection id, dials, brings
 * sessions back to a path after the death of the last one, and keeps the limits that hold before anybody is trusted.
 * PROTOCOL §3 and §6.
 *
 * The invariant to hold: two nodes have one session; every dial ends with one event; nothing a stranger sends costs
 * more than its pipe.
 *
 * @module
 */

import { DEFAULT_SESSION_CONFIG } from "../connection/session_defaults.ts";
import { connectionIdOf } from "../connection/package_protection.ts";
import type { PathId, ReadResult, SessionEvent, StreamId } from "../connection/session_types.ts";
import { EventQueue } from "../connection/event_queue.ts";
import type { CloseOptions } from "../connection/session.ts";
import { Session } from "../connection/session.ts";
import { equalBytes } from "../crypto/constant_time.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { NodeId } from "../crypto/identity.ts";
import { decodeNodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { ERRORS, errorCodeOfWire } from "../error.ts";
import type { Bytes, Environment, Instant, Machine } from "../machine.ts";
import type { Package } from "../wire/package.ts";
import { CLEAR_VERSION, encodeClearPackage, PACKAGE_BYTES_MAX, PROTECTED_VERSION } from "../wire/package.ts";
import type { ClearMessage } from "./clear_messages.ts";
import { decodeClearMessage, encodeClearMessage, PATTERN_NUMBERS } from "./clear_messages.ts";
import { Dial } from "./dial.ts";
import type {
  DialId,
  DialOptions,
  DialTarget,
  EndpointConfig,
  EndpointEvent,
  EndpointInput,
  EndpointOutput,
  PipeId,
  SessionId,
} from "./endpoint_types.ts";
import type { HandshakeContext, HandshakeResult } from "./handshake.ts";
import { Handshake, patternOfNumber, resetTokenOf } from "./handshake.ts";
import { INIT_MESSAGE_BYTES_MAX, INSTANCE_BYTES } from "./handshake_payload.ts";
import type { PipeState } from "./pipe_table.ts";
import { PipeTable } from "./pipe_table.ts";
import type { SessionEntry } from "./session_entry.ts";
import { Resume } from "./session_entry.ts";
import { TimerHeap } from "./timer_heap.ts";

/** Two sessions this close in time were dialled by both sides at once. PROTOCOL §3.6. */
const SIMULTANEOUS_MS = 10_000;

type HandshakeMessage = Extract<ClearMessage, { type: "handshake" }>;

/** An endpoint. */
export class Endpoint implements Machine<EndpointInput, EndpointOutput, EndpointEvent> {
  readonly #config: EndpointConfig;
  readonly #env: Environment;
  readonly #context: HandshakeContext;
  readonly #pipes: PipeTable;
  readonly #sessions = new Map<SessionId, SessionEntry>();
  readonly #byConnectionId = new Map<number, SessionEntry>();
  readonly #byRemoteId = new Map<NodeId, SessionEntry>();
  readonly #dials = new Map<DialId, Dial>();
  /** Pipes under way for a session that lost its path. */
  readonly #resuming = new Map<PipeId, SessionEntry>();
  readonly #banned = new Set<NodeId>();
  readonly #outputs = new EventQueue<EndpointOutput>();
  readonly #events = new EventQueue<EndpointEvent>();
  /** Sessions that may have something to send, in turn. */
  readonly #dirty = new Set<SessionEntry>();
  readonly #timers = new TimerHeap();
  readonly #scratch = new Uint8Array(PACKAGE_BYTES_MAX);
  readonly #dropped: Record<string, number> = {};
  #nextSession: SessionId = 1;
  #nextDial: DialId = 1;
  #resetsLeft: number;
  #resetsSince: Instant;

  constructor(config: EndpointConfig, env: Environment, now: Instant) {
    this.#config = { ...config, session: { ...DEFAULT_SESSION_CONFIG, ...config.session } };
    this.#env = env;
    const instance = new Uint8Array(INSTANCE_BYTES);
    env.random(instance);
    this.#context = {
      identity: config.identity,
      session: this.#config.session,
      instance,
      // From the identity, so that a restarted node can still tell that it forgot. RFC 9000 §10.3.2.
      resetKey: deriveKey(env.crypto, config.identity.seed, "stateless reset"),
      env,
    };
    this.#pipes = new PipeTable(config.limits, env);
    this.#resetsLeft = config.limits.resetsPerSecondMax;
    this.#resetsSince = now;
  }

  // What happened outside.

  handleInput(input: EndpointInput, now: Instant): void {
    switch (input.type) {
      case "pipeOpened":
        this.#onPipeOpened(input, now);
        return;
      case "pipeFailed":
        this.#onPipeFailed(input.pipe, input.code, input.detail, now);
        return;
      case "pipeClosed":
        this.#onPipeClosed(input.pipe, now);
        return;
      case "pipeData":
        this.#onPipeData(input.pipe, input.bytes, now);
        return;
      default:
        this.#onPipeWritable(input.pipe, input.type === "pipeWritable");
    }
  }

  handleTimeout(now: Instant): void {
    for (const pipe of this.#pipes.takeOverdue(now)) this.#failPipe(pipe, "handshake_timeout", "", now);
    for (const dial of [...this.#dials.values()]) {
      if (now >= dial.deadline) this.#failDial(dial, "timeout", now);
      else this.#advanceDial(dial, now);
    }
    for (;;) {
      const key = this.#timers.takeDue(now);
      if (key === undefined) return;
      const entry = this.#sessions.get(key);
      if (entry === undefined) continue;
      entry.session.handleTimeout(now);
      if (now >= entry.resume.at) this.#continueResume(entry, now);
      this.#touch(entry, now);
    }
  }

  // Commands about pipes and sessions.

  /** Numbers a pipe that was accepted, or one that the owner feeds itself. */
  allocatePipe(): PipeId {
    return this.#pipes.allocate();
  }

  /** Dials a node; `connected` or `dialFailed` follows. */
  dial(target: DialTarget, options: DialOptions, now: Instant): DialId {
    const dial = this.#newDial(target.id, target.addresses, options, now);
    if (dial !== undefined) this.#advanceDial(dial, now);
    return this.#nextDial - 1;
  }

  /** Shakes hands over a pipe that is open already, such as a circuit. */
  dialOnPipe(pipe: PipeId, target: { readonly id?: NodeId }, options: DialOptions, now: Instant): DialId {
    const dial = this.#newDial(target.id, [], options, now);
    if (dial !== undefined) {
      const state = this.#pipes.get(pipe);
      dial.pipes.set(pipe, state?.facts.remote ?? "");
      if (state === undefined) this.#onPipeFailed(pipe, "dial_failed", "The pipe is gone", now);
      else this.#beginHandshake(state, dial, now);
    }
    return this.#nextDial - 1;
  }

  /** Gives a dial up; nothing follows. */
  cancelDial(id: DialId, _now: Instant): void {
    const dial = this.#dials.get(id);
    if (dial !== undefined) this.#endDial(dial, undefined);
  }

  /** Makes an open pipe a path of a session. */
  attachOnPipe(session: SessionId, pipe: PipeId, now: Instant): boolean {
    const entry = this.#sessions.get(session);
    const state = this.#pipes.get(pipe);
    const path = state === undefined ? undefined : entry?.session.openPath(state.facts, now);
    if (entry === undefined || state === undefined || path === undefined) {
      if (state !== undefined) this.#dropPipe(state, "destroy");
      return false;
    }
    this.#bind(state, entry, path);
    this.#touch(entry, now);
    return true;
  }

  /** Ends a session and tells the peer; its `closed` event follows. */
  closeSession(session: SessionId, options: CloseOptions, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.close(options, now));
  }

  /** Refuses a node from now on and ends its session. */
  ban(id: NodeId, now: Instant): void {
    this.#banned.add(id);
    const entry = this.#byRemoteId.get(id);
    if (entry !== undefined) this.closeSession(entry.id, { code: "banned" }, now);
  }

  unban(id: NodeId): void {
    this.#banned.delete(id);
  }

  isBanned(id: NodeId): boolean {
    return this.#banned.has(id);
  }

  // Commands of a session, passed through.

  openStream(
    session: SessionId,
    options: { readonly isUnidirectional?: boolean; readonly priority?: number },
    now: Instant,
  ): StreamId | undefined {
    return this.#withSession(session, now, (engine) => engine.openStream(options));
  }

  write(session: SessionId, stream: StreamId, bytes: Uint8Array, _now: Instant): number {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return 0;
    this.#dirty.add(entry);
    return entry.session.write(stream, bytes);
  }

  writeRoom(session: SessionId, stream: StreamId): number {
    return this.#sessions.get(session)?.session.writeRoom(stream) ?? 0;
  }

  awaitRoom(session: SessionId, stream: StreamId): void {
    this.#sessions.get(session)?.session.awaitRoom(stream);
  }

  read(session: SessionId, stream: StreamId): ReadResult {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return undefined;
    this.#dirty.add(entry);
    return entry.session.read(stream);
  }

  finish(session: SessionId, stream: StreamId, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.finish(stream));
  }

  reset(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.reset(stream, applicationCode));
  }

  stop(session: SessionId, stream: StreamId, applicationCode: number, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.stop(stream, applicationCode));
  }

  setPriority(session: SessionId, stream: StreamId, priority: number): void {
    this.#sessions.get(session)?.session.setPriority(stream, priority);
  }

  sendDatagram(session: SessionId, bytes: Uint8Array, now: Instant): boolean {
    return this.#withSession(session, now, (engine) => engine.sendDatagram(bytes)) ?? false;
  }

  ping(session: SessionId, now: Instant): number {
    return this.#withSession(session, now, (engine) => engine.ping(now)) ?? 0;
  }

  setKeepAlive(session: SessionId, isKeepingAlive: boolean, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.setKeepAlive(isKeepingAlive, now));
  }

  // Outputs.

  pollTransmit(now: Instant): EndpointOutput | undefined {
    for (;;) {
      const output = this.#outputs.shift();
      if (output !== undefined) return output;
      const entry = this.#dirty.values().next().value;
      if (entry === undefined) return undefined;
      this.#dirty.delete(entry);
      const sent = entry.session.pollTransmit(now);
      if (sent === undefined) {
        this.#settle(entry, now);
        continue;
      }
      this.#dirty.add(entry); // Behind the others: sessions take turns.
      const pipe = entry.pipes.get(sent.path);
      if (pipe !== undefined) return { type: "send", pipe, bytes: sent.bytes };
    }
  }

  pollEvent(): EndpointEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Instant {
    let at = Math.min(this.#timers.earliest, this.#pipes.pollTimeout());
    for (const dial of this.#dials.values()) at = Math.min(at, dial.pollTimeout());
    return at;
  }

  // Reads.

  session(id: SessionId): Session | undefined {
    return this.#sessions.get(id)?.session;
  }

  sessionOf(id: NodeId): SessionId | undefined {
    return this.#byRemoteId.get(id)?.id;
  }

  remoteIdOf(session: SessionId): NodeId | undefined {
    return this.#sessions.get(session)?.remoteId;
  }

  isInitiatorOf(session: SessionId): boolean {
    return this.#sessions.get(session)?.isInitiator ?? false;
  }

  sessions(): IterableIterator<SessionId> {
    return this.#sessions.keys();
  }

  /** The session that a pipe carries. */
  sessionOfPipe(pipe: PipeId): SessionId | undefined {
    return this.#pipes.get(pipe)?.session;
  }

  stats(): {
    readonly sessions: number;
    readonly pipes: number;
    readonly handshakes: number;
    readonly dials: number;
    readonly dropped: Readonly<Record<string, number>>;
  } {
    return {
      sessions: this.#sessions.size,
      pipes: this.#pipes.size,
      handshakes: this.#pipes.unprovenCount,
      dials: this.#dials.size,
      dropped: { ...this.#dropped },
    };
  }

  // Pipes.

  #onPipeOpened(input: Extract<EndpointInput, { type: "pipeOpened" }>, now: Instant): void {
    const resuming = this.#resuming.get(input.pipe);
    const dial = this.#dialOfPipe(input.pipe);
    if (input.isDialled && resuming === undefined && dial === undefined) {
      this.#outputs.push({ type: "destroy", pipe: input.pipe }); // Given up meanwhile.
      return;
    }
    const pipe = this.#pipes.open({ ...input, id: input.pipe }, now);
    if (pipe === undefined) {
      this.#drop("pipes");
      this.#outputs.push({ type: "destroy", pipe: input.pipe });
      if (input.isDialled) this.#onPipeFailed(input.pipe, "limit", "Too many pipes are open", now);
    } else if (resuming !== undefined) this.attachOnPipe(resuming.id, pipe.id, now);
    else if (dial !== undefined) this.#beginHandshake(pipe, dial, now);
  }

  #onPipeFailed(id: PipeId, code: ErrorCode, detail: string, now: Instant): void {
    const entry = this.#resuming.get(id);
    if (entry !== undefined) {
      this.#resuming.delete(id);
      entry.resume.onFailure(this.#env.jitter(), now);
      this.#touch(entry, now);
    }
    const dial = this.#dialOfPipe(id);
    if (dial === undefined) return;
    dial.onFailure(id, code, detail, now);
    this.#advanceDial(dial, now);
  }

  #onPipeClosed(id: PipeId, now: Instant): void {
    const pipe = this.#pipes.get(id);
    if (pipe === undefined) return;
    this.#pipes.remove(pipe);
    pipe.handshake?.destroy();
    if (pipe.session === undefined) {
      this.#onPipeFailed(id, "handshake_failed", "The other side closed the connection", now);
      return;
    }
    const entry = this.#sessions.get(pipe.session);
    if (entry === undefined) return;
    this.#unbind(entry, pipe, now);
    entry.session.closePath(pipe.path as PathId, now);
    this.#touch(entry, now);
  }

  #onPipeWritable(id: PipeId, isWritable: boolean): void {
    const pipe = this.#pipes.get(id);
    if (pipe === undefined) return;
    pipe.isWritable = isWritable;
    const entry = pipe.session === undefined ? undefined : this.#sessions.get(pipe.session);
    if (entry === undefined) return;
    entry.session.setPathWritable(pipe.path as PathId, isWritable);
    if (isWritable) this.#dirty.add(entry);
  }

  #onPipeData(id: PipeId, bytes: Uint8Array, now: Instant): void {
    const pipe = this.#pipes.get(id);
    if (pipe === undefined) return;
    pipe.decoder.push(bytes);
    for (;;) {
      const outcome = pipe.decoder.next();
      if (outcome.type === "needsMore") break;
      if (outcome.type === "package") {
        if (outcome.version === CLEAR_VERSION) this.#onClearPackage(pipe, outcome, now);
        else this.#onProtectedPackage(pipe, outcome, now);
        if (this.#pipes.get(id) !== pipe) return;
        continue;
      }
      this.#drop(outcome.type);
      if (outcome.type === "unknownVersion") {
        this.#sendClear(pipe, { type: "versions", versions: [CLEAR_VERSION, PROTECTED_VERSION] });
        this.#failPipe(pipe, "version", "It speaks another protocol", now, "close");
      } else {
        this.#failPipe(pipe, "handshake_failed", "It does not speak Viaduct", now);
      }
      return;
    }
    // A message pipe carries whole packages. PROTOCOL §1.3.
    if (pipe.kind === "messages" && pipe.decoder.heldBytes > 0) {
      this.#drop("truncated");
      this.#failPipe(pipe, "handshake_failed", "A message holds half a package", now);
    }
  }

  #onProtectedPackage(pipe: PipeState, input: Package, now: Instant): void {
    const isBound = pipe.session !== undefined;
    const entry = isBound
      ? this.#sessions.get(pipe.session as SessionId)
      : this.#byConnectionId.get(connectionIdOf(input) ?? 0);
    if (entry === undefined) {
      if (!isBound) this.#answerUnknown(pipe, input, now);
      return;
    }
    if (entry.session.isClosed) return;
    const path = entry.session.handlePackage({ package: input, facts: pipe.facts }, now);
    if (path === undefined || (isBound && path !== pipe.path)) {
      // On a byte pipe nothing is lost or mixed up by itself: whoever is there is not the peer. THREATS t-A8.
      this.#drop("unauthentic");
      this.#failPipe(pipe, "crypto", "A package could not be authenticated", now);
    } else if (!isBound) {
      pipe.handshake?.destroy();
      this.#bind(pipe, entry, path);
    }
    this.#touch(entry, now);
  }

  #onClearPackage(pipe: PipeState, input: Package, now: Instant): void {
    const message = decodeClearMessage(input.message);
    if (message === undefined) {
      this.#drop("malformed");
      this.#failPipe(pipe, "handshake_failed", "It does not speak Viaduct", now);
      return;
    }
    if (message.type === "handshake") this.#onHandshakeMessage(pipe, message, now);
    else if (message.type === "reset") this.#onReset(pipe, message, now);
    else if (pipe.handshake?.role === "initiator") {
      const code = message.type === "versions" ? "version" : errorCodeOfWire(message.wireCode);
      this.#failPipe(pipe, code, message.type === "versions" ? `It speaks ${message.versions.join(", ")}` : "", now);
    }
  }

  // Handshakes.

  #beginHandshake(pipe: PipeState, dial: Dial, now: Instant): void {
    const pattern = dial.remoteKey === undefined ? "XX" : dial.isAnonymous ? "NK" : "IK";
    pipe.dial = dial;
    pipe.handshake = new Handshake(this.#context, {
      role: "initiator",
      pattern,
      kind: pipe.kind,
      localConnectionId: this.#freshConnectionId(),
      remoteKey: dial.remoteKey,
      initMessage: dial.initMessage,
    });
    pipe.deadline = Math.min(now + this.#config.limits.handshakeTimeoutMs, dial.deadline);
    this.#sendHandshake(pipe, pipe.handshake, 1, now);
  }

  #onHandshakeMessage(pipe: PipeState, message: HandshakeMessage, now: Instant): void {
    if (pipe.session !== undefined) return this.#drop("late");
    if (message.step === 1) {
      this.#onFirstMessage(pipe, message, now);
      return;
    }
    const { handshake } = pipe;
    const isExpected =
      handshake !== undefined &&
      !handshake.isMyTurn &&
      PATTERN_NUMBERS[handshake.pattern] === message.pattern &&
      message.targetConnectionId === handshake.localConnectionId &&
      message.step === (handshake.role === "initiator" ? 2 : 3);
    if (!isExpected) {
      this.#failPipe(pipe, "handshake_failed", "A message came out of turn", now);
      return;
    }
    handshake.remoteConnectionId = message.sourceConnectionId;
    if (!handshake.read(message.step, message.noise)) {
      this.#drop("handshake");
      this.#failPipe(pipe, handshake.failure, "", now);
      return;
    }
    if (handshake.isMyTurn && !this.#sendHandshake(pipe, handshake, message.step + 1, now)) return;
    if (handshake.isComplete) this.#onHandshakeComplete(pipe, handshake, now);
  }

  #onFirstMessage(pipe: PipeState, message: HandshakeMessage, now: Instant): void {
    const pattern = patternOfNumber(message.pattern);
    if (pipe.isDialled || pipe.handshake !== undefined || pattern === undefined) {
      this.#refuse(pipe, message.sourceConnectionId, "handshake_failed", now);
      return;
    }
    if (this.#sessions.size >= this.#config.limits.sessionsMax || !this.#pipes.mayShakeHands(pipe)) {
      this.#refuse(pipe, message.sourceConnectionId, "limit", now);
      return;
    }
    const handshake = new Handshake(this.#context, {
      role: "responder",
      pattern,
      kind: pipe.kind,
      localConnectionId: this.#freshConnectionId(),
      remoteKey: undefined,
      initMessage: undefined,
    });
    handshake.remoteConnectionId = message.sourceConnectionId;
    pipe.handshake = handshake;
    if (!handshake.read(1, message.noise)) {
      this.#drop("handshake");
      this.#refuse(pipe, message.sourceConnectionId, handshake.failure, now);
      return;
    }
    if (!this.#sendHandshake(pipe, handshake, 2, now)) return;
    if (handshake.isComplete) this.#onHandshakeComplete(pipe, handshake, now);
  }

  #onHandshakeComplete(pipe: PipeState, handshake: Handshake, now: Instant): void {
    const result = handshake.result();
    handshake.destroy();
    const { dial } = pipe;
    const refusal = this.#refusalOf(result, handshake.role === "initiator", now);
    const entry = this.#newSession(pipe, handshake, result, now);
    if (refusal !== undefined) {
      // Told inside the session: nobody else can say it for us.
      entry.session.close({ code: refusal }, now);
      if (dial !== undefined) this.#settleDialOf(dial, pipe, refusal, now);
    } else {
      this.#replaceOlder(entry, now);
      this.#announce(entry, result);
      if (dial !== undefined) this.#endDial(dial, entry);
      if (entry.remoteId !== undefined) this.#satisfyDials(entry);
    }
    this.#touch(entry, now);
  }

  #newSession(pipe: PipeState, handshake: Handshake, result: HandshakeResult, now: Instant): SessionEntry {
    const session = new Session(
      {
        role: handshake.role,
        secrets: result.secrets,
        config: this.#config.session,
        remote: result.remote,
        firstPath: pipe.facts,
        scratch: this.#scratch,
      },
      this.#env,
      now,
    );
    result.secrets.sendKey.fill(0);
    result.secrets.receiveKey.fill(0);
    const isInitiator = handshake.role === "initiator";
    const address = pipe.dial?.pipes.get(pipe.id);
    const addresses = address === undefined || pipe.dial?.addresses.length === 0 ? [] : [address];
    for (const other of pipe.dial?.addresses ?? []) if (!addresses.includes(other)) addresses.push(other);
    const entry: SessionEntry = {
      id: this.#nextSession++,
      session,
      remoteId: result.remoteId,
      isInitiator,
      openedAt: now,
      localConnectionId: handshake.localConnectionId,
      remoteConnectionId: handshake.remoteConnectionId,
      resetToken: result.resetToken,
      instance: result.instance,
      isAnnounced: false,
      pipes: new Map(),
      resume: new Resume(isInitiator ? addresses : []),
    };
    this.#sessions.set(entry.id, entry);
    this.#byConnectionId.set(entry.localConnectionId, entry);
    this.#bind(pipe, entry, 0);
    session.setPathWritable(0, pipe.isWritable);
    return entry;
  }

  #announce(entry: SessionEntry, result: HandshakeResult): void {
    if (entry.remoteId !== undefined && !this.#isOwnId(entry.remoteId)) this.#byRemoteId.set(entry.remoteId, entry);
    entry.isAnnounced = true;
    this.#events.push({
      type: "sessionOpened",
      session: entry.id,
      remoteId: entry.remoteId,
      isInitiator: entry.isInitiator,
      initMessage: result.initMessage,
    });
  }

  /** Why a session that was just authenticated is not to be. PROTOCOL §3.6. */
  #refusalOf(result: HandshakeResult, isInitiator: boolean, now: Instant): ErrorCode | undefined {
    const { remoteId } = result;
    if (remoteId === undefined || this.#isOwnId(remoteId)) return undefined;
    if (this.#banned.has(remoteId)) return "banned";
    const existing = this.#byRemoteId.get(remoteId);
    if (existing === undefined || existing.session.isClosed || !existing.session.isActive) return undefined;
    if (!isSameInstance(existing, result) || existing.isInitiator === isInitiator) return undefined;
    if (now - existing.openedAt > SIMULTANEOUS_MS) return undefined;
    // Both sides dialled at once: both keep the session that the smaller id began.
    const keepsOwn = this.#config.identity.id < remoteId;
    return keepsOwn === isInitiator ? undefined : "replaced";
  }

  /** The peer made a new session: it has lost the older one, or both dialled at once and this one is kept. */
  #replaceOlder(entry: SessionEntry, now: Instant): void {
    if (entry.remoteId === undefined) return;
    const older = this.#byRemoteId.get(entry.remoteId);
    if (older === undefined || this.#isOwnId(entry.remoteId)) return;
    if (isSameInstance(older, entry)) older.session.close({ code: "replaced" }, now);
    else older.session.drop("session_lost", now);
    this.#touch(older, now);
  }

  /** Sends the next message, or ends the pipe when there can be none. */
  #sendHandshake(pipe: PipeState, handshake: Handshake, step: number, now: Instant): boolean {
    const noise = handshake.write(step);
    if (noise === undefined) {
      this.#drop("handshake");
      this.#failPipe(pipe, "handshake_failed", "", now);
      return false;
    }
    this.#sendClear(pipe, {
      type: "handshake",
      pattern: PATTERN_NUMBERS[handshake.pattern],
      step,
      sourceConnectionId: handshake.localConnectionId,
      targetConnectionId: handshake.remoteConnectionId,
      noise,
    });
    return true;
  }

  #refuse(pipe: PipeState, connectionId: number, code: ErrorCode, now: Instant): void {
    this.#drop("refused");
    this.#sendClear(pipe, { type: "refused", targetConnectionId: connectionId, wireCode: ERRORS[code].wire });
    this.#failPipe(pipe, code, "", now, "close");
  }

  // Resets.

  #answerUnknown(pipe: PipeState, input: Package, now: Instant): void {
    this.#drop("unknownSession");
    const connectionId = connectionIdOf(input);
    if (now - this.#resetsSince >= 1000) {
      this.#resetsSince = now;
      this.#resetsLeft = this.#config.limits.resetsPerSecondMax;
    }
    if (connectionId !== undefined && this.#resetsLeft > 0) {
      this.#resetsLeft--;
      this.#sendClear(pipe, { type: "reset", connectionId, token: resetTokenOf(this.#context, connectionId) });
    }
    this.#failPipe(pipe, "session_lost", "", now, "close");
  }

  /** The peer says that it does not know a session; only its own token proves that it is the peer. */
  #onReset(pipe: PipeState, message: Extract<ClearMessage, { type: "reset" }>, now: Instant): void {
    const entry = pipe.session === undefined ? undefined : this.#sessions.get(pipe.session);
    const isProven =
      entry?.resetToken !== undefined &&
      entry.remoteConnectionId === message.connectionId &&
      equalBytes(entry.resetToken, message.token);
    if (entry === undefined || !isProven) {
      this.#drop("forgedReset");
      this.#failPipe(pipe, "handshake_failed", "", now);
      return;
    }
    entry.session.drop("session_lost", now);
    this.#touch(entry, now);
  }

  // Dials.

  #newDial(id: NodeId | undefined, addresses: readonly string[], options: DialOptions, now: Instant): Dial | undefined {
    const dialId = this.#nextDial++;
    const remoteKey = id === undefined ? undefined : decodeNodeId(id, this.#env.crypto);
    const fail = (code: ErrorCode, detail: string): undefined => {
      this.#events.push({ type: "dialFailed", dial: dialId, code, detail });
      return undefined;
    };
    if (id !== undefined && (remoteKey === undefined || !Handshake.canDial(remoteKey))) return fail("id_invalid", "");
    if (id !== undefined && this.#banned.has(id)) return fail("banned", "");
    if (options.isAnonymous === true && remoteKey === undefined) return fail("id_invalid", "An anonymous dial needs an id");
    if ((options.initMessage?.length ?? 0) > INIT_MESSAGE_BYTES_MAX) return fail("message_too_large", "The init message");
    if (this.#sessions.size >= this.#config.limits.sessionsMax) return fail("limit", "Too many sessions are open");
    const dial = new Dial(
      {
        id: dialId,
        remoteKey,
        isAnonymous: options.isAnonymous ?? false,
        initMessage: options.initMessage?.slice(),
        addresses: [...addresses],
        timeoutMs: options.timeoutMs ?? this.#config.limits.dialTimeoutMs,
      },
      now,
    );
    this.#dials.set(dialId, dial);
    return dial;
  }

  #advanceDial(dial: Dial, now: Instant): void {
    for (;;) {
      const address = dial.takeAddress(now);
      if (address === undefined) break;
      const pipe = this.#pipes.allocate();
      dial.pipes.set(pipe, address);
      this.#outputs.push({ type: "dial", pipe, address });
    }
    if (dial.isExhausted) this.#failDial(dial, undefined, now);
  }

  #failDial(dial: Dial, code: ErrorCode | undefined, _now: Instant): void {
    const { failure } = dial;
    this.#endDial(dial, undefined);
    this.#events.push({ type: "dialFailed", dial: dial.id, code: code ?? failure.code, detail: failure.detail });
  }

  /** A dial is over; pipes that did not win are given up. */
  #endDial(dial: Dial, winner: SessionEntry | undefined): void {
    if (!this.#dials.delete(dial.id)) return;
    for (const id of dial.pipes.keys()) {
      const pipe = this.#pipes.get(id);
      if (pipe === undefined) this.#outputs.push({ type: "destroy", pipe: id });
      else if (pipe.session === undefined) this.#dropPipe(pipe, "destroy");
    }
    if (winner !== undefined) this.#events.push({ type: "connected", dial: dial.id, session: winner.id });
  }

  /** Our session lost against the one that the peer began at the same time: that one is what was asked for. */
  #settleDialOf(dial: Dial, pipe: PipeState, code: ErrorCode, now: Instant): void {
    dial.pipes.delete(pipe.id);
    const existing = dial.remoteKey === undefined ? undefined : this.#entryOfKey(dial.remoteKey);
    if (code === "replaced" && existing !== undefined) this.#endDial(dial, existing);
    else {
      dial.onFailure(pipe.id, code, "", now);
      this.#advanceDial(dial, now);
    }
  }

  /** The node that somebody dials has connected by itself. */
  #satisfyDials(entry: SessionEntry): void {
    for (const dial of [...this.#dials.values()]) {
      if (dial.isAnonymous || dial.remoteKey === undefined) continue;
      if (this.#entryOfKey(dial.remoteKey) === entry) this.#endDial(dial, entry);
    }
  }

  #entryOfKey(key: Uint8Array): SessionEntry | undefined {
    for (const dialled of this.#byRemoteId.values()) {
      const remote = dialled.remoteId === undefined ? undefined : decodeNodeId(dialled.remoteId, this.#env.crypto);
      if (remote !== undefined && equalBytes(remote, key)) return dialled;
    }
    return undefined;
  }

  #dialOfPipe(id: PipeId): Dial | undefined {
    for (const dial of this.#dials.values()) if (dial.pipes.has(id)) return dial;
    return undefined;
  }

  // Resume.

  #continueResume(entry: SessionEntry, now: Instant): void {
    const { resume } = entry;
    if (resume.pipe !== undefined) {
      // The try under way was not answered in time.
      const pipe = this.#pipes.get(resume.pipe);
      this.#resuming.delete(resume.pipe);
      if (pipe === undefined) this.#outputs.push({ type: "destroy", pipe: resume.pipe });
      else {
        this.#unbind(entry, pipe, now);
        if (pipe.path !== undefined) entry.session.closePath(pipe.path, now);
        this.#dropPipe(pipe, "destroy");
      }
      resume.onFailure(this.#env.jitter(), now);
      return;
    }
    const pipe = this.#pipes.allocate();
    this.#resuming.set(pipe, entry);
    this.#outputs.push({ type: "dial", pipe, address: resume.begin(pipe, now) });
  }

  // Sessions.

  /** Lets a session take effect: its events are drained, its turn to send comes. */
  #touch(entry: SessionEntry, now: Instant): void {
    this.#dirty.add(entry);
    this.#drain(entry, now);
  }

  /** A session has nothing more to send now. */
  #settle(entry: SessionEntry, now: Instant): void {
    this.#drain(entry, now);
    if (this.#sessions.has(entry.id)) {
      this.#timers.set(entry.id, Math.min(entry.session.pollTimeout(), entry.resume.at));
    }
  }

  #drain(entry: SessionEntry, now: Instant): void {
    for (;;) {
      const event = entry.session.pollEvent();
      if (event === undefined) return;
      this.#onSessionEvent(entry, event, now);
    }
  }

  #onSessionEvent(entry: SessionEntry, event: SessionEvent, now: Instant): void {
    switch (event.type) {
      case "pathDown": {
        const pipe = this.#pipes.get(entry.pipes.get(event.path) ?? 0);
        if (pipe !== undefined) {
          this.#unbind(entry, pipe, now);
          this.#dropPipe(pipe, "destroy");
        }
        break;
      }
      case "suspended":
        if (entry.resume.isPossible) entry.resume.start(now);
        else if (entry.isAnnounced) this.#events.push({ type: "needsPath", session: entry.id });
        break;
      case "resumed":
        if (entry.resume.pipe !== undefined) this.#resuming.delete(entry.resume.pipe);
        entry.resume.stop();
        break;
      case "closed":
        this.#forget(entry);
        break;
      default:
    }
    if (entry.isAnnounced) this.#events.push({ type: "session", session: entry.id, event });
  }

  #forget(entry: SessionEntry): void {
    this.#sessions.delete(entry.id);
    this.#byConnectionId.delete(entry.localConnectionId);
    if (entry.remoteId !== undefined && this.#byRemoteId.get(entry.remoteId) === entry) {
      this.#byRemoteId.delete(entry.remoteId);
    }
    this.#dirty.delete(entry);
    this.#timers.set(entry.id, Number.POSITIVE_INFINITY);
    if (entry.resume.pipe !== undefined) {
      this.#resuming.delete(entry.resume.pipe);
      if (this.#pipes.get(entry.resume.pipe) === undefined) {
        this.#outputs.push({ type: "destroy", pipe: entry.resume.pipe });
      }
    }
    for (const id of entry.pipes.values()) {
      const pipe = this.#pipes.get(id);
      if (pipe !== undefined) this.#dropPipe(pipe, "close");
    }
    entry.pipes.clear();
  }

  #bind(pipe: PipeState, entry: SessionEntry, path: PathId): void {
    this.#pipes.prove(pipe, entry.id, path);
    entry.pipes.set(path, pipe.id);
    entry.session.setPathWritable(path, pipe.isWritable);
  }

  #unbind(entry: SessionEntry, pipe: PipeState, now: Instant): void {
    if (pipe.path !== undefined && entry.pipes.get(pipe.path) === pipe.id) entry.pipes.delete(pipe.path);
    if (!this.#resuming.delete(pipe.id) || entry.resume.pipe !== pipe.id) return;
    entry.resume.onFailure(this.#env.jitter(), now);
  }

  /** A pipe is of no use any more: what it was for learns why. */
  #failPipe(pipe: PipeState, code: ErrorCode, detail: string, now: Instant, how: "close" | "destroy" = "destroy"): void {
    pipe.handshake?.destroy();
    this.#dropPipe(pipe, how);
    if (pipe.session === undefined) {
      this.#onPipeFailed(pipe.id, code, detail, now);
      return;
    }
    const entry = this.#sessions.get(pipe.session);
    if (entry === undefined) return;
    this.#unbind(entry, pipe, now);
    entry.session.closePath(pipe.path as PathId, now);
    this.#touch(entry, now);
  }

  #dropPipe(pipe: PipeState, how: "close" | "destroy"): void {
    this.#pipes.remove(pipe);
    this.#outputs.push({ type: how, pipe: pipe.id });
  }

  #withSession<Result>(id: SessionId, now: Instant, act: (session: Session) => Result): Result | undefined {
    const entry = this.#sessions.get(id);
    if (entry === undefined) return undefined;
    const result = act(entry.session);
    this.#touch(entry, now);
    return result;
  }

  #sendClear(pipe: PipeState, message: ClearMessage): void {
    const bytes: Bytes = encodeClearPackage(encodeClearMessage(message), this.#env.checksum);
    this.#outputs.push({ type: "send", pipe: pipe.id, bytes });
  }

  #freshConnectionId(): number {
    const bytes = new Uint8Array(4);
    for (;;) {
      this.#env.random(bytes);
      const id = new DataView(bytes.buffer).getUint32(0, true);
      if (id !== 0 && !this.#byConnectionId.has(id)) return id;
    }
  }

  #isOwnId(id: NodeId): boolean {
    return id === this.#config.identity.id;
  }

  #drop(cause: string): void {
    this.#dropped[cause] = (this.#dropped[cause] ?? 0) + 1;
  }
}

function isSameInstance(
  left: { readonly instance: Uint8Array | undefined },
  right: { readonly instance: Uint8Array | undefined },
): boolean {
  return left.instance !== undefined && right.instance !== undefined && equalBytes(left.instance, right.instance);
}
