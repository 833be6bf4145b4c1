/**
 * Which protocol each stream of a session speaks, and who hears of it. Implements PROTOCOL §7.
 *
 * The invariant to hold: the application hears of a peer's stream only after its header and of nothing after a refusal;
 * once its lead is through, a stream is looked up nowhere on its way between the application and the session.
 *
 * @module
 */

import type { ReadResult, StreamId } from "../connection/session_types.ts";
import type { ErrorCode } from "../error.ts";
import { ProtocolError } from "../error.ts";
import type { Bytes, Instant } from "../machine.ts";
import type { Endpoint } from "./endpoint.ts";
import type { SessionId } from "./endpoint_types.ts";
import type { HeldStream } from "./held_streams.ts";
import { HeldStreams } from "./held_streams.ts";
import { MESSAGE_PROTOCOL, MESSAGE_VERSION } from "./message_channel.ts";
import type { NodeStreamEvent, OpenStreamOptions } from "./node_types.ts";
import { protocolText } from "./protocol_name.ts";
import type { ProtocolChoice, ProtocolTable } from "./protocol_table.ts";
import { errorCodeOfStreamCode, streamCodeOf } from "./stream_code.ts";
import type { StreamHeader } from "./stream_header.ts";
import { encodeStreamHeader, encodeStreamStatus } from "./stream_header.ts";

const UNIDIRECTIONAL_BIT = 2; // RFC 9000 §2.1
/** By these numbers in STOP_SENDING a unidirectional stream is refused. PROTOCOL §7.4. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "unknown_protocol",
  "protocol_refused",
  "limit",
  "going_away",
]);

/** What the streams of a session need around them. */
export interface NegotiationHost {
  readonly session: SessionId;
  readonly isInitiator: boolean;
  readonly endpoint: Endpoint;
  readonly protocols: ProtocolTable;
  readonly headerTimeoutMs: number;
  /** Whether streams are still opened and accepted. */
  readonly isOpen: () => boolean;
  /** Queues an event for the application. */
  readonly emit: (event: NodeStreamEvent) => void;
  /** Hands an event to the extensions; whether one of them took it. */
  readonly offer: (event: NodeStreamEvent, now: Instant) => boolean;
  /** Takes a message stream and what came behind its header. */
  readonly acceptMessages: (stream: StreamId, leftover: Bytes | undefined, now: Instant) => void;
}

/** The streams of one session, but for message streams once they are accepted. */
export class StreamNegotiation {
  readonly #host: NegotiationHost;
  readonly #held = new HeldStreams();
  readonly #readStream = (stream: StreamId): ReadResult => this.#host.endpoint.read(this.#host.session, stream);
  /** Streams that the peer opened and that are open, with their protocol. */
  #accepted: Map<StreamId, string> | undefined;
  /** How many there are of each protocol; for the limit of each. */
  #counts: Map<string, number> | undefined;
  /** Streams of the extensions. */
  #extensionStreams: Set<StreamId> | undefined;

  constructor(host: NegotiationHost) {
    this.#host = host;
  }

  /** Whether bytes are held that the application has not taken. */
  get hasLeftovers(): boolean {
    return this.#held.leftovers > 0;
  }

  /** Whether extensions have streams here: relay client and circuits, on a session with a relay. */
  get hasExtensionStreams(): boolean {
    return (this.#extensionStreams?.size ?? 0) > 0;
  }

  /** When a header is late. */
  get deadline(): Instant {
    return this.#held.deadline;
  }

  /** The session lost its last path, or has one again. */
  onReachable(isReachable: boolean, now: Instant): void {
    if (isReachable) this.#held.resume(now);
    else this.#held.pause(now);
  }

  handleTimeout(now: Instant): void {
    for (const stream of this.#held.late(now)) this.#giveUp(stream, "timeout", now);
  }

  // Commands.

  /** Opens a stream and sends its header; `undefined` when the peer allows no more now. */
  open(options: OpenStreamOptions, isExtension: boolean, now: Instant): StreamId | undefined {
    const { protocol, metadata, priority = 0, isUnidirectional = false } = options;
    const header = encodeStreamHeader({ name: protocol.name, versions: protocol.versions, metadata });
    const { endpoint, session } = this.#host;
    if (!this.#host.isOpen()) return undefined;
    const stream = endpoint.openStream(session, { isUnidirectional, priority }, now);
    if (stream === undefined) return undefined;
    endpoint.write(session, stream, header, now);
    if (!isUnidirectional) this.#held.awaitStatus(stream, protocol);
    if (isExtension) this.#ofExtensions(stream);
    return stream;
  }

  /** As `open`, of a bidirectional stream whose header was sent with the handshake. */
  adopt(stream: StreamId, { protocol, priority = 0 }: OpenStreamOptions): void {
    this.#host.endpoint.setPriority(this.#host.session, stream, priority);
    this.#held.awaitStatus(stream, protocol);
  }

  read(stream: StreamId): ReadResult {
    const held = this.#held.get(stream);
    if (held === undefined) return this.#readStream(stream);
    if (held.phase !== "leftover") return undefined;
    return { type: "data", bytes: this.#held.takeLeftover(held) };
  }

  stop(stream: StreamId, applicationCode: number, now: Instant): void {
    if (this.#held.get(stream)?.phase === "leftover") this.#held.forget(stream);
    this.#host.endpoint.stop(this.#host.session, stream, applicationCode, now);
  }

  // Events of the session. They throw `ProtocolError` when the peer broke the protocol.

  onOpened(stream: StreamId, now: Instant): void {
    this.#held.awaitHeader(stream, now + this.#host.headerTimeoutMs);
  }

  onReadable(stream: StreamId, now: Instant): void {
    const held = this.#held.get(stream);
    if (held?.phase === "dropped") return;
    if (held?.phase === "header" || held?.phase === "status") this.#readLead(held, now);
    else this.#emit({ type: "readable", session: this.#host.session, stream }, now);
  }

  onWritable(stream: StreamId, now: Instant): void {
    if (this.#isUnknown(stream)) return;
    this.#emit({ type: "writable", session: this.#host.session, stream }, now);
  }

  onDelivered(stream: StreamId, now: Instant): void {
    if (this.#isUnknown(stream)) return;
    const held = this.#held.get(stream);
    // Acknowledged is not taken: a stream may be refused after all of it arrived, and then nobody has it.
    if (held?.phase === "status") {
      held.isDelivered = true;
      return;
    }
    this.#emit({ type: "delivered", session: this.#host.session, stream }, now);
  }

  onStopped(stream: StreamId, applicationCode: number, now: Instant): void {
    const held = this.#held.get(stream);
    if (held?.phase === "dropped") return;
    if (held?.phase === "header" || held?.phase === "status") {
      // The lead decides what it means.
      held.stoppedCode = applicationCode;
      return;
    }
    const { session } = this.#host;
    const code = errorCodeOfStreamCode(applicationCode);
    if (code !== undefined && REFUSALS.has(code) && this.#isOwnUnidirectional(stream)) {
      this.#emit({ type: "streamRefused", session, stream, code }, now);
    } else {
      this.#emit({ type: "stopped", session, stream, applicationCode }, now);
    }
  }

  onClosed(stream: StreamId, now: Instant): void {
    const isUnknown = this.#isUnknown(stream);
    this.#held.forget(stream);
    this.#uncount(stream);
    if (!isUnknown) this.#emit({ type: "streamClosed", session: this.#host.session, stream }, now);
    this.#extensionStreams?.delete(stream);
  }

  #readLead(held: HeldStream, now: Instant): void {
    const outcome = this.#held.readLead(held, this.#readStream);
    if (outcome === undefined) return;
    if (outcome.type === "header") this.#onHeader(held, outcome.header, now);
    else if (outcome.type === "reset") this.#onLeadReset(held, outcome.applicationCode, now);
    else if (outcome.status.type === "refused") this.#onRefused(held.stream, outcome.status.code, now);
    else this.#onAccepted(held, outcome.status.version, now);
  }

  /** The other side gave a stream up before its lead was complete. */
  #onLeadReset(held: HeldStream, applicationCode: number, now: Instant): void {
    const code = errorCodeOfStreamCode(applicationCode);
    if (held.phase === "status" && code === undefined) {
      // Taken and given up by the application before its status was read: a reset drops what it overtakes.
      this.#onRefused(held.stream, "stream_reset", now, applicationCode);
    } else if (held.phase === "status") {
      this.#onRefused(held.stream, code ?? "protocol_refused", now);
    } else {
      this.#giveUp(held.stream, "protocol_refused", now);
    }
  }

  // Streams that the peer opened.

  #onHeader(held: HeldStream, header: StreamHeader, now: Instant): void {
    const { stream } = held;
    if (header.name === MESSAGE_PROTOCOL) {
      this.#onMessageStream(held, header, now);
      return;
    }
    const { protocols } = this.#host;
    const claimed = protocols.chooseClaimed(header.name, header.versions);
    const served = protocols.choose(header.name, header.versions);
    const choice = claimed ?? served;
    // A relay is client and server of the same protocol: the wider limit holds.
    const streamsMax = Math.max(claimed?.served.streamsPerPeerMax ?? 0, served?.served.streamsPerPeerMax ?? 0);
    if (choice === undefined) {
      this.#refuse(stream, "unknown_protocol", now);
    } else if (!this.#host.isOpen()) {
      this.#refuse(stream, "going_away", now);
    } else if ((this.#counts?.get(header.name) ?? 0) >= streamsMax) {
      this.#refuse(stream, "limit", now);
    } else {
      this.#accept(held, { header, choice, isClaimed: claimed !== undefined }, now);
    }
  }

  #onMessageStream(held: HeldStream, header: StreamHeader, now: Instant): void {
    if (!isUnidirectional(held.stream) || !header.versions.includes(MESSAGE_VERSION)) {
      this.#refuse(held.stream, "unknown_protocol", now);
      return;
    }
    const leftover = held.phase === "leftover" ? this.#held.takeLeftover(held) : undefined;
    this.#host.acceptMessages(held.stream, leftover, now);
  }

  #accept(
    held: HeldStream,
    terms: { readonly header: StreamHeader; readonly choice: ProtocolChoice; readonly isClaimed: boolean },
    now: Instant,
  ): void {
    const { stream } = held;
    const { header, choice, isClaimed } = terms;
    const { endpoint, session } = this.#host;
    if (!isUnidirectional(stream)) {
      endpoint.write(session, stream, encodeStreamStatus({ type: "accepted", version: choice.version }), now);
    }
    this.#count(stream, header.name);
    const early = endpoint.earlyOf(session);
    const opened: NodeStreamEvent = {
      type: "streamOpened",
      session,
      stream,
      protocol: protocolText(header.name, choice.version),
      metadata: header.metadata,
      isUnidirectional: isUnidirectional(stream),
      ...(early?.isOwn === false && early.stream === stream ? { isEarly: true } : {}),
    };
    if (isClaimed) this.#ofExtensions(stream);
    if (!isClaimed) {
      this.#host.emit(opened);
    } else if (!this.#host.offer(opened, now)) {
      // No extension wants this one: it is the owner's, if that serves the protocol too.
      this.#extensionStreams?.delete(stream);
      if (this.#host.protocols.choose(header.name, [choice.version]) === undefined) {
        this.#giveUp(stream, "protocol_refused", now);
        return;
      }
      this.#host.emit(opened);
    }
    if (held.stoppedCode !== undefined) this.onStopped(stream, held.stoppedCode, now);
    this.#emit({ type: "readable", session, stream }, now);
  }

  /** Refuses a stream whose header came. PROTOCOL §7.3. */
  #refuse(stream: StreamId, code: ErrorCode, now: Instant): void {
    const { endpoint, session } = this.#host;
    if (!isUnidirectional(stream)) {
      endpoint.write(session, stream, encodeStreamStatus({ type: "refused", code }), now);
      endpoint.finish(session, stream, now);
    }
    endpoint.stop(session, stream, streamCodeOf(code), now);
    this.#held.drop(stream);
  }

  /** Gives what there is of a stream up, without a word on it. */
  #giveUp(stream: StreamId, code: ErrorCode, now: Instant): void {
    const { endpoint, session } = this.#host;
    if (!isUnidirectional(stream)) endpoint.reset(session, stream, streamCodeOf(code), now);
    endpoint.stop(session, stream, streamCodeOf(code), now);
    this.#held.drop(stream);
  }

  // Streams that were opened here.

  #onAccepted(held: HeldStream, version: number, now: Instant): void {
    const { offer, stream, stoppedCode } = held;
    if (offer === undefined || !offer.versions.includes(version)) {
      throw new ProtocolError("protocol_violation", "A stream was accepted in a version that was not offered");
    }
    const { session } = this.#host;
    this.#emit({ type: "streamAccepted", session, stream, protocol: protocolText(offer.name, version) }, now);
    if (held.isDelivered) this.#emit({ type: "delivered", session, stream }, now);
    if (stoppedCode !== undefined) this.onStopped(stream, stoppedCode, now);
    this.#emit({ type: "readable", session, stream }, now);
  }

  #onRefused(stream: StreamId, code: ErrorCode, now: Instant, applicationCode?: number): void {
    const refused: NodeStreamEvent = { type: "streamRefused", session: this.#host.session, stream, code };
    this.#emit(applicationCode === undefined ? refused : { ...refused, applicationCode }, now);
    this.#giveUp(stream, code, now);
  }

  /** Whether the application has not heard of the stream, or has heard its last. */
  #isUnknown(stream: StreamId): boolean {
    const phase = this.#held.get(stream)?.phase;
    return phase === "dropped" || phase === "header";
  }

  #isOwnUnidirectional(stream: StreamId): boolean {
    return isUnidirectional(stream) && (stream & 1) === (this.#host.isInitiator ? 0 : 1);
  }

  #ofExtensions(stream: StreamId): void {
    this.#extensionStreams ??= new Set();
    this.#extensionStreams.add(stream);
  }

  #count(stream: StreamId, name: string): void {
    this.#accepted ??= new Map();
    this.#counts ??= new Map();
    this.#accepted.set(stream, name);
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1);
  }

  #uncount(stream: StreamId): void {
    const name = this.#accepted?.get(stream);
    if (name === undefined) return;
    this.#accepted?.delete(stream);
    const count = (this.#counts?.get(name) ?? 1) - 1;
    if (count === 0) this.#counts?.delete(name);
    else this.#counts?.set(name, count);
  }

  /** Tells whoever the stream belongs to. */
  #emit(event: NodeStreamEvent, now: Instant): void {
    if (this.#extensionStreams?.has(event.stream) === true) this.#host.offer(event, now);
    else this.#host.emit(event);
  }
}

function isUnidirectional(stream: StreamId): boolean {
  // Ids go beyond 32 bits, but their lowest bits survive the conversion. RFC 9000 §2.1.
  return (stream & UNIDIRECTIONAL_BIT) !== 0;
}
