/**
 * A node as a program holds it: events of the machine become promises, iterators and calls of handlers here.
 *
 * The invariant to hold: every promise handed out is settled when the node ends, and rejects with a `ViaductError` or
 * the reason of the caller's signal.
 *
 * @module
 */

import type { ReadResult, SessionClosed, SessionStats, StreamId } from "../../core/connection/session_types.ts";
import { ViaductError } from "../../core/error.ts";
import type { Instant } from "../../core/machine.ts";
import type { SessionId } from "../../core/node/endpoint_types.ts";
import type { NodeMachine } from "../../core/node/node.ts";
import type { NodeEvent as MachineEvent } from "../../core/node/node_types.ts";
import { formatAddress, parseAddress } from "../address.ts";
import { type Drivable, Driver } from "../driver.ts";
import type { ListenOptions, Runtime } from "../runtime.ts";
import { ValueCodec } from "../value_codec.ts";
import { Dials } from "./dials.ts";
import { EventReaders } from "./event_readers.ts";
import { LOOPBACK_SESSION, LoopbackPeer } from "./loopback_peer.ts";
import { MessageInbox } from "./message_inbox.ts";
import { admissionBytes } from "./options.ts";
import { OwnRelays } from "./own_relays.ts";
import { ownTicket } from "./own_ticket.ts";
import { PeerHandle } from "./peer.ts";
import { PeerTable } from "./peer_table.ts";
import { PresenceWatch } from "./presence_watch.ts";
import { Responders } from "./responders.ts";
import type { StreamHandle } from "./stream.ts";
import { StreamHandlers } from "./stream_handlers.ts";
import { checkedNodeId, parseRelay, parseTarget } from "./target.ts";
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
  OpenStreamOptions,
  Peer,
  Presence,
  PresenceEvent,
  RelayStatus,
  RequestHandler,
  SendOptions,
  Stream,
  StreamHandler,
  Target,
  Value,
  WaitOptions,
} from "./types.ts";
import { alsoDisposable, deferred, fromNowOn, waitFor } from "./waiting.ts";

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
  readonly #peers = new PeerTable();
  readonly #dials: Dials;
  readonly #handlers: StreamHandlers = new StreamHandlers(this as never);
  readonly #responders: Responders = new Responders(this as never);
  readonly #inbox = new MessageInbox((session, size) => this.#release(session, size));
  readonly #eventReaders = new EventReaders();
  readonly #presence: PresenceWatch;
  readonly #relays: OwnRelays;
  readonly #addresses: string[] = [];
  readonly #ready = deferred();
  readonly #closed = deferred<CloseInfo>();
  #closing: Promise<void> | undefined;
  #closeInfo: CloseInfo = { closeCode: 0, reason: "", code: "closed", isRemote: false };
  #isMachineClosed = false;
  #isEnded = false;
  #onMachineClosed: () => void = () => {};
  #loopback: LoopbackPeer | undefined;

  constructor(parts: NodeParts<Extra>) {
    this.#parts = parts;
    this.id = parts.id;
    this.runtime = parts.runtime;
    this.limits = parts.limits;
    this.#machine = parts.node;
    this.#relays = new OwnRelays(parts.options.token);
    this.#dials = new Dials(this as never, parts.options.initMessage);
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
    return this.#relays.name;
  }

  get token(): Uint8Array | undefined {
    return this.#relays.token;
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get relays(): readonly RelayStatus[] {
    return this.#relays.statuses;
  }

  get peers(): ReadonlyMap<NodeId, Peer> {
    return this.#peers.byId;
  }

  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Whether nothing new is begun any more. */
  get isClosing(): boolean {
    return this.#closing !== undefined || this.#driver.isDisposed;
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
    const { id, name, addresses, relays } = this;
    const { announce: announced = [] } = this.#parts.options;
    return ownTicket({ id, name, announced, addresses, relays, token: options.token }, this.runtime);
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

  setAdmission(admission: string): void {
    this.#requireOpen();
    const bytes = admissionBytes(admission);
    this.command((machine, now) => machine.setAdmission(bytes, now));
  }

  async connect(target: Target, options: ConnectOptions = {}): Promise<Peer> {
    this.#requireOpen();
    options.signal?.throwIfAborted();
    return await this.#dials.connect(parseTarget(target, this.runtime.crypto), options);
  }

  async openStream(
    target: Target,
    protocol: string | readonly string[],
    options: OpenStreamOptions = {},
  ): Promise<Stream> {
    this.#requireOpen();
    options.signal?.throwIfAborted();
    const protocols = typeof protocol === "string" ? [protocol] : protocol;
    return await this.#dials.openStream(parseTarget(target, this.runtime.crypto), protocols, options);
  }

  handle(protocol: string | readonly string[], handler: StreamHandler, options: HandleOptions = {}): Disposable {
    return this.#handlers.handle(protocol, handler, options);
  }

  respond(name: string, handler: RequestHandler): Disposable {
    return this.#responders.respond(name, handler);
  }

  messages(options: { readonly topic?: string; readonly signal?: AbortSignal } = {}): AsyncIterableIterator<Message> {
    return this.#inbox.read(options, this.#isMachineClosed);
  }

  async send(target: Target | Peer, value: Value, options: SendOptions = {}): Promise<void> {
    const wait = fromNowOn(options, this.runtime);
    const peer = await this.#peerOf(target, wait);
    await peer.send(value, wait);
  }

  async request(target: Target | Peer, name: string, value: Value, options: WaitOptions = {}): Promise<Value> {
    const wait = fromNowOn(options, this.runtime);
    const peer = await this.#peerOf(target, wait);
    return await peer.request(name, value, wait);
  }

  async broadcast(
    value: Value,
    options: SendOptions & { readonly filter?: (peer: Peer) => boolean } = {},
  ): Promise<number> {
    const { filter } = options;
    this.#requireOpen();
    // What cannot be sent to anybody is the caller's to know.
    this.codec.encode(value, this.limits.messageBytesMax);
    const peers = [...this.#peers.all()].filter(
      (peer) => peer.state !== "closed" && peer.id !== this.id && filter?.(peer) !== false,
    );
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
    const node = checkedNodeId(id, this.runtime.crypto);
    this.banned.add(node);
    this.command((machine, now) => machine.ban(node, now));
  }

  unban(id: NodeId): void {
    const node = checkedNodeId(id, this.runtime.crypto);
    this.banned.delete(node);
    this.command((machine) => machine.unban(node));
  }

  events(options: { readonly signal?: AbortSignal } = {}): AsyncIterableIterator<NodeEvent> {
    return this.#eventReaders.read(options, this.#isMachineClosed);
  }

  stats(): NodeStats {
    const { sessions, handshakes, dropped } = this.#machine.stats();
    return {
      runtime: this.runtime.name,
      cryptoProvider: this.runtime.crypto.name,
      sessions,
      pipes: this.#driver.pipeCount,
      handshakes,
      ...this.#peers.bytes(),
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

  serveStream(stream: StreamHandle, peer: PeerHandle): void {
    this.#handlers.serve(stream, peer);
  }

  /** What the program's own code threw must not vanish. */
  tellHandlerFailed(name: string, peer: Peer | undefined, error: unknown): void {
    this.#tell({ type: "handlerFailed", name, peer, error });
  }

  // Events of the machine.

  #onEvent(event: MachineEvent): void {
    switch (event.type) {
      case "incoming":
        this.#onIncoming(event);
        return;
      case "peerConnected":
        this.#onPeerConnected(event);
        return;
      case "connected":
      case "connectFailed":
        this.#dials.onEnd(event, (session) => this.#peers.get(session));
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
        // A relay closes by itself once it is drained.
        if (this.#closing === undefined) this.#end(new ViaductError("closed"));
        return;
      default: {
        const peer = this.#peers.get(event.session);
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
        peer.onStreamsAvailable(event.isUnidirectional);
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
        this.#peers.remove(peer, event.closed);
        void peer.closed.then((info) => this.#tell({ type: "peerClosed", peer, info }));
        return;
      }
      case "incoming":
      case "peerConnected":
      case "connected":
        return;
      default:
        peer.onStreamEvent(event);
    }
  }

  #onPeerConnected(event: Extract<MachineEvent, { type: "peerConnected" }>): void {
    const peer = new PeerHandle(this as never, event);
    this.#peers.add(peer);
    this.#tell({ type: "peerConnected", peer });
  }

  /** Asks the program about somebody who has no session yet; what it throws is a refusal. */
  #onIncoming({ session, remoteId, initMessage }: Extract<MachineEvent, { type: "incoming" }>): void {
    const decide = (isAccepted: boolean): void => {
      if (this.#isMachineClosed) return;
      this.command((machine, now) => {
        if (isAccepted) machine.acceptIncoming(session, now);
        else machine.refuseIncoming(session, "refused", now);
      });
    };
    const onFailure = (error: unknown): void => {
      this.tellHandlerFailed("accept", undefined, error);
      decide(false);
    };
    try {
      const answer = this.#parts.options.accept?.({ id: remoteId, initMessage });
      if (typeof answer !== "object") decide(answer !== false);
      else answer.then((isAccepted) => decide(isAccepted !== false), onFailure);
    } catch (error) {
      onFailure(error);
    }
  }

  #onRelay(event: Extract<MachineEvent, { type: "relay" }>): void {
    const relay = this.#relays.update(event);
    if (event.state === "registered") this.#ready.resolve();
    this.#tell({ type: "relay", relay });
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

  async #peerOf(target: Target | Peer, options: WaitOptions): Promise<Pick<Peer, "send" | "request">> {
    this.#requireOpen();
    if (target instanceof PeerHandle || target instanceof LoopbackPeer) return target;
    const parsed = parseTarget(target as Target, this.runtime.crypto);
    if (parsed.id === this.id) return this.#self();
    const known = parsed.id === undefined ? undefined : this.#peers.byId.get(parsed.id);
    return known ?? (await this.#dials.connect(parsed, options));
  }

  #self(): LoopbackPeer {
    const { id } = this;
    this.#loopback ??= new LoopbackPeer({
      node: this as never,
      deliver: (message) => this.#inbox.deliver(message),
      responders: this.#responders.handlers,
      connect: (options) => this.#dials.connect({ id, addresses: [], relays: [] }, options),
    });
    return this.#loopback;
  }

  /** The program took messages. */
  #release(session: SessionId, size: number): void {
    if (session === LOOPBACK_SESSION) this.#loopback?.onTaken(size);
    else this.command((machine, now) => machine.releaseMessage(session, size, now));
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
    this.#end(new ViaductError("closed", reason === "" ? {} : { detail: reason }));
  }

  /** A bug of ours ends this node, not the process; everybody who waits is told what it was. */
  #onFailure(error: unknown): void {
    this.#closeInfo = { closeCode: 0, reason: String(error), code: "internal", isRemote: false };
    this.#tell({ type: "failed", error });
    this.#end(new ViaductError("internal", { cause: error, detail: String(error) }));
  }

  #end(error: ViaductError): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#isMachineClosed = true;
    this.#driver.dispose();
    const closed: SessionClosed = {
      type: "closed",
      code: error.code,
      applicationCode: undefined,
      reason: this.#closeInfo.reason,
      isRemote: false,
    };
    for (const peer of [...this.#peers.all()]) this.#peers.remove(peer, closed);
    this.#dials.fail(error);
    this.#loopback?.onNodeClosed(error);
    this.#inbox.end();
    this.#eventReaders.end();
    this.#presence.end();
    this.#ready.reject(error);
    this.#closed.resolve(this.#closeInfo);
  }

  #requireOpen(): void {
    if (this.isClosing) throw new ViaductError("closed");
  }
}

alsoDisposable(NodeHandle);
