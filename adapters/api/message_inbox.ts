/**
 * Messages of all peers on their way to the program's iterators.
 *
 * Every iterator whose topic fits gets a message; one that nobody reads waits for a reader. An iterator that is left
 * gives back what it did not take, unless others have it.
 *
 * The invariant to hold: no message is dropped; each counts against its sender's credit until all iterators that were
 * given it have taken it.
 *
 * @module
 */

import type { SessionId } from "../../core/node/endpoint_types.ts";
import { ItemQueue } from "./item_queue.ts";
import type { Message, Peer, Value } from "./types.ts";

/** What arrived. */
export interface IncomingMessage extends Message {
  readonly session: SessionId;
  /** Bytes of credit that it holds. */
  readonly size: number;
}

/** A message as the program sees it, and whom it waits for. */
class Letter implements Message {
  readonly from: Peer;
  readonly topic: string;
  readonly value: Value;
  readonly #session: SessionId;
  readonly #size: number;
  /** Iterators that have been given it and have not taken it. */
  #holders = 0;
  #isTaken = false;

  constructor(message: IncomingMessage) {
    this.from = message.from;
    this.topic = message.topic;
    this.value = message.value;
    this.#session = message.session;
    this.#size = message.size;
  }

  static hold(letter: Letter, holders: number): void {
    letter.#holders += holders;
  }

  static take(letter: Letter): void {
    letter.#isTaken = true;
    letter.#holders--;
  }

  static giveBack(letter: Letter): void {
    letter.#holders--;
  }

  static fateOf(letter: Letter): "held" | "done" | "unread" {
    if (letter.#holders > 0) return "held";
    return letter.#isTaken ? "done" : "unread";
  }

  static release(letter: Letter, release: (session: SessionId, size: number) => void): void {
    release(letter.#session, letter.#size);
  }
}

interface Reader {
  readonly topic: string | undefined;
  readonly queue: ItemQueue<Letter>;
}

/** The messages of a node. */
export class MessageInbox {
  readonly #release: (session: SessionId, size: number) => void;
  readonly #readers = new Set<Reader>();
  /** Messages that nobody reads yet. */
  #unread: Letter[] = [];

  /** `release` gives credit back: the program has taken that many bytes of a session. */
  constructor(release: (session: SessionId, size: number) => void) {
    this.#release = release;
  }

  deliver(message: IncomingMessage): void {
    const letter = new Letter(message);
    const readers = [...this.#readers].filter((reader) => fits(reader, letter));
    if (readers.length === 0) this.#unread.push(letter);
    // All are counted before the first of them takes it.
    Letter.hold(letter, readers.length);
    for (const { queue } of readers) queue.push(letter);
  }

  /** A new reader, which first gets what waits. */
  read(
    options: { readonly topic?: string; readonly signal?: AbortSignal },
    isEnded: boolean,
  ): AsyncIterableIterator<Message> {
    const reader: Reader = {
      topic: options.topic,
      queue: new ItemQueue<Letter>({
        signal: options.signal,
        onTake: (letter) => {
          Letter.take(letter);
          this.#releaseIfDone(letter);
        },
        onLeft: () => this.#onLeft(reader),
      }),
    };
    const { queue } = reader;
    if (queue.isEnded) return queue;
    this.#readers.add(reader);
    this.#giveUnread(reader);
    if (isEnded) queue.end();
    return queue;
  }

  /** No more messages come; those that came can still be read. */
  end(): void {
    for (const { queue } of this.#readers) queue.end();
    this.#readers.clear();
  }

  #giveUnread(reader: Reader): void {
    const rest: Letter[] = [];
    for (const letter of this.#unread) {
      if (!fits(reader, letter)) {
        rest.push(letter);
        continue;
      }
      Letter.hold(letter, 1);
      reader.queue.push(letter);
    }
    this.#unread = rest;
  }

  #onLeft(reader: Reader): void {
    this.#readers.delete(reader);
    const back: Letter[] = [];
    for (const letter of reader.queue.takeAll()) {
      Letter.giveBack(letter);
      if (Letter.fateOf(letter) === "unread") back.push(letter);
      else this.#releaseIfDone(letter);
    }
    // Whoever came later is a reader too: it gets what it has not seen, in front of what is newer.
    for (const other of this.#readers) {
      const given = back.filter((letter) => fits(other, letter));
      for (const letter of given) Letter.hold(letter, 1);
      other.queue.pushFirst(given);
    }
    this.#unread = [...back.filter((letter) => Letter.fateOf(letter) === "unread"), ...this.#unread];
  }

  #releaseIfDone(letter: Letter): void {
    if (Letter.fateOf(letter) === "done") Letter.release(letter, this.#release);
  }
}

function fits({ topic }: Reader, letter: Letter): boolean {
  return topic === undefined || topic === letter.topic;
}
