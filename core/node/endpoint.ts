/**
 * The endpoint: pipes in, sessions out. It demultiplexes packages by connection id and puts the parts together that
 * shake hands, dial, and bring sessions back to a path after the death of the last one. PROTOCOL §3 and §6.
 *
 * The invariant to hold: two nodes have one session; every dial ends with one event; nothing a stranger sends costs
 * more than its pipe.
 *
 * The four kinds of method: `handle…` takes what happened outside, commands are verbs, `poll…` gives outputs, nouns
 * are reads. After any of the first two: drain `pollTransmit`, then `pollEvent`, then read `pollTimeout`.
 *
 * @module
 */

import type { DatagramSendOptions } from "../connection/datagram_line.ts";
import { EventQueue } from "../connection/event_queue.ts";
import { connectionIdOf } from "../connection/package_protection.ts";
import type { Session } from "../connection/session.ts";
import { DEFAULT_SESSION_CONFIG } from "../connection/session_defaults.ts";
import type { CloseOptions } from "../connection/session_options.ts";
import type { ReadResult, StreamId } from "../connection/session_types.ts";
import { DhKeys } from "../crypto/dh_keys.ts";
import { deriveKey } from "../crypto/hkdf.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import type { Environment, Instant, Machine } from "../machine.ts";
import type { Package } from "../wire/package.ts";
import { CLEAR_VERSION, PROTECTED_VERSION } from "../wire/package.ts";
import { decodeClearMessage } from "./clear_messages.ts";
import { DatagramDemux } from "./datagram_demux.ts";
import { Dialler } from "./dialler.ts";
import type { EarlyStream } from "./early_stream.ts";
import type {
  DialId,
  DialOptions,
  DialTarget,
  EndpointConfig,
  EndpointEvent,
  EndpointInput,
  EndpointOutput,
  EndpointStats,
  PipeId,
  SessionId,
} from "./endpoint_types.ts";
import { FlowTable } from "./flow_table.ts";
import type { HandshakeContext } from "./handshake.ts";
import { INSTANCE_BYTES } from "./handshake_payload.ts";
import { Handshakes } from "./handshakes.ts";
import { PathKeeper } from "./path_keeper.ts";
import type { PipeState } from "./pipe_table.ts";
import { PipeTable } from "./pipe_table.ts";
import { SessionTable } from "./session_table.ts";
import { Settlement } from "./settlement.ts";
import type { ResetMessage } from "./stateless_reset.ts";
import { StatelessReset } from "./stateless_reset.ts";

/** Bytes of a partial package that a stranger may leave with us: every handshake package is at most 548 bytes long. */
const STRANGER_BYTES_MAX = 2048;

/** An endpoint. */
export class Endpoint implements Machine<EndpointInput, EndpointOutput, EndpointEvent> {
  readonly #config: EndpointConfig;
  readonly #flows: FlowTable;
  readonly #demux: DatagramDemux;
  readonly #keeper: PathKeeper;
  readonly #settlement: Settlement;
  readonly #pipes: PipeTable;
  readonly #sessions: SessionTable;
  readonly #handshakes: Handshakes;
  readonly #dialler: Dialler;
  readonly #banned = new Set<NodeId>();
  readonly #outputs = new EventQueue<EndpointOutput>();
  readonly #events = new EventQueue<EndpointEvent>();
  readonly #dropped = new Map<string, number>();
  readonly #resets: StatelessReset;
  #isClosed = false;

  constructor(config: EndpointConfig, env: Environment, _now: Instant) {
    this.#config = { ...config, session: { ...DEFAULT_SESSION_CONFIG, ...config.session } };
    const instance = new Uint8Array(INSTANCE_BYTES);
    env.random(instance);
    const context: HandshakeContext = {
      identity: config.identity,
      session: this.#config.session,
      instance,
      // From the identity, so that a restarted node can still tell that it forgot. RFC 9000 §10.3.2.
      resetKey: deriveKey(env.crypto, config.identity.seed, "stateless reset"),
      dhKeys: new DhKeys(),
      tickets: config.early?.makeTickets(env),
      env,
    };
    this.#resets = new StatelessReset(context, config.limits.resetsPerSecondMax);
    this.#flows = new FlowTable(this.#outputs);
    this.#pipes = new PipeTable(config.limits, env, this.#outputs, this.#flows);
    const shared = { config: this.#config, env, pipes: this.#pipes, events: this.#events, banned: this.#banned };
    this.#sessions = new SessionTable(shared);
    this.#handshakes = new Handshakes({ ...shared, context, sessions: this.#sessions });
    const { dhKeys } = context;
    this.#dialler = new Dialler({ ...shared, dhKeys, sessions: this.#sessions, handshakes: this.#handshakes });
    this.#keeper = new PathKeeper({ pipes: this.#pipes, env, wanted: config.session.pathsWanted });
    this.#settlement = new Settlement({
      ...shared,
      sessions: this.#sessions,
      handshakes: this.#handshakes,
      dialler: this.#dialler,
      keeper: this.#keeper,
      ownId: config.identity.id,
      count: (cause) => this.#count(cause),
    });
    this.#demux = new DatagramDemux({
      flows: this.#flows,
      pipes: this.#pipes,
      sessions: this.#sessions,
      handshakes: this.#handshakes,
      resets: this.#resets,
      env,
      retryAbove: config.limits.retryAboveHandshakes,
      settle: (at) => this.#settle(at),
      setWritable: (pipe, isWritable) => this.#onPipeWritable(pipe.id, isWritable),
      onClosed: (pipe, at) => this.#onPipeClosed(pipe.id, at),
      count: (cause) => this.#count(cause),
    });
  }

  // What happened outside.

  handleInput(input: EndpointInput, now: Instant): void {
    switch (input.type) {
      case "pipeData":
        this.#onPipeData(input.pipe, input.bytes, now);
        break;
      case "pipeOpened":
        this.#onPipeOpened(input, now);
        break;
      case "pipeFailed":
        this.#onPipeFailed(input.pipe, input.code, input.detail, now);
        break;
      case "pipeClosed":
        this.#onPipeClosed(input.pipe, now);
        break;
      case "pipeBlocked":
      case "pipeWritable":
        this.#onPipeWritable(input.pipe, input.type === "pipeWritable");
        break;
      default:
        this.#demux.handleInput(input, !this.#isClosed, now);
    }
    this.#settle(now);
  }

  handleTimeout(now: Instant): void {
    for (;;) {
      const pipe = this.#pipes.takeOverdue(now);
      if (pipe === undefined) break;
      this.#onPipeOverdue(pipe, now);
    }
    this.#handshakes.handleTimeout(now);
    this.#dialler.handleTimeout(now);
    this.#sessions.handleTimeout(now);
    this.#keeper.handleTimeout(now);
    this.#settle(now);
  }

  // Commands about pipes, dials and sessions.

  /** Numbers a pipe that was accepted, or one that the owner feeds itself. */
  allocatePipe(): PipeId {
    return this.#pipes.allocate();
  }

  /**
   * Dials a node; `connected` or `dialFailed` follows. A session with the node that is there already is the answer; one
   * that lost its paths is brought back with these addresses.
   */
  dial(target: DialTarget, options: DialOptions, now: Instant): DialId {
    const id = this.#dialler.dial(target, options, now);
    this.#settle(now);
    return id;
  }

  /** Shakes hands over a pipe that is open already, such as a circuit; the pipe is the endpoint's from here on. */
  dialOnPipe(pipe: PipeId, target: { readonly id?: NodeId }, options: DialOptions, now: Instant): DialId {
    const id = this.#dialler.dialOnPipe(this.#pipes.get(pipe), target.id, options, now);
    this.#settle(now);
    return id;
  }

  /** Gives a dial up; nothing follows. */
  cancelDial(id: DialId, now: Instant): void {
    this.#dialler.cancel(id);
    this.#settle(now);
  }

  /** Makes an open pipe a path of a session; `false`, and the pipe is destroyed, when it cannot be one. */
  attachOnPipe(session: SessionId, pipe: PipeId, now: Instant): boolean {
    const entry = this.#sessions.get(session);
    const state = this.#pipes.get(pipe);
    const isFree = state !== undefined && state.binding === undefined && state.pending === undefined;
    const isAttached = isFree && entry !== undefined && this.#sessions.attach(entry, state, now);
    if (isFree && !isAttached) this.#pipes.drop(pipe, "destroy");
    this.#settle(now);
    return isAttached;
  }

  /** Adds addresses at which a session can be resumed, or find a direct path. */
  addAddresses(session: SessionId, addresses: readonly string[], now: Instant): void {
    const entry = this.#sessions.get(session);
    if (entry === undefined) return;
    entry.resume.addAddresses(addresses);
    this.#keeper.onAddresses(entry, now);
  }

  /** Opens one more path to an address, and keeps one path more from now on. `false` when the session is over. */
  addPath(session: SessionId, address: string, now: Instant): boolean {
    const entry = this.#sessions.get(session);
    if (entry === undefined || entry.session.isClosed) return false;
    entry.pathsWanted = Math.max(entry.pathsWanted, entry.session.paths.length) + 1;
    this.addAddresses(session, [address], now);
    return true;
  }

  /** Lets somebody in who asked by `incoming`. `false` when nobody waits any more. */
  acceptIncoming(session: SessionId, now: Instant): boolean {
    const isDone = this.#handshakes.accept(session, now);
    this.#settle(now);
    return isDone;
  }

  /** Turns somebody away who asked by `incoming`. `false` when nobody waits any more. */
  refuseIncoming(session: SessionId, code: ErrorCode, now: Instant): boolean {
    const isDone = this.#handshakes.decline(session, code);
    this.#settle(now);
    return isDone;
  }

  /** Ends a session and tells the peer; its `closed` event follows. */
  closeSession(session: SessionId, options: CloseOptions, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.close(options, now));
  }

  /** Ends a session without a word to the peer; its `closed` event follows. */
  dropSession(session: SessionId, code: ErrorCode, now: Instant): void {
    this.#withSession(session, now, (engine) => engine.drop(code, now));
  }

  /** Ends all sessions and dials and takes no more: once nothing is left to transmit the endpoint is empty. */
  closeAll(options: CloseOptions, now: Instant): void {
    this.#isClosed = true;
    this.#dialler.close("closed");
    this.#handshakes.close();
    for (const pipe of this.#pipes.all()) {
      if (pipe.binding !== undefined) continue;
      if (pipe.pending === undefined) this.#pipes.drop(pipe.id, "destroy");
      else this.#handshakes.end(pipe.pending, "going_away");
    }
    for (const entry of this.#sessions.all()) {
      // One that the peer ended already only waits to be read.
      if (entry.session.isClosed) entry.session.drop(options.code, now);
      else entry.session.close(options, now);
      this.#sessions.touch(entry, now);
    }
    this.#settle(now);
  }

  /** Refuses a node from now on and ends its session. */
  ban(id: NodeId, now: Instant): void {
    this.#banned.add(id);
    const entry = this.#sessions.ofNode(id);
    if (entry !== undefined) this.closeSession(entry.id, { code: "banned" }, now);
  }

  unban(id: NodeId): void {
    this.#banned.delete(id);
  }

  isBanned(id: NodeId): boolean {
    return this.#banned.has(id);
  }

  // Commands of a session, passed through. For a session that is over they do nothing.

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
    this.#sessions.markDirty(entry);
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
    this.#sessions.markDirty(entry);
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

  sendDatagram(session: SessionId, bytes: Uint8Array, now: Instant, options: DatagramSendOptions = {}): boolean {
    return this.#withSession(session, now, (engine) => engine.sendDatagram(bytes, options, now)) ?? false;
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
      const sent = this.#sessions.pollTransmit(now);
      // What a session's last package causes, such as the end of its pipes, comes behind it.
      this.#settle(now);
      if (sent !== undefined) return sent;
      if (this.#outputs.size === 0) return undefined;
    }
  }

  pollEvent(): EndpointEvent | undefined {
    return this.#events.shift();
  }

  pollTimeout(): Instant {
    const ofPipes = Math.min(this.#pipes.pollTimeout(), this.#handshakes.pollTimeout());
    const ofSessions = Math.min(this.#sessions.pollTimeout(), this.#keeper.pollTimeout());
    return Math.min(ofSessions, this.#dialler.pollTimeout(), ofPipes);
  }

  // Reads.

  /** The engine of a session, for reads; commands go through the endpoint, which must know of them. */
  session(id: SessionId): Session | undefined {
    return this.#sessions.get(id)?.session;
  }

  /** The session with a node. Sessions of an anonymous initiator are nobody's. */
  sessionOf(id: NodeId): SessionId | undefined {
    return this.#sessions.ofNode(id)?.id;
  }

  remoteIdOf(session: SessionId): NodeId | undefined {
    return this.#sessions.get(session)?.remoteId;
  }

  earlyOf(session: SessionId): EarlyStream | undefined {
    return this.#sessions.get(session)?.early;
  }

  isInitiatorOf(session: SessionId): boolean {
    return this.#sessions.get(session)?.isInitiator ?? false;
  }

  sessions(): IterableIterator<SessionId> {
    return this.#sessions.ids();
  }

  /** The session that a pipe carries. */
  sessionOfPipe(pipe: PipeId): SessionId | undefined {
    return this.#pipes.get(pipe)?.binding?.entry.id;
  }

  stats(): EndpointStats {
    return {
      sessions: this.#sessions.size,
      pipes: this.#pipes.size,
      handshakes: this.#pipes.unprovenCount,
      dials: this.#dialler.size,
      dropped: Object.fromEntries(this.#dropped),
    };
  }

  // Pipes.

  #onPipeOpened(input: Extract<EndpointInput, { type: "pipeOpened" }>, now: Instant): void {
    const kept = this.#keeper.entryOf(input.pipe);
    const resuming = this.#sessions.resumer.entryOf(input.pipe) ?? kept;
    const dial = this.#dialler.ofPipe(input.pipe);
    // A pipe that was dialled and is wanted no more; the owner's own virtual pipes were never asked for.
    const isStray = input.isDialled && resuming === undefined && dial === undefined && input.kind !== "relay";
    const flow = input.flow === undefined ? undefined : this.#flows.open(input.flow, input);
    const opened = { ...input, flow };
    const pipe = isStray || this.#isClosed ? undefined : this.#pipes.open(opened, now);
    if (pipe === undefined) {
      if (!isStray) this.#count("pipes");
      if (flow === undefined) this.#outputs.push({ type: "destroy", pipe: input.pipe });
      else this.#flows.release(flow);
      if (!isStray) this.#onPipeFailed(input.pipe, "limit", "Too many pipes are open", now);
    } else if (resuming !== undefined) {
      if (!this.#sessions.attach(resuming, pipe, now)) {
        this.#pipes.drop(pipe.id, "destroy");
        this.#onPipeFailed(pipe.id, "limit", "", now);
      } else if (kept !== undefined) this.#keeper.onPipe(pipe.id, true, now);
    } else if (dial !== undefined) this.#handshakes.begin(pipe, dial, now);
  }

  /** A pipe that was being dialled comes to nothing. */
  #onPipeFailed(id: PipeId, code: ErrorCode, detail: string, now: Instant): void {
    const entry = this.#sessions.resumer.entryOf(id);
    if (entry !== undefined) {
      this.#sessions.resumer.onFailure(entry, now);
      this.#sessions.markDirty(entry);
    }
    this.#pipes.forget(id);
    this.#keeper.onPipe(id, false, now);
    this.#dialler.onPipeLost(id, code, detail, now);
  }

  #onPipeClosed(id: PipeId, now: Instant): void {
    const pipe = this.#pipes.get(id);
    if (pipe === undefined) {
      this.#onPipeFailed(id, "dial_failed", "", now);
      return;
    }
    this.#pipes.forget(id);
    if (this.#handshakes.onPipeLost(pipe, now)) return;
    this.#losePipe(pipe, "truncated", "handshake_failed", "The other side closed the connection", now);
  }

  #onPipeOverdue(pipe: PipeState, now: Instant): void {
    if (pipe.pending !== undefined) {
      this.#handshakes.onTimeout(pipe.pending, now);
      return;
    }
    this.#pipes.drop(pipe.id, "destroy");
    this.#losePipe(pipe, "timeout", "handshake_timeout", "", now);
  }

  #onPipeWritable(id: PipeId, isWritable: boolean): void {
    const pipe = this.#pipes.get(id);
    if (pipe === undefined) return;
    pipe.isWritable = isWritable;
    if (pipe.binding === undefined) return;
    const { entry, path } = pipe.binding;
    entry.session.setPathWritable(path, isWritable);
    this.#sessions.markDirty(entry);
  }

  #onPipeData(id: PipeId, bytes: Uint8Array, now: Instant): void {
    const pipe = this.#pipes.get(id);
    const decoder = pipe?.decoder;
    if (pipe === undefined || decoder === undefined) return;
    decoder.push(bytes);
    for (;;) {
      const outcome = decoder.next();
      if (outcome.type === "needsMore") break;
      if (outcome.type !== "package") {
        this.#onFault(pipe, outcome, now);
        return;
      }
      if (outcome.version === CLEAR_VERSION) this.#onClear(pipe, outcome, now);
      else this.#onProtected(pipe, outcome, now);
      if (this.#pipes.get(id) !== pipe) return;
    }
    if (decoder.heldBytes === 0) return;
    // PROTOCOL §1.4: a message holds whole packages.
    if (pipe.facts.kind === "messages") this.#failPipe(pipe, "truncated", "A message holds half a package", now);
    else if (pipe.binding === undefined && pipe.pending?.phase !== "proof" && decoder.heldBytes > STRANGER_BYTES_MAX) {
      this.#failPipe(pipe, "size", "The first package is too large", now);
    }
  }

  #onFault(
    pipe: PipeState,
    fault: { readonly type: "unknownVersion"; readonly version: number } | { readonly type: "malformed" | "badCheck" },
    now: Instant,
  ): void {
    if (fault.type !== "unknownVersion") {
      this.#failPipe(pipe, fault.type, "The other side does not speak Viaduct", now);
      return;
    }
    this.#count(fault.type);
    const detail = `The other side speaks version ${fault.version}`;
    if (pipe.isDialled || pipe.pending !== undefined || pipe.binding !== undefined) {
      this.#pipes.drop(pipe.id, "destroy");
    } else {
      // Answered once, and only to who spoke first: two answers never meet. PROTOCOL §3.2.
      this.#pipes.sendClear(pipe, { type: "versions", versions: [CLEAR_VERSION, PROTECTED_VERSION] });
      this.#pipes.drop(pipe.id, "close");
    }
    this.#losePipe(pipe, "version", "version", detail, now);
  }

  #onProtected(pipe: PipeState, input: Package, now: Instant): void {
    if (pipe.pending !== undefined) {
      this.#handshakes.onProtected(pipe, input, now);
      this.#settle(now); // The package behind it is for the session that it made.
      return;
    }
    const connectionId = connectionIdOf(input) ?? 0;
    const entry = pipe.binding?.entry ?? this.#sessions.ofConnectionId(connectionId);
    if (entry === undefined) {
      if (!this.#handshakes.onAttach(pipe, connectionId, input, now)) this.#answerUnknown(pipe, connectionId, now);
      this.#settle(now);
    } else if (!this.#sessions.onPackage(entry, pipe, input, now)) {
      this.#failPipe(pipe, "unauthentic", "A package is not authentic", now);
    }
  }

  #onClear(pipe: PipeState, input: Package, now: Instant): void {
    const message = decodeClearMessage(input.message);
    if (message === undefined) this.#failPipe(pipe, "malformed", "The other side does not speak Viaduct", now);
    else if (message.type === "reset") this.#onReset(pipe, message, now);
    else if (pipe.binding !== undefined)
      this.#count("late"); // Nobody vouches for it: it changes nothing any more.
    else if (message.type === "handshake") {
      this.#handshakes.onMessage(pipe, message, now);
      this.#settle(now); // The package behind it may be of the session that it made.
    } else this.#handshakes.onRefusal(pipe, message, now);
  }

  /** A pipe is of no use any more. */
  #failPipe(pipe: PipeState, cause: string, detail: string, now: Instant): void {
    this.#count(cause);
    this.#pipes.drop(pipe.id, "destroy");
    this.#losePipe(pipe, "crypto", "handshake_failed", detail, now);
  }

  /** What a pipe was for learns that it is gone: as a path, or before it was one. */
  #losePipe(pipe: PipeState, pathCode: ErrorCode, dialCode: ErrorCode, detail: string, now: Instant): void {
    if (pipe.binding !== undefined) {
      this.#sessions.onPathLost(pipe, pathCode, now);
      return;
    }
    this.#handshakes.abandon(pipe);
    this.#dialler.onPipeLost(pipe.id, dialCode, detail, now);
  }

  /** A package of a session that is not known here: its sender is told. */
  #answerUnknown(pipe: PipeState, connectionId: number, now: Instant): void {
    this.#count("unknownSession");
    const answer = this.#resets.answerTo(connectionId, now);
    if (answer !== undefined) this.#pipes.sendClear(pipe, answer);
    this.#pipes.drop(pipe.id, "close");
  }

  /** The peer says that it does not know a session. */
  #onReset(pipe: PipeState, message: ResetMessage, now: Instant): void {
    const entry = pipe.binding?.entry;
    if (entry === undefined || !this.#resets.isProven(message, entry)) {
      this.#failPipe(pipe, "forgedReset", "A reset does not prove itself", now);
      return;
    }
    entry.session.drop("session_lost", now);
    this.#sessions.touch(entry, now);
  }

  // What the parts must learn of one another.

  #settle(now: Instant): void {
    this.#settlement.settle(now);
  }

  #withSession<Result>(id: SessionId, now: Instant, act: (session: Session) => Result): Result | undefined {
    const entry = this.#sessions.get(id);
    if (entry === undefined) return undefined;
    const result = act(entry.session);
    this.#sessions.touch(entry, now);
    this.#settle(now);
    return result;
  }

  #count(cause: string): void {
    this.#dropped.set(cause, (this.#dropped.get(cause) ?? 0) + 1);
  }
}
