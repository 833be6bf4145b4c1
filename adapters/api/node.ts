/**
 * A node as a program holds it: events of the machine become promises, iterators and calls of handlers here.
 *
 * The invariant to hold: every promise handed out is settled when the node ends, and rejects with a `ViaductError` or
 * the reason of the caller's signal.
 *
 * @module
 */

import type { ReadResult, SessionStats, StreamId } from "../../core/connection/session_types.ts";
import { encodeTicket } from "../../core/crypto/ticket.ts";
import type { ErrorCode } from "../../core/error.ts";
import { ViaductError } from "../../core/error.ts";
import type { Instant } from "../../core/machine.ts";
import type { DialId, SessionId } from "../../core/node/endpoint_types.ts";
import type { NodeMachine } from "../../core/node/node.ts";
import type { ConnectTarget, NodeEvent as MachineEvent, RelayId } from "../../core/node/node_types.ts";
import { formatAddress, parseAddress } from "../address.ts";
import { type Drivable, Driver } from "../driver.ts";
import type { ListenOptions, Runtime } from "../runtime.ts";
import { ValueCodec } from "../value_codec.ts";
import { EventReaders } from "./event_readers.ts";
import { LoopbackPeer } from "./loopback_peer.ts";
import { MessageInbox } from "./message_inbox.ts";
import { PeerHandle } from "./peer.ts";
import { PresenceWatch } from "./presence_watch.ts";
import { Responders } from "./responders.ts";
import { parseServed } from "./served_protocol.ts";
import type { StreamHandle } from "./stream.ts";
import { parseRelay, parseTarget } from "./target.ts";
import type {
  CloseInfo,
  ConnectOptions,
  HandleOptions,
  Limits,
  Message,
  Node,
  NodeEvent,
  NodeId,
  NodeOptions,
  NodeStats,
  Peer,
  Presence,
  PresenceEvent,
  RelayStatus,
  RequestHandler,
  SendOptions,
  StreamHandler,
  Target,
  Value,
  WaitOptions,
} from "./types.ts";
import { type Deferred, deferred, disposable, waitFor } from "./waiting.ts";

const STREAMS_PER_PEER_MAX = 256;
const CLOSE_TIMEOUT_MS = 5_000;

/** What a node handle is made of. */
export interface NodeParts<Extra> {
  readonly runtime: Runtime;
  /** What the driver drives: the node itself, or a relay that holds it. */
  readonly machine: Drivable<MachineEvent | Extra>;
  readonly node: NodeMachine;
  readonly id: NodeId;
  readonly limits: Limits;
  readonly options: NodeOptions;
  /** Takes events that are not the node's own. Returns whether it was one. */
  readonly onExtra?: (event: MachineEvent | Extra) => event is Extra;
}

/** A node. */
export class NodeHandle<Extra = never> implements Node {
  readonly id: NodeId;
  readonly runtime: Runtime;
  readonly limits: Limits;
  readonly codec: ValueCodec = new ValueCodec();
  readonly banned: Set<NodeId> = new Set();

  readonly #machine: NodeMachine;
  readonly #driver: Driver<MachineEvent | Extra>;
  readonly #parts: NodeParts<Extra>;
  readonly #bySession = new Map<SessionId, PeerHandle>();
  readonly #byId = new Map<NodeId, PeerHandle>();
  readonly #dials = new Map<DialId, Deferred<PeerHandle>>();
  readonly #handlers = new Map<string, StreamHandler>();
  readonly #responders: Responders = new Responders(this as never);
  readonly #inbox = new MessageInbox((session, size) =>
    this.command((machine, now) => machine.releaseMessage(session, size, now)),
  );
  readonly #eventReaders = new EventReaders();
  readonly #presence: PresenceWatch;
  readonly #relays = new Map<RelayId, RelayStatus>();
  readonly #addresses: string[] = [];
  readonly #ready = deferred();
  readonly #closed = deferred<CloseInfo>();
  #closing: Promise<void> | undefined;
  #closeInfo: CloseInfo = { closeCode: 0, reason: "", code: "closed", isRemote: false };
  #name: string | undefined;
  #token: Uint8Array | undefined;
  #isMachineClosed = false;
  #onMachineClosed: () => void = () => {};
  #loopback: LoopbackPeer | undefined;

  constructor(parts: NodeParts<Extra>) {
    this.#parts = parts;
    this.id = parts.id;
    this.runtime = parts.runtime;
    this.limits = parts.limits;
    this.#machine = parts.node;
    this.#token = parts.options.token;
    this.#driver = new Driver({
      runtime: parts.runtime,
      machine: parts.machine,
      onEvent: (event) => {
        if (parts.onExtra?.(event) !== true) this.#onEvent(event as MachineEvent);
      },
      onFailure: (error) => this.#onFailure(error),
    });
    this.#presence = new PresenceWatch(this as never);
    parts.node.serve("", [0], { streamsPerPeerMax: parts.limits.streamsMax });
  }

  get name(): string | undefined {
    return this.#name;
  }

  get token(): Uint8Array | undefined {
    return this.#token;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get relays(): readonly RelayStatus[] {
    return [...this.#relays.values()];
  }

  get peers(): ReadonlyMap<NodeId, Peer> {
    return this.#byId;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get closed(): Promise<CloseInfo> {
    return this.#closed.promise;
  }

  /** Begins what the options ask for: listeners and relays. */
  async start(listenOptions?: ListenOptions): Promise<void> {
    const { listen = [], relays = [], signal } = this.#parts.options;
    try {
      for (const address of listen) await this.listen(address, listenOptions);
      for (const relay of relays) this.addRelay(relay);
    } catch (error) {
      await this.close({ timeoutMs: 0 });
      throw error;
    }
    if (relays.length === 0) this.#ready.resolve();
    if (signal === undefined) return;
    const onAbort = (): void => void this.close({ reason: "aborted" });
    signal.addEventListener("abort", onAbort, { once: true });
    void this.closed.finally(() => signal.removeEventListener("abort", onAbort));
  }

  ticket(options: { readonly token?: Uint8Array } = {}): string {
    const relays = this.relays
      .filter((relay) => relay.state !== "refused")
      .map((relay) => ({ addresses: [relay.address], ...(relay.id === undefined ? {} : { id: relay.id }) }));
    return encodeTicket(
      {
        id: this.id,
        addresses: this.#addresses.slice(0, 16),
        relays: relays.slice(0, 8),
        ...(this.#name === undefined ? {} : { name: this.#name }),
        ...(options.token === undefined ? {} : { token: options.token }),
      },
      this.runtime.crypto,
    );
  }

  async listen(text: string, options?: ListenOptions): Promise<string> {
    this.#requireOpen();
    const address = parseAddress(text);
    if (address === undefined) throw new ViaductError("address_invalid", { detail: text.slice(0, 128) });
    if (!this.runtime.canListen.includes(address.scheme)) {
      throw new ViaductError("unsupported", { detail: `${this.runtime.name} cannot listen on ${address.scheme}://` });
    }
    const listener = await this.#driver.listen(address, options);
    const bound = formatAddress(listener.address);
    this.#addresses.push(bound);
    this.#tell({ type: "listening", address: bound });
    return bound;
  }

  addRelay(relay: string): void {
    this.#requireOpen();
    const target = parseRelay(relay, this.runtime.crypto);
    this.command((machine, now) => machine.addRelay(target, now));
  }

  async connect(target: Target, options: ConnectOptions = {}): Promise<Peer> {
    this.#requireOpen();
    options.signal?.throwIfAborted();
    return await this.#connect(parseTarget(target, this.runtime.crypto), options);
  }

  handle(protocol: string | readonly string[], handler: StreamHandler, options: HandleOptions = {}): Disposable {
    const { name, versions } = parseServed(typeof protocol === "string" ? [protocol] : protocol);
    if (this.#handlers.has(name)) throw new TypeError(`Cannot handle protocol as '${name}' is handled already`);
    const streamsPerPeerMax = options.streamsPerPeerMax ?? STREAMS_PER_PEER_MAX;
    this.command((machine) => machine.serve(name, versions, { streamsPerPeerMax }));
    this.#handlers.set(name, handler);
    return disposable(() => {
      if (this.#handlers.get(name) !== handler) return;
      this.#handlers.delete(name);
      this.command((machine) => machine.unserve(name));
    });
  }

  respond(name: string, handler: RequestHandler): Disposable {
    return this.#responders.respond(name, handler);
  }

  messages(options: { readonly topic?: string; readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Message> {
    return this.#inbox.read(options, this.#isMachineClosed);
  }

  async send(target: Target | Peer, value: Value, options: SendOptions = {}): Promise<void> {
    const peer = await this.#peerOf(target, options);
    await peer.send(value, options);
  }

  async request(target: Target | Peer, name: string, value: Value, options: WaitOptions = {}): Promise<Value> {
    const peer = await this.#peerOf(target, options);
    return await peer.request(name, value, options);
  }

  async broadcast(
    value: Value,
    options: SendOptions & { readonly filter?: (peer: Peer) => boolean } = {},
  ): Promise<number> {
    const { filter } = options;
    const peers = [...this.#bySession.values()].filter((peer) => peer.state !== "closed" && filter?.(peer) !== false);
    const outcomes = await Promise.allSettled(peers.map((peer) => peer.send(value, options)));
    options.signal?.throwIfAborted();
    return outcomes.filter((outcome) => outcome.status === "fulfilled").length;
  }

  async who(options: WaitOptions = {}): Promise<Presence[]> {
    await waitFor(this.ready, options, this.runtime);
    return await this.#presence.who(options);
  }

  watch(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<PresenceEvent> {
    return this.#presence.watch(options, this.#isMachineClosed);
  }

  ban(id: NodeId): void {
    this.banned.add(id);
    this.command((machine, now) => machine.ban(id, now));
  }

  unban(id: NodeId): void {
    this.banned.delete(id);
    this.command((machine) => machine.unban(id));
  }

  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<NodeEvent> {
    return this.#eventReaders.read(options, this.#isMachineClosed);
  }

  stats(): NodeStats {
    const { sessions, handshakes, dropped } = this.#machine.stats();
    let bytesSent = 0;
    let bytesReceived = 0;
    for (const session of this.#bySession.keys()) {
      const stats = this.#machine.session(session)?.stats();
      bytesSent += stats?.bytesSent ?? 0;
      bytesReceived += stats?.bytesReceived ?? 0;
    }
    return {
      runtime: this.runtime.name,
      cryptoProvider: this.runtime.crypto.name,
      sessions,
      pipes: this.#driver.pipeCount,
      handshakes,
      bytesSent,
      bytesReceived,
      dropped,
    };
  }

  close(options: { readonly reason?: string; readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  // For peers and streams.

  /** Gives the machine a command; what it brings about is carried out in this turn of the event loop. */
  command<Result>(act: (machine: NodeMachine, now: Instant) => Result): Result {
    const result = act(this.#machine, this.runtime.now());
    this.#driver.schedule();
    return result;
  }

  write(session: SessionId, stream: StreamId, bytes: Uint8Array): number {
    const taken = this.#machine.write(session, stream, bytes, 0);
    this.#driver.schedule();
    return taken;
  }

  read(session: SessionId, stream: StreamId): ReadResult {
    const result = this.#machine.read(session, stream);
    // Reading may grant credit, or be the last thing that a session waited for.
    this.#driver.schedule();
    return result;
  }

  peerName(session: SessionId): string | undefined {
    return this.#machine.peerName(session);
  }

  sessionStats(session: SessionId): SessionStats | undefined {
    return this.#machine.session(session)?.stats();
  }

  datagramBytesMax(session: SessionId): number {
    return this.#machine.session(session)?.datagramBytesMax ?? 0;
  }

  /** Hands an accepted stream to its handler; a handler that fails loses the stream. */
  serveStream(stream: StreamHandle, peer: PeerHandle): void {
    const name = stream.protocol.slice(0, stream.protocol.lastIndexOf("/"));
    const handler = this.#handlers.get(name);
    if (handler === undefined) {
      stream.resetFor("unknown_protocol");
      return;
    }
    // In a promise, so that a handler that throws at once is caught as well.
    void Promise.resolve()
      .then(() => handler(stream, peer))
      .catch(() => stream.resetFor("handler_failed"));
  }

  // Events of the machine.

  #onEvent(event: MachineEvent): void {
    switch (event.type) {
      case "peerConnected":
        this.#onPeerConnected(event);
        return;
      case "connected":
      case "connectFailed":
        this.#onDialEnd(event);
        return;
      case "relay":
        this.#onRelay(event);
        return;
      case "presence":
        this.#presence.onChange({ type: event.change, node: event.node });
        return;
      case "presenceComplete":
        this.#presence.onComplete();
        return;
      case "closed":
        this.#isMachineClosed = true;
        this.#onMachineClosed();
        return;
      default: {
        const peer = this.#bySession.get(event.session);
        if (peer !== undefined) this.#onPeerEvent(peer, event);
      }
    }
  }

  #onPeerEvent(peer: PeerHandle, event: Extract<MachineEvent, { session: SessionId }>): void {
    switch (event.type) {
      case "message":
        this.#onMessage({ from: peer, topic: event.topic, bytes: event.bytes, session: event.session });
        return;
      case "request":
        void this.#responders.answer(peer, event);
        return;
      case "response":
        peer.onResponse(event.request, event.bytes);
        return;
      case "requestFailed":
        peer.onRequestFailed(event);
        return;
      case "requestCancelled":
        peer.onRequestCancelled(event.request);
        return;
      case "messagesWritable":
        peer.onMessagesWritable();
        return;
      case "streamsAvailable":
        peer.onStreamsAvailable();
        return;
      case "datagram":
        peer.onDatagram(event.bytes);
        return;
      case "pong":
        peer.onPong(event);
        return;
      case "peerSuspended":
        peer.state = "suspended";
        this.#tell({ type: "peerSuspended", peer });
        return;
      case "peerResumed":
        peer.state = "connected";
        this.#tell({ type: "peerResumed", peer });
        return;
      case "pathUp":
      case "pathDown":
        this.#tell({ type: event.type, peer, path: event.path });
        return;
      case "peerClosed": {
        this.#bySession.delete(event.session);
        if (peer.id !== undefined && this.#byId.get(peer.id) === peer) this.#byId.delete(peer.id);
        peer.onClosed(event.closed);
        void peer.closed.then((info) => this.#tell({ type: "peerClosed", peer, info }));
        return;
      }
      case "peerConnected":
      case "connected":
        return;
      default:
        peer.onStreamEvent(event);
    }
  }

  #onPeerConnected(event: Extract<MachineEvent, { type: "peerConnected" }>): void {
    const peer = new PeerHandle(this as never, event);
    this.#bySession.set(event.session, peer);
    const { accept } = this.#parts.options;
    if (!event.isInitiator && accept?.({ id: event.remoteId, initMessage: event.initMessage }) === false) {
      this.command((machine, now) => machine.closePeer(event.session, { code: "refused" }, now));
      return;
    }
    if (event.remoteId !== undefined) this.#byId.set(event.remoteId, peer);
    this.#tell({ type: "peerConnected", peer });
  }

  #onDialEnd(event: Extract<MachineEvent, { type: "connected" | "connectFailed" }>): void {
    const dial = this.#dials.get(event.dial);
    this.#dials.delete(event.dial);
    if (event.type === "connected") {
      const peer = this.#bySession.get(event.session);
      if (peer === undefined) dial?.reject(new ViaductError("closed", { detail: "The session ended at once" }));
      else dial?.resolve(peer);
    } else dial?.reject(new ViaductError(event.code, event.detail === "" ? {} : { detail: event.detail }));
  }

  #onRelay(event: Extract<MachineEvent, { type: "relay" }>): void {
    if (event.state === "registered") {
      this.#name ??= event.name;
      this.#token = event.token ?? this.#token;
    }
    const status: RelayStatus = {
      address: event.address,
      id: event.id,
      state: event.state,
      name: event.name,
      error: event.error,
      retryInMs: event.retryInMs,
    };
    this.#relays.set(event.relay, status);
    if (event.state === "registered") this.#ready.resolve();
    this.#tell({ type: "relay", relay: status });
  }

  #onMessage(event: { from: Peer; topic: string; bytes: Uint8Array; session: SessionId }): void {
    let value: Value;
    try {
      value = this.codec.decode(event.bytes);
    } catch {
      // Whole and in order, but no value: the peer broke what it promised.
      this.command((machine, now) => {
        machine.releaseMessage(event.session, event.bytes.length, now);
        machine.closePeer(event.session, { code: "message_invalid" }, now);
      });
      return;
    }
    const { from, topic, session } = event;
    this.#inbox.deliver({ from, topic, value, session, size: event.bytes.length });
  }

  // Private.

  async #connect(target: ConnectTarget, options: ConnectOptions): Promise<PeerHandle> {
    const { initMessage } = this.#parts.options;
    const dial = this.command((machine, now) =>
      machine.connect(
        this.#withOwnAddress(target),
        {
          isAnonymous: options.isAnonymous ?? false,
          via: options.via ?? "auto",
          ...(initMessage === undefined ? {} : { initMessage }),
          ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
        },
        now,
      ),
    );
    const outcome = deferred<PeerHandle>();
    this.#dials.set(dial, outcome);
    const peer = await waitFor(
      outcome.promise,
      options.signal === undefined ? undefined : { signal: options.signal },
      this.runtime,
      () => {
        this.#dials.delete(dial);
        this.command((machine, now) => machine.cancelConnect(dial, now));
      },
    );
    // Refused right after the handshake, by a ban list or an `accept` that says no.
    if (peer.error !== undefined) throw peer.error;
    return peer;
  }

  /** A node that listens reaches itself by its own addresses. */
  #withOwnAddress(target: ConnectTarget): ConnectTarget {
    if (target.id !== this.id || target.addresses.length > 0) return target;
    return { ...target, addresses: this.#addresses.map((address) => address.replace("//0.0.0.0:", "//127.0.0.1:")) };
  }

  async #peerOf(target: Target | Peer, options: WaitOptions): Promise<Pick<Peer, "send" | "request">> {
    if (target instanceof PeerHandle) return target;
    const parsed = parseTarget(target as Target, this.runtime.crypto);
    if (parsed.id === this.id) {
      this.#loopback ??= new LoopbackPeer(this, (message) => this.#inbox.deliver(message), this.#responders.handlers);
      return this.#loopback;
    }
    const known = parsed.id === undefined ? undefined : this.#byId.get(parsed.id);
    return known ?? (await this.#connect(parsed, options));
  }

  #tell(event: NodeEvent): void {
    this.#eventReaders.tell(event);
  }

  async #close(options: { readonly reason?: string; readonly timeoutMs?: number }): Promise<void> {
    const reason = options.reason ?? "";
    this.#closeInfo = { ...this.#closeInfo, reason };
    const ended = deferred();
    this.#onMachineClosed = ended.resolve;
    if (!this.#driver.isDisposed && !this.#isMachineClosed) {
      void this.#driver.closeListeners();
      this.command((machine, now) => machine.close("going_away", reason, now));
      const timeoutMs = options.timeoutMs ?? CLOSE_TIMEOUT_MS;
      await waitFor(ended.promise, { timeoutMs }, this.runtime).catch(() => undefined);
    }
    this.#end("closed");
  }

  #onFailure(error: unknown): void {
    // A bug of ours must not hide: it is told to whoever holds the node, and as an uncaught error.
    this.#closeInfo = { closeCode: 0, reason: String(error), code: "internal", isRemote: false };
    this.#end("internal");
    queueMicrotask(() => {
      throw error;
    });
  }

  #end(code: ErrorCode): void {
    this.#isMachineClosed = true;
    this.#driver[Symbol.dispose]();
    for (const peer of [...this.#bySession.values()]) {
      peer.onClosed({
        type: "closed",
        code,
        applicationCode: undefined,
        reason: this.#closeInfo.reason,
        isRemote: false,
      });
    }
    this.#bySession.clear();
    this.#byId.clear();
    const error = new ViaductError(code);
    for (const dial of this.#dials.values()) dial.reject(error);
    this.#dials.clear();
    this.#inbox.end();
    this.#eventReaders.end();
    this.#presence.end();
    this.#ready.reject(error);
    this.#closed.resolve(this.#closeInfo);
  }

  #requireOpen(): void {
    if (this.#closing !== undefined || this.#driver.isDisposed) throw new ViaductError("closed");
  }
}
