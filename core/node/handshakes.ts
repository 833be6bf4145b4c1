/**
 * The handshakes under way on the pipes of an endpoint: whose turn it is, who is let in, and which of two handshakes
 * between the same two nodes is kept. PROTOCOL §3.5 to §3.7.
 *
 * The invariants to hold: nobody learns of a session before its peer proved to hold its keys, so a replayed first
 * message causes nothing (THREATS t-A7); who completes a handshake holds no other session with that node at that time,
 * so its proof says that an older session is lost there.
 *
 * @module
 */

import { connectionIdOf } from "../connection/package_protection.ts";
import type { Session } from "../connection/session.ts";
import type { NodeId } from "../crypto/identity.ts";
import type { ErrorCode } from "../error.ts";
import { errorCodeOfWire } from "../error.ts";
import type { Environment, Instant } from "../machine.ts";
import type { Package } from "../wire/package.ts";
import { CLEAR_VERSION, PACKAGE_BYTES_MAX } from "../wire/package.ts";
import { Agreements } from "./agreements.ts";
import type { ClearMessage } from "./clear_messages.ts";
import { PATTERN_NUMBERS } from "./clear_messages.ts";
import type { Dial } from "./dial.ts";
import { EarlyGate } from "./early_gate.ts";
import type { EndpointConfig, SessionId } from "./endpoint_types.ts";
import type { HandshakeContext, HandshakeResult } from "./handshake.ts";
import { Handshake, patternOfNumber } from "./handshake.ts";
import type { HandshakeOutcome } from "./handshake_outcome.ts";
import { HandshakeResends } from "./handshake_resends.ts";
import { HandshakeTie } from "./handshake_tie.ts";
import { makeSession, openEarlyStream, takeEarly } from "./made_session.ts";
import type { Pending } from "./pending_handshake.ts";
import { noteAnswered, noteSent, PendingIndex, wipe } from "./pending_handshake.ts";
import type { PipeState, PipeTable } from "./pipe_table.ts";
import type { SessionEntry } from "./session_entry.ts";
import type { SessionTable } from "./session_table.ts";
import { TicketBook } from "./ticket_book.ts";

/** A HANDSHAKE message. */
export type HandshakeMessage = Extract<ClearMessage, { type: "handshake" }>;

/** All handshakes of an endpoint. */
export class Handshakes {
  readonly #config: EndpointConfig;
  readonly #context: HandshakeContext;
  readonly #env: Environment;
  readonly #pipes: PipeTable;
  readonly #sessions: SessionTable;
  readonly #banned: ReadonlySet<NodeId>;
  readonly #pending = new PendingIndex();
  readonly #tie: HandshakeTie;
  readonly #agreements = new Agreements();
  readonly #resends = new HandshakeResends();
  readonly #book = new TicketBook();
  readonly #earlyGate: EarlyGate;
  readonly #byOwner = new Map<SessionId, Pending>();
  readonly #outcomes: HandshakeOutcome[] = [];
  /** Nodes of which something changed: what waits for them is looked at again. */
  readonly #changed = new Set<NodeId>();
  readonly #scratch = new Uint8Array(PACKAGE_BYTES_MAX);

  constructor(options: {
    readonly config: EndpointConfig;
    readonly context: HandshakeContext;
    readonly pipes: PipeTable;
    readonly sessions: SessionTable;
    readonly banned: ReadonlySet<NodeId>;
  }) {
    this.#config = options.config;
    this.#context = options.context;
    this.#env = options.context.env;
    this.#pipes = options.pipes;
    this.#sessions = options.sessions;
    this.#banned = options.banned;
    this.#tie = new HandshakeTie(options.config.identity.id, this.#pending, options.sessions);
    this.#earlyGate = new EarlyGate(options.context, options.config.early, this.#tie);
  }

  // What happened outside.

  /** Begins a handshake on a pipe of a dial: the first one with early data, where there is any and a ticket. */
  begin(pipe: PipeState, dial: Dial, now: Instant): void {
    const early = dial.takeEarly((id) => this.#book.take(id, now));
    const known = early !== undefined ? "IKpsk1" : dial.isAnonymous ? "NK" : "IK";
    const pattern = dial.remoteKey === undefined ? "XX" : known;
    const handshake = new Handshake(this.#context, {
      role: "initiator",
      pattern,
      kind: pipe.facts.kind,
      localConnectionId: this.#sessions.reserveConnectionId(),
      remoteKey: dial.remoteKey,
      initMessage: dial.initMessage,
      early,
    });
    const deadline = Math.min(now + this.#config.limits.handshakeTimeoutMs, dial.deadline);
    const pending = this.#add(pipe, handshake, dial, deadline, now);
    if (pattern === "IK" || pattern === "IKpsk1") this.#name(pending, dial.remoteId);
    this.#send(pending, 1, now);
  }

  /** Takes a HANDSHAKE message of a pipe that carries no session. */
  onMessage(pipe: PipeState, message: HandshakeMessage, now: Instant): void {
    const { pending } = pipe;
    if (pending === undefined) {
      this.#onFirst(pipe, message, now);
      return;
    }
    const { handshake } = pending;
    const isExpected =
      pending.phase === "answer" &&
      PATTERN_NUMBERS[handshake.pattern] === message.pattern &&
      message.targetConnectionId === handshake.localConnectionId &&
      message.step === (pending.isInitiator ? 2 : 3) &&
      (pending.isInitiator || message.sourceConnectionId === handshake.remoteConnectionId);
    if (!isExpected) {
      // Datagrams repeat and overtake each other.
      if (pipe.flow === undefined) this.#fail(pending, "handshake_failed", "A handshake message came out of turn");
      return;
    }
    handshake.remoteConnectionId = message.sourceConnectionId;
    if (!handshake.read(message.step, message.noise)) {
      this.#fail(pending, handshake.failure, "");
      return;
    }
    noteAnswered(pending, now);
    this.#name(pending, handshake.remoteId);
    this.#decide(pending, false, now);
  }

  /** Takes a REFUSED or VERSIONS message. Nobody vouches for it: it only ends sooner what would fail anyway. */
  onRefusal(pipe: PipeState, message: Exclude<ClearMessage, HandshakeMessage>, now: Instant): void {
    const { pending } = pipe;
    if (pending?.isInitiator !== true) return;
    if (message.type === "versions") {
      // RFC 9000 §6.2: one that lists our own answers a damaged copy, or comes from somebody else.
      if (pipe.flow !== undefined && message.versions.includes(CLEAR_VERSION)) return;
      this.#fail(pending, "version", `The node speaks versions ${message.versions.join(", ")}`);
    } else if (message.type === "refused" && message.targetConnectionId === pending.handshake.localConnectionId) {
      const code = errorCodeOfWire(message.wireCode);
      if (code === "unsupported" && pending.handshake.pattern === "IKpsk1" && pending.phase === "answer") {
        this.#beginPlain(pending, now);
        return;
      }
      // The session that goes first is about to come up on another pipe.
      if (code === "replaced") pending.dial?.awaitOther(now + this.#config.limits.tieWaitMs);
      this.#fail(pending, code === "closed" ? "refused" : code, "");
    }
  }

  /** The ticket is of no use, such as after a restart of the node: the same again without. */
  #beginPlain(pending: Pending, now: Instant): void {
    const { pipe, dial } = pending;
    this.#discard(pending);
    // It was for the address and the connection id of the handshake before.
    pipe.token = pipe.lastMessage = undefined;
    if (dial !== undefined) this.begin(pipe, dial, now);
  }

  /** Takes a protected package of a pipe with a handshake: the proof, or nonsense. Returns whether it was the proof. */
  onProtected(pipe: PipeState, input: Package, now: Instant): boolean {
    const { pending } = pipe;
    if (pending === undefined) return false;
    const { phase, result, handshake } = pending;
    if (phase !== "proof" || result === undefined || connectionIdOf(input) !== handshake.localConnectionId) {
      // It overtook the message before it, or that was lost: the peer sends it again when ours comes once more.
      if (pipe.flow !== undefined) this.resend(pending, now);
      else this.#fail(pending, "handshake_failed", "A package came before the handshake was over");
      return false;
    }
    noteAnswered(pending, now);
    const session = this.#unproven(pending, result, now);
    const path = session.handlePackage({ package: input, facts: pipe.facts }, now);
    if (path !== 0) {
      // A datagram may be damaged, or not be the peer's: it is as if it had never come. RFC 9000 §5.2.
      if (path === undefined && pipe.flow !== undefined) return false;
      this.#fail(pending, "handshake_failed", "The first package is not authentic");
      return false;
    }
    this.#onProven(pending, { result, session, pipe, path: 0 }, now);
    return true;
  }

  /** Sends the last message of a handshake once more; it may have been lost. */
  resend(pending: Pending, now: Instant): void {
    const { pipe } = pending;
    const isSent = pending.phase === "answer" || pending.phase === "proof";
    if (!isSent || pipe.lastMessage === undefined) return;
    this.#pipes.send(pipe, pipe.lastMessage);
    noteSent(pending, now, true);
  }

  /** The other side wants our address proved before it computes anything: once, and only before it answered. */
  onRetry(pipe: PipeState, targetConnectionId: number, token: Uint8Array, now: Instant): void {
    const { pending } = pipe;
    if (pending?.isInitiator !== true || pending.phase !== "answer" || pipe.token !== undefined) return;
    if (pending.handshake.localConnectionId !== targetConnectionId) return;
    if (!this.#pipes.sendWithToken(pipe, token)) return;
    noteSent(pending, now, false);
    this.#resends.start(pipe.id, now);
  }

  /** Whether an agreement waits for its proof under this number. */
  awaitsAttach(connectionId: number): boolean {
    return this.#agreements.get(connectionId) !== undefined;
  }

  /** Takes the first package of a fresh pipe; `false` when it names no agreement that waits for its proof. */
  onAttach(pipe: PipeState, connectionId: number, input: Package, now: Instant): boolean {
    const pending = this.#agreements.get(connectionId);
    const result = pending?.result;
    if (pending === undefined || result === undefined) return false;
    const session = this.#unproven(pending, result, now);
    const path = session.handlePackage({ package: input, facts: pipe.facts }, now);
    if (path === undefined && pipe.flow !== undefined) return false;
    if (path === undefined || path === 0) {
      // An honest initiator does not send such a thing.
      if (pending.pipe.pending === pending) this.#fail(pending, "handshake_failed", "The proof is not authentic");
      else this.#discard(pending);
      return false;
    }
    session.closePath(0, now);
    // The pipe that the handshake ran on only seems to be there.
    if (pending.pipe.pending === pending) this.#pipes.drop(pending.pipe.id, "destroy");
    this.#onProven(pending, { result, session, pipe, path }, now);
    return true;
  }

  /** The pipe of a handshake had time enough. */
  onTimeout(pending: Pending, now: Instant): void {
    if (pending.phase === "tie" && now < pending.deadline) this.#decide(pending, true, now);
    else if (pending.phase === "owner") this.#refuse(pending, "handshake_timeout");
    else {
      const isKept = this.onPipeLost(pending.pipe, now);
      if (isKept) this.#pipes.drop(pending.pipe.id, "destroy");
      else this.#fail(pending, "handshake_timeout", "");
    }
  }

  /**
   * The pipe of a handshake died. An initiator that was told all may think that it has a session: what was agreed is
   * kept as long as it may try to resume. `false` when there is nothing to keep.
   */
  onPipeLost(pipe: PipeState, now: Instant): boolean {
    const { pending } = pipe;
    if (pending?.phase !== "proof" || pending.isInitiator || pending.result === undefined) return false;
    pipe.pending = undefined;
    const windowMs = Math.min(this.#config.session.resumeWindowMs, pending.result.remote.resumeWindowMs);
    const oldest = this.#agreements.detach(pending, now + windowMs);
    if (oldest !== undefined) this.#discard(oldest);
    return true;
  }

  handleTimeout(now: Instant): void {
    for (;;) {
      const pipe = this.#resends.takeDue(now);
      if (pipe === undefined) break;
      const pending = this.#pipes.get(pipe)?.pending;
      // The last message of an initiator has no answer but the proof: without it nobody would speak again.
      if (pending?.phase === "answer" || pending?.isInitiator === true) this.resend(pending, now);
      else this.#resends.stop(pipe);
    }
    for (;;) {
      const pending = this.#agreements.takeOverdue(now);
      if (pending === undefined) return;
      this.#discard(pending);
    }
  }

  pollTimeout(): Instant {
    return Math.min(this.#agreements.pollTimeout(), this.#resends.pollTimeout());
  }

  /** A new session with a node makes older agreements with it void: its node has no other. */
  onSession(id: NodeId | undefined): void {
    if (id === undefined) return;
    for (const pending of this.#pending.ofNode(id)) if (this.#agreements.isDetached(pending)) this.#discard(pending);
    this.recheck(id);
  }

  /** Something about the sessions with a node changed: what waits for it is looked at again. */
  recheck(id: NodeId | undefined): void {
    if (id !== undefined && this.#pending.has(id)) this.#changed.add(id);
  }

  // Commands.

  /** Lets somebody in whom the owner was asked about. `false` when nobody waits any more. */
  accept(session: SessionId, now: Instant): boolean {
    const pending = this.#byOwner.get(session);
    if (pending === undefined) return false;
    this.#byOwner.delete(session);
    this.#admit(pending, now);
    return true;
  }

  /** Turns somebody away. `false` when nobody waits any more. */
  decline(session: SessionId, code: ErrorCode): boolean {
    const pending = this.#byOwner.get(session);
    if (pending === undefined) return false;
    this.#refuse(pending, code);
    return true;
  }

  close(): void {
    for (const pending of this.#agreements.detached()) this.#discard(pending);
  }

  abandon(pipe: PipeState): void {
    if (pipe.pending !== undefined) this.#discard(pipe.pending);
  }

  /** Ends a handshake that somebody else began. */
  end(pending: Pending, code: ErrorCode): void {
    this.#refuse(pending, code);
  }

  /** What became of a handshake since the last call; call until `undefined`. */
  pollOutcome(now: Instant): HandshakeOutcome | undefined {
    for (;;) {
      const outcome = this.#outcomes.shift();
      if (outcome !== undefined || this.#changed.size === 0) return outcome;
      const id = this.#changed.values().next().value as NodeId;
      this.#changed.delete(id);
      this.#reconsider(id, now);
    }
  }

  // The responder's side.

  #onFirst(pipe: PipeState, message: HandshakeMessage, now: Instant): void {
    const pattern = patternOfNumber(message.pattern);
    if (message.step !== 1 || pattern === undefined || pipe.isDialled) {
      this.#turnAway(pipe, message.sourceConnectionId, pattern === undefined ? "unsupported" : "handshake_failed");
      return;
    }
    const first = this.#earlyGate.open(pattern, message.noise, now);
    if (typeof first === "string") {
      this.#pipes.refuse(pipe, message.sourceConnectionId, first);
      // Without its ticket the initiator begins again on the same pipe.
      if (first !== "unsupported") this.#pipes.drop(pipe.id, "close");
      return;
    }
    const handshake = new Handshake(this.#context, {
      role: "responder",
      pattern,
      kind: pipe.facts.kind,
      localConnectionId: this.#sessions.reserveConnectionId(),
      remoteKey: undefined,
      initMessage: undefined,
      opened: first.opened,
    });
    handshake.remoteConnectionId = message.sourceConnectionId;
    const pending = this.#add(pipe, handshake, undefined, now + this.#config.limits.handshakeTimeoutMs, now);
    if (!handshake.read(1, first.noise)) {
      // A first message that cannot be opened was most likely meant for another node: IK and NK are to one key.
      this.#refuse(pending, pattern === "XX" ? "handshake_failed" : "identity_mismatch");
      return;
    }
    if (pattern === "XX") {
      this.#send(pending, 2, now);
      return;
    }
    this.#name(pending, handshake.remoteId);
    this.#decide(pending, false, now);
  }

  /** Decides about somebody who wants in. */
  #judge(pending: Pending, isTieOver: boolean, now: Instant): void {
    const { remoteId } = pending;
    if (remoteId !== undefined && this.#banned.has(remoteId)) this.#refuse(pending, "banned");
    else if (this.#sessions.size >= this.#config.limits.sessionsMax) this.#refuse(pending, "limit");
    else if (remoteId !== undefined && this.#tie.isLost(pending, remoteId)) this.#refuse(pending, "replaced");
    else if (remoteId !== undefined && !isTieOver && this.#tie.mustDefer(remoteId)) this.#wait(pending, now);
    else if (this.#config.isAcceptManual === true && !this.#isWanted(remoteId)) this.#ask(pending);
    else this.#admit(pending, now, true);
  }

  /** Whether we dial the node ourselves: then nobody needs to be asked. */
  #isWanted(id: NodeId | undefined): boolean {
    return id !== undefined && this.#tie.isDialling(id);
  }

  #ask(pending: Pending): void {
    pending.phase = "owner";
    pending.session = this.#sessions.allocateId();
    this.#pipes.setDeadline(pending.pipe, pending.deadline);
    this.#byOwner.set(pending.session, pending);
    this.#outcomes.push({ type: "incoming", pending, session: pending.session });
  }

  #admit(pending: Pending, now: Instant, isDirect = false): void {
    const { handshake } = pending;
    if (handshake.isComplete) {
      this.#establish(pending, now); // XX: message 3 was the proof.
      return;
    }
    const early = isDirect ? this.#earlyGate.admitted(pending, now) : undefined;
    handshake.takesEarly = early !== undefined;
    this.#send(pending, 2, now);
    const { result } = pending;
    if (early === undefined || result === undefined) return;
    // Nobody can have sent this before: it needs no proof to be acted on. PROTOCOL §3.14.
    const session = this.#makeSession(pending, result, now);
    const earlyStream = takeEarly(session, early);
    const { pipe } = pending;
    this.#remove(pending);
    const made = { result, session, pipe, path: 0, confirmToken: 0, earlyStream, isEarly: true };
    this.#outcomes.push({ type: "established", pending, ...made });
  }

  // The initiator's side.

  /** Goes on with a handshake of ours, now that the peer is known. */
  #proceed(pending: Pending, isTieOver: boolean, now: Instant): void {
    const { remoteId } = pending;
    if (remoteId !== undefined && this.#banned.has(remoteId)) {
      this.#fail(pending, "banned", "");
      return;
    }
    const existing = remoteId === undefined ? undefined : this.#tie.existing(remoteId);
    if (existing !== undefined) this.#supersede(pending, existing);
    else if (!isTieOver && remoteId !== undefined && this.#tie.mustHold(pending, remoteId)) this.#wait(pending, now);
    else if (pending.handshake.isComplete) this.#establish(pending, now);
    else this.#send(pending, 3, now);
  }

  #supersede(pending: Pending, entry: SessionEntry): void {
    this.#discard(pending);
    this.#pipes.drop(pending.pipe.id, "destroy");
    this.#outcomes.push({ type: "superseded", pending, entry });
  }

  // Both sides.

  #decide(pending: Pending, isTieOver: boolean, now: Instant): void {
    if (pending.isInitiator) this.#proceed(pending, isTieOver, now);
    else this.#judge(pending, isTieOver, now);
  }

  #wait(pending: Pending, now: Instant): void {
    if (pending.phase === "tie") return;
    pending.phase = "tie";
    const until = Math.min(pending.deadline, now + this.#config.limits.tieWaitMs);
    this.#pipes.setDeadline(pending.pipe, until);
  }

  /** Looks again at the handshakes with a node. */
  #reconsider(id: NodeId, now: Instant): void {
    const existing = this.#tie.existing(id);
    for (const pending of this.#pending.ofNode(id)) {
      if (pending.isInitiator && existing !== undefined) this.#supersede(pending, existing);
      else if (pending.phase === "tie") this.#decide(pending, false, now);
    }
  }

  /** Writes the next message; the one that is the last waits for the peer's proof. */
  #send(pending: Pending, step: number, now: Instant): void {
    const { handshake, pipe } = pending;
    const noise = handshake.write(step, now);
    if (noise === undefined) {
      this.#fail(pending, "handshake_failed", "The key of the other side is of low order");
      return;
    }
    const sent = this.#pipes.sendClear(pipe, {
      type: "handshake",
      pattern: PATTERN_NUMBERS[handshake.pattern],
      step,
      sourceConnectionId: handshake.localConnectionId,
      targetConnectionId: handshake.remoteConnectionId,
      noise,
    });
    noteSent(pending, now, false);
    if (pipe.flow !== undefined) {
      pipe.lastMessage = sent;
      if (pending.isInitiator && this.#resends.start(pipe.id, now, sent.length)) this.#pipes.send(pipe, sent);
    }
    this.#pipes.setDeadline(pipe, pending.deadline);
    pending.phase = handshake.isComplete ? "proof" : "answer";
    if (!handshake.isComplete) return;
    pending.result = handshake.result();
    handshake.destroy();
    if (!pending.isInitiator) this.#agreements.add(pending);
    if (pending.remoteId !== undefined) this.#changed.add(pending.remoteId);
  }

  /** The peer's last message was read: the session is there, and the peer is told so by a PING. */
  #establish(pending: Pending, now: Instant): void {
    const result = pending.handshake.result();
    pending.handshake.destroy();
    const session = this.#makeSession(pending, result, now);
    const confirmToken = session.ping(now);
    const earlyStream = openEarlyStream(pending, session);
    this.#book.add(result.remoteId, result.ticket, now);
    this.#remove(pending);
    const made = { result, session, pipe: pending.pipe, path: 0, confirmToken, earlyStream };
    this.#outcomes.push({ type: "established", pending, ...made });
  }

  /** The peer proved to hold the keys. Who is let in may have changed since they were agreed on. */
  #onProven(
    pending: Pending,
    made: Pick<Extract<HandshakeOutcome, { type: "established" }>, "result" | "session" | "pipe" | "path">,
    now: Instant,
  ): void {
    const { remoteId } = pending;
    this.#remove(pending);
    const isBanned = remoteId !== undefined && this.#banned.has(remoteId);
    if (!isBanned && this.#sessions.size < this.#config.limits.sessionsMax) {
      this.#outcomes.push({ type: "established", pending, ...made, confirmToken: 0 });
      return;
    }
    // Told inside the session: the peer believes nothing else any more.
    const code = isBanned ? "banned" : "limit";
    made.session.close({ code }, now);
    for (let sent = made.session.pollTransmit(now); sent !== undefined; sent = made.session.pollTransmit(now)) {
      this.#pipes.send(made.pipe, sent.bytes);
    }
    this.#sessions.releaseConnectionId(pending.handshake.localConnectionId);
    this.#pipes.drop(made.pipe.id, "close");
    this.#outcomes.push({ type: "failed", pending, code, detail: "" });
  }

  /** Made once: packages that prove nothing may come in any number, and the secrets are wiped. */
  #unproven(pending: Pending, result: HandshakeResult, now: Instant): Session {
    pending.unproven ??= this.#makeSession(pending, result, now);
    return pending.unproven;
  }

  #makeSession(pending: Pending, result: HandshakeResult, now: Instant): Session {
    return makeSession(pending, result, { config: this.#config, env: this.#env, scratch: this.#scratch }, now);
  }

  #refuse(pending: Pending, code: ErrorCode): void {
    this.#discard(pending);
    this.#outcomes.push({ type: "failed", pending, code, detail: "" });
    this.#turnAway(pending.pipe, pending.handshake.remoteConnectionId, code);
  }

  #turnAway(pipe: PipeState, connectionId: number, code: ErrorCode): void {
    this.#pipes.refuse(pipe, connectionId, code);
    this.#pipes.drop(pipe.id, "close");
  }

  #fail(pending: Pending, code: ErrorCode, detail: string): void {
    this.#discard(pending);
    this.#pipes.drop(pending.pipe.id, "destroy");
    this.#outcomes.push({ type: "failed", pending, code, detail });
  }

  /** Ends a handshake that comes to no session. */
  #discard(pending: Pending): void {
    pending.handshake.destroy();
    if (pending.result !== undefined) wipe(pending.result);
    pending.unproven?.drop("crypto", pending.sentAt);
    this.#sessions.releaseConnectionId(pending.handshake.localConnectionId);
    this.#remove(pending);
  }

  #add(pipe: PipeState, handshake: Handshake, dial: Dial | undefined, deadline: Instant, now: Instant): Pending {
    const pending: Pending = {
      pipe,
      handshake,
      isInitiator: handshake.role === "initiator",
      dial,
      startedAt: now,
      sentAt: now,
      isRepeated: false,
      rttMs: undefined,
      deadline,
      phase: "answer",
      remoteId: undefined,
      result: undefined,
      unproven: undefined,
      session: undefined,
    };
    pipe.pending = pending;
    this.#pipes.setDeadline(pipe, deadline);
    return pending;
  }

  /** Notes whom a handshake is with. */
  #name(pending: Pending, id: NodeId | undefined): void {
    if (id === undefined || pending.remoteId !== undefined || pending.handshake.pattern === "NK") return;
    pending.remoteId = id;
    this.#pending.add(id, pending);
  }

  #remove(pending: Pending): void {
    pending.pipe.pending = undefined;
    pending.unproven = undefined;
    if (pending.pipe.flow !== undefined) this.#resends.stop(pending.pipe.id);
    this.#agreements.delete(pending);
    if (pending.session !== undefined) this.#byOwner.delete(pending.session);
    const { remoteId } = pending;
    if (remoteId === undefined) return;
    this.#pending.delete(remoteId, pending);
    this.recheck(remoteId);
  }
}
