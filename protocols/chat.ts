/**
 * `chat/1`: lines of text between nodes, each shown once although sessions come and go.
 *
 * A stream per pair of nodes carries MessagePack records in both directions: `{ line }` and `{ ack }`. A line stays in
 * the sender's outbox until it was acknowledged and is sent again on the next stream; the receiver knows the ids it has
 * seen.
 *
 * @module
 */

import type { Node, NodeId, Peer, Stream } from "../adapters/api/types.ts";

/** The name under which chat is served. */
export const CHAT_PROTOCOL = "chat/1";

/** Characters of one line. */
export const LINE_LENGTH_MAX = 4_000;
/** Lines that wait for one peer; the oldest is given up first. */
const OUTBOX_MAX = 1_000;
/** Ids of lines remembered for each peer to recognise what is sent again. */
const SEEN_MAX = 4_096;

/** A line of chat. */
export interface ChatLine {
  /** Unique among the lines of its author. */
  readonly id: string;
  readonly from: NodeId;
  /** The name that the author goes by. */
  readonly name: string;
  readonly text: string;
  readonly sentAtUnixMs: number;
}

/** What a chat tells its user. */
export interface ChatHandlers {
  /** A line arrived; each is told once. */
  onLine(line: ChatLine): void;
  /** The peer has a line of ours. */
  onDelivered?(id: string, peer: NodeId): void;
}

interface Correspondent {
  stream: Stream | undefined;
  opening: Promise<void> | undefined;
  readonly outbox: Map<string, ChatLine>;
  readonly seen: Set<string>;
}

/** One node's side of all its chats. */
export class Chat implements Disposable {
  readonly #node: Node;
  readonly #handlers: ChatHandlers;
  readonly #name: () => string;
  readonly #correspondents = new Map<NodeId, Correspondent>();
  readonly #serving: Disposable;
  readonly #prefix: string;
  #counter = 0;
  #isDisposed = false;

  /** Serves `chat/1` on `node`. `prefix` makes ids unique over restarts: random, or the time. */
  constructor(options: { node: Node; name: () => string; handlers: ChatHandlers; prefix: string }) {
    this.#node = options.node;
    this.#handlers = options.handlers;
    this.#name = options.name;
    this.#prefix = options.prefix;
    this.#serving = options.node.handle(CHAT_PROTOCOL, (stream, peer) => this.#serve(stream, peer));
  }

  /**
   * Says a line to nodes. It is kept until each acknowledged it; nodes that cannot be reached get it when they can.
   * Returns the line.
   */
  say(text: string, to: Iterable<NodeId>): ChatLine {
    const line: ChatLine = {
      id: `${this.#prefix}-${++this.#counter}`,
      from: this.#node.id,
      name: this.#name(),
      text: text.slice(0, LINE_LENGTH_MAX),
      sentAtUnixMs: Date.now(),
    };
    for (const id of to) {
      if (id === this.#node.id) continue;
      const correspondent = this.#correspondent(id);
      correspondent.outbox.set(line.id, line);
      if (correspondent.outbox.size > OUTBOX_MAX) {
        correspondent.outbox.delete(correspondent.outbox.keys().next().value as string);
      }
      this.#push(id, correspondent, line);
    }
    return line;
  }

  /** How many lines wait for an acknowledgement of a node. */
  waitingFor(id: NodeId): number {
    return this.#correspondents.get(id)?.outbox.size ?? 0;
  }

  /** Tries again to reach the nodes that lines wait for: call it when a node appears. */
  retry(id: NodeId): void {
    const correspondent = this.#correspondents.get(id);
    if (correspondent !== undefined && correspondent.outbox.size > 0) void this.#open(id, correspondent);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#serving[Symbol.dispose]();
    for (const { stream } of this.#correspondents.values()) stream?.reset();
  }

  #push(id: NodeId, correspondent: Correspondent, line: ChatLine): void {
    if (correspondent.stream === undefined) void this.#open(id, correspondent);
    else void correspondent.stream.send({ line }).catch(() => undefined); // The stream's end brings it again.
  }

  async #open(id: NodeId, correspondent: Correspondent): Promise<void> {
    correspondent.opening ??= this.#connect(id, correspondent).finally(() => {
      correspondent.opening = undefined;
    });
    await correspondent.opening;
  }

  async #connect(id: NodeId, correspondent: Correspondent): Promise<void> {
    if (correspondent.stream !== undefined || this.#isDisposed) return;
    try {
      const peer = await this.#node.connect(id);
      const stream = await peer.open(CHAT_PROTOCOL);
      this.#adopt(stream, peer, correspondent);
    } catch {
      // Not reachable now: `retry`, or the peer's own stream, brings the lines on their way.
    }
  }

  async #serve(stream: Stream, peer: Peer): Promise<void> {
    if (peer.id === undefined) {
      stream.reset();
      return;
    }
    await this.#adopt(stream, peer, this.#correspondent(peer.id));
  }

  #adopt(stream: Stream, peer: Peer, correspondent: Correspondent): Promise<void> {
    // The newest stream carries what we say; what comes is taken from all.
    correspondent.stream = stream;
    for (const line of correspondent.outbox.values()) void stream.send({ line }).catch(() => undefined);
    return this.#listen(stream, peer.id as NodeId, correspondent);
  }

  async #listen(stream: Stream, id: NodeId, correspondent: Correspondent): Promise<void> {
    try {
      for await (const value of stream.messages()) {
        const record = value as { line?: unknown; ack?: unknown } | null;
        if (typeof record?.ack === "string") this.#onAck(record.ack, id, correspondent);
        const line = parseLine(record?.line, id);
        if (line === undefined) continue;
        if (!correspondent.seen.has(line.id)) {
          correspondent.seen.add(line.id);
          if (correspondent.seen.size > SEEN_MAX) {
            correspondent.seen.delete(correspondent.seen.values().next().value as string);
          }
          this.#handlers.onLine(line);
        }
        await stream.send({ ack: line.id });
      }
      await stream.finish();
    } catch {
      // The session ended: a new stream follows when there is something to say.
    } finally {
      if (correspondent.stream === stream) {
        correspondent.stream = undefined;
        if (correspondent.outbox.size > 0 && !this.#isDisposed) void this.#open(id, correspondent);
      }
    }
  }

  #onAck(lineId: string, peer: NodeId, correspondent: Correspondent): void {
    if (correspondent.outbox.delete(lineId)) this.#handlers.onDelivered?.(lineId, peer);
  }

  #correspondent(id: NodeId): Correspondent {
    let correspondent = this.#correspondents.get(id);
    if (correspondent === undefined) {
      correspondent = { stream: undefined, opening: undefined, outbox: new Map(), seen: new Set() };
      this.#correspondents.set(id, correspondent);
    }
    return correspondent;
  }
}

/** A line as it came, bounded; `from` is who really sent it, whatever the record says. */
function parseLine(value: unknown, from: NodeId): ChatLine | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { id, name, text, sentAtUnixMs } = value as Record<string, unknown>;
  if (typeof id !== "string" || id.length > 64 || typeof text !== "string" || text.length > LINE_LENGTH_MAX) {
    return undefined;
  }
  return {
    id,
    from,
    name: typeof name === "string" ? name.slice(0, 64) : "",
    text,
    sentAtUnixMs: typeof sentAtUnixMs === "number" ? sentAtUnixMs : 0,
  };
}
