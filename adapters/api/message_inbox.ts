/**
 * Messages of all peers on their way to the program's iterators.
 *
 * The invariant to hold: a message waits until somebody reads it, and counts against its sender's credit until then.
 *
 * @module
 */

import type { SessionId } from "../../core/node/endpoint_types.ts";
import type { Message } from "./types.ts";
import { ItemQueue } from "./waiting.ts";

/** A message with what must be given back for it. */
export type QueuedMessage = Message & { readonly size: number; readonly session: SessionId };

interface Reader {
  readonly topic: string | undefined;
  readonly queue: ItemQueue<QueuedMessage>;
}

/** The messages of a node. */
export class MessageInbox {
  readonly #release: (session: SessionId, size: number) => void;
  readonly #readers = new Set<Reader>();
  /** Messages that nobody reads yet. */
  readonly #unread: QueuedMessage[] = [];

  /** `release` gives credit back: the program has taken that many bytes of a session. */
  constructor(release: (session: SessionId, size: number) => void) {
    this.#release = release;
  }

  /** A message arrived: every reader of its topic gets it. */
  deliver(message: QueuedMessage): void {
    const readers = [...this.#readers].filter(({ topic }) => topic === undefined || topic === message.topic);
    if (readers.length === 0) {
      this.#unread.push(message);
      return;
    }
    // Credit is given back by the first reader only, so that each byte counts once.
    readers.forEach(({ queue }, index) => {
      queue.push(index === 0 ? message : { ...message, size: 0 });
    });
  }

  /** A new reader, which first gets what waits. */
  read(
    options: { readonly topic?: string; readonly signal?: AbortSignal },
    isEnded: boolean,
  ): AsyncIterableIterator<Message> {
    const reader: Reader = {
      topic: options.topic,
      queue: new ItemQueue<QueuedMessage>({
        signal: options.signal,
        onTake: (message) => this.#give(message),
        onClosed: () => {
          this.#readers.delete(reader);
          for (let left = reader.queue.dropOldest(); left !== undefined; left = reader.queue.dropOldest()) {
            this.#give(left);
          }
        },
      }),
    };
    this.#readers.add(reader);
    for (let index = 0; index < this.#unread.length; ) {
      const message = this.#unread[index] as QueuedMessage;
      if (reader.topic === undefined || reader.topic === message.topic) {
        this.#unread.splice(index, 1);
        reader.queue.push(message);
      } else index++;
    }
    if (isEnded) reader.queue.end();
    return reader.queue;
  }

  /** No more messages come. */
  end(): void {
    for (const { queue } of [...this.#readers]) queue.end();
  }

  #give(message: QueuedMessage): void {
    // A message to oneself has no session.
    if (message.size > 0 && message.session !== 0) this.#release(message.session, message.size);
  }
}
